// Digests. SHA-256 and SHA-512 (FIPS 180-4) for TUF metadata and images, BLAKE2b-256 (RFC 7693) for
// chunks, which is the fastest on CPUs without SHA instructions.
#pragma once

#include <array>
#include <memory>

#include "base/bytes.h"
#include "base/disk.h"

namespace layby::crypto {

using Digest256 = std::array<std::uint8_t, 32>;
using Digest512 = std::array<std::uint8_t, 64>;

Digest256 sha256(ByteSpan bytes);
Digest512 sha512(ByteSpan bytes);
Digest256 blake2b_256(ByteSpan bytes);
// HMAC-SHA-256 (RFC 2104).
Digest256 hmac_sha256(ByteSpan key, ByteSpan bytes);

// Incremental SHA-256 and SHA-512 over the same bytes. `finish` once, then the object is spent.
class Hasher {
 public:
  enum class With { kSha256, kSha256AndSha512 };
  explicit Hasher(With with);
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;

  void update(ByteSpan bytes);

  struct Digests {
    Digest256 sha256;
    Digest512 sha512;  // zero unless asked for
    std::uint64_t length = 0;
  };
  Digests finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Digests of all of `source`, read in pieces of bounded size.
Result<Hasher::Digests> hash_all(const ReadAt& source, Hasher::With with);

// In time that does not depend on where they differ. Different lengths are unequal.
bool equal_constant_time(ByteSpan a, ByteSpan b);

}  // namespace layby::crypto
