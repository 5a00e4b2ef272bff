#include "crypto/key_file.h"

#include <sodium.h>

#include "crypto/random.h"

namespace layby::crypto {
namespace {

// "LAYBYKEY", version u8 = 1, cost u8, salt 16, nonce 24, secretbox of the 32-byte seed (16 + 32).
constexpr std::string_view kMagic = "LAYBYKEY";
constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kHeaderBytes = 8 + 1 + 1;
constexpr std::size_t kSaltBytes = crypto_pwhash_SALTBYTES;
constexpr std::size_t kNonceBytes = crypto_secretbox_NONCEBYTES;
constexpr std::size_t kBoxBytes = crypto_secretbox_MACBYTES + crypto_sign_SEEDBYTES;
constexpr std::size_t kFileBytes = kHeaderBytes + kSaltBytes + kNonceBytes + kBoxBytes;

using BoxKey = std::array<std::uint8_t, crypto_secretbox_KEYBYTES>;

Result<BoxKey> derive(std::string_view passphrase, const std::uint8_t* salt, KeyFileCost cost) {
  const bool sensitive = cost == KeyFileCost::kSensitive;
  BoxKey key;
  const int status = crypto_pwhash(
      key.data(), key.size(), passphrase.data(), passphrase.size(), salt,
      sensitive ? crypto_pwhash_OPSLIMIT_SENSITIVE : crypto_pwhash_OPSLIMIT_INTERACTIVE,
      sensitive ? crypto_pwhash_MEMLIMIT_SENSITIVE : crypto_pwhash_MEMLIMIT_INTERACTIVE,
      crypto_pwhash_ALG_ARGON2ID13);
  if (status != 0)
    return fail(ErrorCode::kInternal, "no memory for Argon2id ({} MiB)", sensitive ? 1024 : 64);
  return key;
}

}  // namespace

Result<void> write_key_file(Disk& disk, const std::string& path, const MemorySigner& key,
                            std::string_view passphrase, KeyFileCost cost) {
  Bytes file = to_bytes(kMagic);
  file.push_back(kVersion);
  file.push_back(static_cast<std::uint8_t>(cost));
  const Bytes salt = random_bytes(kSaltBytes), nonce = random_bytes(kNonceBytes);
  file.insert(file.end(), salt.begin(), salt.end());
  file.insert(file.end(), nonce.begin(), nonce.end());
  BoxKey box_key = TRY(derive(passphrase, salt.data(), cost));
  Ed25519Seed seed = key.seed();
  std::array<std::uint8_t, kBoxBytes> box;
  crypto_secretbox_easy(box.data(), seed.data(), seed.size(), nonce.data(), box_key.data());
  sodium_memzero(seed.data(), seed.size());
  sodium_memzero(box_key.data(), box_key.size());
  file.insert(file.end(), box.begin(), box.end());
  return replace_file(disk, path, file);
}

Result<std::unique_ptr<MemorySigner>> read_key_file(Disk& disk, const std::string& path,
                                                    std::string_view passphrase) {
  const Bytes file = TRY(read_file(disk, path, kFileBytes));
  if (file.size() != kFileBytes || as_text(file).substr(0, kMagic.size()) != kMagic)
    return fail(ErrorCode::kBadFormat, "{} is not a key file", path);
  if (file[8] != kVersion)
    return fail(ErrorCode::kUnsupported, "{}: key file version {} is unknown", path, file[8]);
  if (file[9] > static_cast<std::uint8_t>(KeyFileCost::kSensitive))
    return fail(ErrorCode::kBadFormat, "{}: unknown cost {}", path, file[9]);
  const std::uint8_t* salt = file.data() + kHeaderBytes;
  const std::uint8_t* nonce = salt + kSaltBytes;
  BoxKey key = TRY(derive(passphrase, salt, static_cast<KeyFileCost>(file[9])));
  Ed25519Seed seed;
  const int status =
      crypto_secretbox_open_easy(seed.data(), nonce + kNonceBytes, kBoxBytes, nonce, key.data());
  sodium_memzero(key.data(), key.size());
  if (status != 0)
    return fail(ErrorCode::kUnauthenticated, "{}: wrong passphrase, or the file was altered", path);
  auto signer = MemorySigner::from_seed(seed);
  sodium_memzero(seed.data(), seed.size());
  return signer;
}

}  // namespace layby::crypto
