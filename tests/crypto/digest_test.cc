#include "crypto/digest.h"

#include <catch2/catch.hpp>

#include "tests/temp_dir.h"

using namespace layby;
using namespace layby::crypto;

TEST_CASE("digests match the published test vectors for 'abc'") {
  CHECK(to_hex(sha256(as_bytes("abc"))) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(to_hex(sha512(as_bytes("abc"))) ==
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
        "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
  // RFC 7693, appendix A is for 512 bits; this is BLAKE2b with a 32-byte output.
  CHECK(to_hex(blake2b_256(as_bytes("abc"))) ==
        "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
  // RFC 4231, test case 2.
  CHECK(to_hex(hmac_sha256(as_bytes("Jefe"), as_bytes("what do ya want for nothing?"))) ==
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST_CASE("a file's digests are those of its bytes, whatever its size") {
  const tests::TempDir dir;
  RealDisk disk;
  for (const std::size_t size : {0u, 1u, 262'144u, 262'145u, 700'000u}) {
    Bytes bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i * 31);
    REQUIRE(replace_file(disk, dir / "f", bytes));
    const auto file = disk.open_read(dir / "f").value();
    const auto digests = hash_all(*file, Hasher::With::kSha256AndSha512).value();
    CHECK(digests.sha256 == sha256(bytes));
    CHECK(digests.sha512 == sha512(bytes));
    CHECK(digests.length == size);
  }
}

TEST_CASE("constant-time comparison compares") {
  CHECK(equal_constant_time(as_bytes("abc"), as_bytes("abc")));
  CHECK_FALSE(equal_constant_time(as_bytes("abc"), as_bytes("abd")));
  CHECK_FALSE(equal_constant_time(as_bytes("abc"), as_bytes("abcd")));
}
