#include "server/director/online_keys.h"

namespace layby::server {

namespace {

struct NamedKey {
  std::unique_ptr<crypto::Signer> OnlineKeys::*member;
  const char* file;
};

constexpr std::array<NamedKey, 6> kKeys = {{
    {&OnlineKeys::director_targets, "director-targets.key"},
    {&OnlineKeys::director_snapshot, "director-snapshot.key"},
    {&OnlineKeys::director_timestamp, "director-timestamp.key"},
    {&OnlineKeys::image_snapshot, "image-snapshot.key"},
    {&OnlineKeys::image_timestamp, "image-timestamp.key"},
    {&OnlineKeys::licence, "licence.key"},
}};

constexpr std::uint64_t kPassphraseBytesMax = 1024;

}  // namespace

OnlineKeys generate_online_keys() {
  OnlineKeys keys;
  for (const NamedKey& key : kKeys) keys.*key.member = crypto::MemorySigner::generate();
  return keys;
}

Result<OnlineKeys> create_online_keys(Disk& disk, const std::string& keys_dir,
                                      std::string_view passphrase) {
  OnlineKeys keys;
  for (const NamedKey& key : kKeys) {
    auto signer = crypto::MemorySigner::generate();
    TRY_VOID(crypto::write_key_file(disk, keys_dir + "/" + key.file, *signer, passphrase,
                                    crypto::KeyFileCost::kInteractive));
    keys.*key.member = std::move(signer);
  }
  return keys;
}

Result<OnlineKeys> load_online_keys(Disk& disk, const std::string& keys_dir,
                                    std::string_view passphrase) {
  OnlineKeys keys;
  for (const NamedKey& key : kKeys) {
    const std::string path = keys_dir + "/" + key.file;
    keys.*key.member = TRY_CONTEXT(crypto::read_key_file(disk, path, passphrase), path);
  }
  return keys;
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
