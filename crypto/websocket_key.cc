#include "crypto/websocket_key.h"

#include <openssl/sha.h>

#include "base/bytes.h"
#include "crypto/random.h"

namespace layby::crypto {
namespace {

constexpr std::size_t kKeyBytes = 16;
constexpr std::string_view kProtocolId = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

}  // namespace

std::string make_websocket_key() {
  return to_base64(random_bytes(kKeyBytes));
}

std::string websocket_accept(std::string_view key) {
  const std::string text = std::string(key) + std::string(kProtocolId);
  std::uint8_t digest[SHA_DIGEST_LENGTH];
  ::SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  return to_base64(digest);
}

}  // namespace layby::crypto
