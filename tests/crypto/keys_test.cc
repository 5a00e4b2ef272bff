#include "crypto/keys.h"

#include <catch2/catch.hpp>

#include "crypto/key_file.h"
#include "crypto/random.h"
#include "crypto/sealed_box.h"
#include "tests/temp_dir.h"

using namespace layby;
using namespace layby::crypto;

TEST_CASE("Ed25519 follows RFC 8032, section 7.1, test 2") {
  const auto seed =
      array_from_hex<32>("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
  const auto signer = MemorySigner::from_seed(seed.value());
  CHECK(to_hex(signer->public_key()) ==
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
  const Bytes message{0x72};
  const auto signature = signer->sign(message).value();
  CHECK(to_hex(signature) ==
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
  CHECK(verify_ed25519(signer->public_key(), message, signature));
  CHECK_FALSE(verify_ed25519(signer->public_key(), Bytes{0x73}, signature));
  CHECK_FALSE(verify_ed25519(signer->public_key(), message, ByteSpan(signature).first(63)));
}

TEST_CASE("a sealed box opens for its key alone") {
  const SealKeyPair mine = generate_seal_keys(), other = generate_seal_keys();
  Bytes sealed = seal(as_bytes("licence"), mine.public_key).value();
  CHECK(as_text(open_sealed(sealed, mine.secret_key).value()) == "licence");
  CHECK(open_sealed(sealed, other.secret_key).error().code() == ErrorCode::kCorrupt);
  sealed.back() ^= 1;
  CHECK(open_sealed(sealed, mine.secret_key).error().code() == ErrorCode::kCorrupt);
  CHECK(open_sealed(Bytes(10), mine.secret_key).error().code() == ErrorCode::kCorrupt);
}

TEST_CASE("a key of small order, which a car may send, seals nothing and ends nobody's process") {
  SealPublicKey key{};
  CHECK(seal(as_bytes("licence"), key).error().code() == ErrorCode::kInvalidArgument);
  key[0] = 1;
  CHECK(seal(as_bytes("licence"), key).error().code() == ErrorCode::kInvalidArgument);
}

TEST_CASE("a key file opens with its passphrase alone") {
  const tests::TempDir dir;
  RealDisk disk;
  const auto key = MemorySigner::generate();
  const std::string path = dir / "root.key";
  REQUIRE(write_key_file(disk, path, *key, "correct horse", KeyFileCost::kInteractive));
  CHECK(read_key_file(disk, path, "correct horse").value()->public_key() == key->public_key());
  CHECK(read_key_file(disk, path, "wrong").error().code() == ErrorCode::kUnauthenticated);
  Bytes file = read_file(disk, path, 1000).value();
  CHECK(to_hex(file).find(to_hex(key->seed())) == std::string::npos);
  file.back() ^= 1;
  REQUIRE(replace_file(disk, path, file));
  CHECK(read_key_file(disk, path, "correct horse").error().code() == ErrorCode::kUnauthenticated);
  file.pop_back();
  REQUIRE(replace_file(disk, path, file));
  CHECK(read_key_file(disk, path, "correct horse").error().code() == ErrorCode::kBadFormat);
}

TEST_CASE("random text draws from the whole alphabet and nothing else") {
  const std::string text = random_text("abc", 3000);
  CHECK(text.find_first_not_of("abc") == std::string::npos);
  for (const char c : {'a', 'b', 'c'}) CHECK(std::count(text.begin(), text.end(), c) > 800);
}
