#include "server/director/online_keys.h"

#include <algorithm>

#include "base/assert.h"
#include "crypto/open_signer.h"

namespace layby::server {

namespace {

struct NamedKey {
  std::unique_ptr<crypto::Signer> OnlineKeys::*member;
  const char* name;
};

constexpr const char* kAuditKey = "audit";

constexpr std::array<NamedKey, 7> kKeys = {{
    {&OnlineKeys::director_targets, "director-targets"},
    {&OnlineKeys::director_snapshot, "director-snapshot"},
    {&OnlineKeys::director_timestamp, "director-timestamp"},
    {&OnlineKeys::image_snapshot, "image-snapshot"},
    {&OnlineKeys::image_timestamp, "image-timestamp"},
    {&OnlineKeys::licence, "licence"},
    {&OnlineKeys::audit, kAuditKey},
}};
constexpr std::size_t kRoleKeys = 5;     // the first of them: those that a root names
constexpr std::size_t kReplaceable = 6;  // and the one that releases of functions name

std::string key_path(const std::string& keys_dir, std::string_view name) {
  return fmt::format("{}/{}.key", keys_dir, name);
}

// Of a key in a token: its PKCS#11 URI, in the place of the key file.
std::string uri_path(const std::string& key_path) {
  return key_path.substr(0, key_path.size() - std::string_view(".key").size()) + ".uri";
}

constexpr std::uint64_t kUriBytesMax = 4096;

// The key of this file; or the one in a token that the file `….uri` beside it names, whose PIN is
// the passphrase of the others.
Result<std::unique_ptr<crypto::Signer>> open_key(Disk& disk, const std::string& path,
                                                 std::string_view passphrase) {
  const Result<Bytes> uri = read_file(disk, uri_path(path), kUriBytesMax);
  if (!uri && uri.error().code() != ErrorCode::kNotFound)
    return fail(Error(uri.error()).with_context(uri_path(path)));
  if (!uri) return crypto::open_signer(disk, path, passphrase);
  std::string text(as_text(*uri));
  text.resize(std::min(text.find_first_of("\r\n"), text.size()));
  return crypto::open_signer(disk, text, passphrase);
}

std::string next_key_path(const std::string& keys_dir, std::string_view name) {
  return fmt::format("{}/{}.next.key", keys_dir, name);
}

std::unique_ptr<crypto::Signer> OnlineKeys::*replaceable_key(std::string_view name) {
  for (std::size_t i = 0; i < kReplaceable; ++i)
    if (name == kKeys[i].name) return kKeys[i].member;
  return nullptr;
}

constexpr std::string_view kFormerLicence = "licence.former-";

// A copy, key file or URI: a server that is killed here has its present key still.
Result<void> keep_former_licence_key(Disk& disk, const std::string& keys_dir,
                                     const OnlineKeys& keys) {
  constexpr std::size_t kIdChars = 16;
  const std::string id = manifest::PublicKey::of(*keys.licence).id();
  const std::string from = key_path(keys_dir, "licence");
  const std::string to =
      key_path(keys_dir, std::string(kFormerLicence) + std::string(id.substr(0, kIdChars)));
  const bool is_in_token = disk.status(uri_path(from)).has_value();
  const Bytes file = TRY(read_file(disk, is_in_token ? uri_path(from) : from, kUriBytesMax));
  return replace_file(disk, is_in_token ? uri_path(to) : to, file);
}

Result<void> load_former_licence_keys(Disk& disk, const std::string& keys_dir,
                                      std::string_view passphrase, OnlineKeys& keys) {
  for (const std::string& name : TRY(disk.list(keys_dir))) {
    if (!name.starts_with(kFormerLicence)) continue;
    const std::string path = key_path(keys_dir, name.substr(0, name.rfind('.')));
    keys.former_licence.push_back(TRY_CONTEXT(open_key(disk, path, passphrase), path));
  }
  return {};
}

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
    keys.*key.member = TRY(create_key(disk, key_path(keys_dir, key.name), passphrase));
  return keys;
}

Result<OnlineKeys> load_online_keys(Disk& disk, const std::string& keys_dir,
                                    std::string_view passphrase) {
  OnlineKeys keys;
  for (const NamedKey& key : kKeys) {
    const std::string path = key_path(keys_dir, key.name);
    auto signer = open_key(disk, path, passphrase);
    const bool is_absent = !signer && signer.error().code() == ErrorCode::kNotFound;
    if (is_absent && key.member == &OnlineKeys::audit) continue;
    if (!signer) return fail(std::move(signer.error()).with_context(path));
    keys.*key.member = std::move(*signer);
  }
  for (std::size_t i = 0; i < kReplaceable; ++i) {
    const std::string path = next_key_path(keys_dir, kKeys[i].name);
    auto signer = open_key(disk, path, passphrase);
    if (signer)
      keys.next[kKeys[i].name] = std::move(*signer);
    else if (signer.error().code() != ErrorCode::kNotFound)
      return fail(std::move(signer.error()).with_context(path));
  }
  TRY_VOID(load_former_licence_keys(disk, keys_dir, passphrase, keys));
  return keys;
}

Result<void> add_audit_key(Disk& disk, const std::string& keys_dir, std::string_view passphrase,
                           OnlineKeys& keys) {
  keys.audit = TRY(create_key(disk, key_path(keys_dir, kAuditKey), passphrase));
  return {};
}

std::unique_ptr<crypto::Signer> OnlineKeys::*role_key(std::string_view name) {
  for (std::size_t i = 0; i < kRoleKeys; ++i)
    if (name == kKeys[i].name) return kKeys[i].member;
  return nullptr;
}

Result<std::unique_ptr<crypto::Signer>> create_next_key(Disk& disk, const std::string& keys_dir,
                                                        std::string_view passphrase,
                                                        const std::string& name) {
  if (replaceable_key(name) == nullptr)
    return fail(ErrorCode::kInvalidArgument,
                "{} is none of director-targets, director-snapshot, director-timestamp, "
                "image-snapshot, image-timestamp and licence",
                name);
  const std::string path = next_key_path(keys_dir, name);
  for (const std::string& waiting : {path, uri_path(path)}) {
    const Result<FileStatus> status = disk.status(waiting);
    if (status) return fail(ErrorCode::kAlreadyExists, "{} waits for its root already", waiting);
    if (status.error().code() != ErrorCode::kNotFound) return fail(status.error());
  }
  return create_key(disk, path, passphrase);
}

Result<void> promote_next_key(Disk& disk, const std::string& keys_dir, const std::string& name,
                              OnlineKeys& keys) {
  const auto waiting = keys.next.find(name);
  LAYBY_ASSERT(waiting != keys.next.end());
  const std::string next = next_key_path(keys_dir, name), present = key_path(keys_dir, name);
  const bool is_licence = name == "licence";
  if (is_licence) TRY_VOID(keep_former_licence_key(disk, keys_dir, keys));
  // Whichever of the two it is: first the new one, then away with what stood there otherwise.
  const bool is_in_token = disk.status(uri_path(next)).has_value();
  if (is_in_token)
    TRY_VOID(disk.rename(uri_path(next), uri_path(present)));
  else
    TRY_VOID(disk.rename(next, present));
  TRY_VOID(disk.remove(is_in_token ? present : uri_path(present)));
  TRY_VOID(disk.sync_dir(keys_dir));
  if (is_licence) keys.former_licence.push_back(std::move(keys.licence));
  keys.*replaceable_key(name) = std::move(waiting->second);
  keys.next.erase(waiting);
  return {};
}

const crypto::Signer* licence_signer(const OnlineKeys& keys, const manifest::PublicKey& named) {
  if (manifest::PublicKey::of(*keys.licence) == named) return keys.licence.get();
  if (next_licence_key(keys) == named) return keys.next.at("licence").get();
  for (const auto& former : keys.former_licence)
    if (manifest::PublicKey::of(*former) == named) return former.get();
  return nullptr;
}

bool is_for_releases(const OnlineKeys& keys, const manifest::PublicKey& licence_key) {
  return licence_key == manifest::PublicKey::of(*keys.licence) ||
         licence_key == next_licence_key(keys);
}

std::optional<manifest::PublicKey> next_licence_key(const OnlineKeys& keys) {
  const auto next = keys.next.find("licence");
  if (next == keys.next.end()) return std::nullopt;
  return manifest::PublicKey::of(*next->second);
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
