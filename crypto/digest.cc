#include "crypto/digest.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>

#include <algorithm>

#include "base/assert.h"
#include "base/limits.h"

namespace layby::crypto {
namespace {

constexpr std::size_t kReadBytes = 64 * kKiB;

template <std::size_t N>
std::array<std::uint8_t, N> digest_once(ByteSpan bytes, const EVP_MD* algorithm) {
  std::array<std::uint8_t, N> out;
  unsigned length = 0;
  const int ok = EVP_Digest(bytes.data(), bytes.size(), out.data(), &length, algorithm, nullptr);
  LAYBY_ASSERT(ok == 1 && length == N);
  return out;
}

struct ContextFree {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_MD_CTX, ContextFree>;

Context start(const EVP_MD* algorithm) {
  Context context(EVP_MD_CTX_new());
  LAYBY_ASSERT(context && EVP_DigestInit_ex(context.get(), algorithm, nullptr) == 1);
  return context;
}

}  // namespace

Digest256 sha256(ByteSpan bytes) {
  return digest_once<32>(bytes, EVP_sha256());
}
Digest512 sha512(ByteSpan bytes) {
  return digest_once<64>(bytes, EVP_sha512());
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
  Context sha256;
  Context sha512;  // null unless asked for
  std::uint64_t length = 0;
};

Hasher::Hasher(With with) : state_(std::make_unique<State>()) {
  state_->sha256 = start(EVP_sha256());
  if (with == With::kSha256AndSha512) state_->sha512 = start(EVP_sha512());
}
Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;

void Hasher::update(ByteSpan bytes) {
  LAYBY_ASSERT(state_);
  LAYBY_ASSERT(EVP_DigestUpdate(state_->sha256.get(), bytes.data(), bytes.size()) == 1);
  if (state_->sha512)
    LAYBY_ASSERT(EVP_DigestUpdate(state_->sha512.get(), bytes.data(), bytes.size()) == 1);
  state_->length += bytes.size();
}

Hasher::Digests Hasher::finish() {
  LAYBY_ASSERT(state_);
  Digests out{};
  out.length = state_->length;
  LAYBY_ASSERT(EVP_DigestFinal_ex(state_->sha256.get(), out.sha256.data(), nullptr) == 1);
  if (state_->sha512)
    LAYBY_ASSERT(EVP_DigestFinal_ex(state_->sha512.get(), out.sha512.data(), nullptr) == 1);
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
