#include "server/director/online_keys.h"

namespace layby::server {

namespace {

struct NamedKey {
  std::unique_ptr<crypto::Signer> OnlineKeys::*member;
  const char* file;
};

constexpr const char* kAuditKeyFile = "audit.key";

constexpr std::array<NamedKey, 7> kKeys = {{
    {&OnlineKeys::director_targets, "director-targets.key"},
    {&OnlineKeys::director_snapshot, "director-snapshot.key"},
    {&OnlineKeys::director_timestamp, "director-timestamp.key"},
    {&OnlineKeys::image_snapshot, "image-snapshot.key"},
    {&OnlineKeys::image_timestamp, "image-timestamp.key"},
    {&OnlineKeys::licence, "licence.key"},
    {&OnlineKeys::audit, kAuditKeyFile},
}};

constexpr std::uint64_t kPassphraseBytesMax = 1024;

Result<std::unique_ptr<crypto::Signer>> create_key(Disk& disk, const std::string& path,
                                                   std::string_view passphrase) {
  auto signer = crypto::MemorySigner::generate();
  TRY_VOID(
      crypto::write_key_file(disk, path, *signer, passphrase, crypto::KeyFileCost::kInteractive));
  return signer;
}

}  // namespace

OnlineKeys generate_online_keys() {
  OnlineKeys keys;
  for (const NamedKey& key : kKeys) keys.*key.member = crypto::MemorySigner::generate();
  return keys;
}

Result<OnlineKeys> create_online_keys(Disk& disk, const std::string& keys_dir,
                                      std::string_view passphrase) {
  OnlineKeys keys;
  for (const NamedKey& key : kKeys)
    keys.*key.member = TRY(create_key(disk, keys_dir + "/" + key.file, passphrase));
  return keys;
}

Result<OnlineKeys> load_online_keys(Disk& disk, const std::string& keys_dir,
                                    std::string_view passphrase) {
  OnlineKeys keys;
  for (const NamedKey& key : kKeys) {
    const std::string path = keys_dir + "/" + key.file;
    auto signer = crypto::read_key_file(disk, path, passphrase);
    const bool is_absent = !signer && signer.error().code() == ErrorCode::kNotFound;
    if (is_absent && key.member == &OnlineKeys::audit) continue;
    if (!signer) return fail(std::move(signer.error()).with_context(path));
    keys.*key.member = std::move(*signer);
  }
  return keys;
}

Result<void> add_audit_key(Disk& disk, const std::string& keys_dir, std::string_view passphrase,
                           OnlineKeys& keys) {
  keys.audit = TRY(create_key(disk, keys_dir + "/" + kAuditKeyFile, passphrase));
  return {};
}

Result<std::string> read_passphrase(Disk& disk, const std::string& path) {
  const Bytes bytes = TRY_CONTEXT(read_file(disk, path, kPassphraseBytesMax), path);
  std::string text(as_text(bytes));
  text.resize(std::min(text.find_first_of("\r\n"), text.size()));
  if (text.empty())
    return fail(ErrorCode::kBadFormat, "{}: the first line must be a passphrase", path);
  return text;
}

}  // namespace layby::server
