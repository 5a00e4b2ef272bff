#include "crypto/digest.h"

// The plain functions: those of EVP make OpenSSL set up all algorithms that it has, two megabytes
// of memory that a car's applier would hold for one digest.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <sodium.h>

#include <algorithm>
#include <optional>

#include "base/assert.h"
#include "base/limits.h"

namespace layby::crypto {
namespace {

constexpr std::size_t kReadBytes = 64 * kKiB;

}  // namespace

Digest256 sha256(ByteSpan bytes) {
  Digest256 out;
  SHA256(bytes.data(), bytes.size(), out.data());
  return out;
}
Digest512 sha512(ByteSpan bytes) {
  Digest512 out;
  SHA512(bytes.data(), bytes.size(), out.data());
  return out;
}

Digest256 blake2b_256(ByteSpan bytes) {
  Digest256 out;
  crypto_generichash_blake2b(out.data(), out.size(), bytes.data(), bytes.size(), nullptr, 0);
  return out;
}

Digest256 hmac_sha256(ByteSpan key, ByteSpan bytes) {
  Digest256 out;
  unsigned length = 0;
  const auto* made = HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes.data(),
                          bytes.size(), out.data(), &length);
  LAYBY_ASSERT(made != nullptr && length == out.size());
  return out;
}

struct Hasher::State {
  SHA256_CTX sha256;
  std::optional<SHA512_CTX> sha512;  // if asked for
  std::uint64_t length = 0;
};

Hasher::Hasher(With with) : state_(std::make_unique<State>()) {
  LAYBY_ASSERT(SHA256_Init(&state_->sha256) == 1);
  if (with == With::kSha256AndSha512) LAYBY_ASSERT(SHA512_Init(&state_->sha512.emplace()) == 1);
}
Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;

void Hasher::update(ByteSpan bytes) {
  LAYBY_ASSERT(state_);
  LAYBY_ASSERT(SHA256_Update(&state_->sha256, bytes.data(), bytes.size()) == 1);
  if (state_->sha512)
    LAYBY_ASSERT(SHA512_Update(&*state_->sha512, bytes.data(), bytes.size()) == 1);
  state_->length += bytes.size();
}

Hasher::Digests Hasher::finish() {
  LAYBY_ASSERT(state_);
  Digests out{};
  out.length = state_->length;
  LAYBY_ASSERT(SHA256_Final(out.sha256.data(), &state_->sha256) == 1);
  if (state_->sha512) LAYBY_ASSERT(SHA512_Final(out.sha512.data(), &*state_->sha512) == 1);
  state_.reset();
  return out;
}

Result<Hasher::Digests> hash_all(const ReadAt& source, Hasher::With with) {
  Hasher hasher(with);
  Bytes buffer(std::min<std::uint64_t>(kReadBytes, source.size()));
  for (std::uint64_t at = 0; at < source.size();) {
    const std::size_t n = std::min<std::uint64_t>(buffer.size(), source.size() - at);
    const MutableByteSpan piece = MutableByteSpan(buffer).first(n);
    TRY_VOID(source.read_at(at, piece));
    hasher.update(piece);
    at += n;
  }
  return hasher.finish();
}

bool equal_constant_time(ByteSpan a, ByteSpan b) {
  return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace layby::crypto
