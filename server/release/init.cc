#include "server/release/init.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include "crypto/certificate.h"
#include "crypto/random.h"
#include "manifest/json_value.h"
#include "manifest/keys.h"
#include "server/fleet/account.h"
#include "server/fleet/json_answer.h"
#include "server/release/first_documents.h"
#include "server/store/rocksdb_store.h"

namespace layby::server {

namespace {

constexpr UnixSeconds kAuthorityLifeSeconds = 10 * 365 * kDaySeconds;
constexpr UnixSeconds kServerCertificateLifeSeconds = 2 * 365 * kDaySeconds;
constexpr UnixSeconds kClockSkewSeconds = 3600;  // of whoever checks a new certificate

struct Making {
  Disk& disk;
  const InitOptions& options;
  std::string dir;  // of the directory while it is made
  UnixSeconds now;

  Result<void> write(const std::string& name, std::string_view text) const {
    return replace_file(disk, dir + "/" + name, as_bytes(text));
  }
  Result<void> make_dir(const std::string& name) const { return disk.make_dirs(dir + "/" + name); }
};

std::string new_passphrase() {
  return crypto::random_text("abcdefghijkmnpqrstuvwxyz23456789", 40);  // 5 bits a character
}

Result<std::string> alternative_name(const std::string& name) {
  in6_addr address{};
  if (inet_pton(AF_INET, name.c_str(), &address) == 1 ||
      inet_pton(AF_INET6, name.c_str(), &address) == 1)
    return "IP:" + name;
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '*';
  };
  if (name.empty() || name.size() > 253 || !std::ranges::all_of(name, fits))
    return fail(ErrorCode::kInvalidArgument, "\"{}\" is neither a host name nor an address", name);
  return "DNS:" + name;
}

Result<std::string> alternative_names(const std::vector<std::string>& names) {
  std::vector<std::string> all{"localhost", "127.0.0.1"};
  for (const std::string& name : names)
    if (std::ranges::find(all, name) == all.end()) all.push_back(name);
  std::string text;
  for (const std::string& name : all)
    text += (text.empty() ? "" : ",") + TRY(alternative_name(name));
  return text;
}

Result<void> make_tls(const Making& making) {
  const crypto::Validity authority_validity{making.now - kClockSkewSeconds,
                                            making.now + kAuthorityLifeSeconds};
  const crypto::TlsIdentity authority =
      TRY(crypto::make_authority("Layby server authority", authority_validity));
  const crypto::TlsIdentity vehicles =
      TRY(crypto::make_authority("Layby vehicle authority", authority_validity));
  const std::vector<std::string>& names = making.options.server_names;
  const std::string common_name = names.empty() ? "localhost" : names.front();
  const std::string key = crypto::generate_tls_key();
  const std::string request = TRY(crypto::make_request(key, common_name));
  const std::string alternatives = TRY(alternative_names(names));
  const std::string certificate = TRY(crypto::issue_certificate(
      authority, request, {common_name, alternatives}, crypto::CertificateUse::kServer,
      {making.now - kClockSkewSeconds, making.now + kServerCertificateLifeSeconds}));
  TRY_VOID(making.make_dir("tls"));
  TRY_VOID(making.write("tls/ca.pem", authority.certificate_pem));
  TRY_VOID(making.write("tls/ca.key", authority.key_pem));
  TRY_VOID(making.write("tls/server.pem", certificate));
  TRY_VOID(making.write("tls/server.key", key));
  TRY_VOID(making.write("tls/vehicle-ca.pem", vehicles.certificate_pem));
  TRY_VOID(making.write("tls/vehicle-ca.key", vehicles.key_pem));
  TRY_VOID(making.make_dir("provision"));
  return making.write("provision/ca.pem", authority.certificate_pem);
}

Result<OnlineKeys> make_online_keys(const Making& making) {
  TRY_VOID(making.make_dir(kKeysDir));
  const std::string passphrase = new_passphrase();
  TRY_VOID(making.write(kKeysPassphraseFile, passphrase + "\n"));
  return create_online_keys(making.disk, making.dir + "/" + kKeysDir, passphrase);
}

// "image-root.key", then "image-root-2.key" and so on.
Result<void> write_root_keys(const Making& making, const std::string& name,
                             const std::vector<std::unique_ptr<crypto::MemorySigner>>& keys,
                             std::string_view passphrase) {
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const std::string suffix = i == 0 ? "" : fmt::format("-{}", i + 1);
    const std::string path = fmt::format("{}/offline/{}{}.key", making.dir, name, suffix);
    TRY_VOID(crypto::write_key_file(making.disk, path, *keys[i], passphrase,
                                    making.options.offline_cost));
  }
  return {};
}

Result<OfflineKeys> make_offline_keys(const Making& making) {
  TRY_VOID(making.make_dir("offline"));
  const std::string passphrase = making.options.offline_passphrase.value_or(new_passphrase());
  if (!making.options.offline_passphrase)
    TRY_VOID(making.write("offline/passphrase", passphrase + "\n"));
  OfflineKeys keys = generate_offline_keys(making.options.root_keys);
  TRY_VOID(write_root_keys(making, "image-root", keys.image_root, passphrase));
  TRY_VOID(write_root_keys(making, "director-root", keys.director_root, passphrase));
  TRY_VOID(crypto::write_key_file(making.disk, making.dir + "/offline/image-targets.key",
                                  *keys.image_targets, passphrase, making.options.offline_cost));
  return keys;
}

Result<void> make_provision(const Making& making, const FirstDocuments& first,
                            const OnlineKeys& online) {
  TRY_VOID(making.write("provision/image-root.json", as_text(first.image_root)));
  TRY_VOID(making.write("provision/director-root.json", as_text(first.director_root)));
  const auto licence = manifest::PublicKey::of(*online.licence);
  TRY_VOID(making.write("provision/licence-key.json", to_stored(licence.to_json())));
  return write_audit_key_part(making.disk, making.dir + "/" + kAuditKeyPart, *online.audit);
}

Result<void> make_store(const Making& making, const FirstDocuments& first,
                        const OnlineKeys& online) {
  TRY_VOID(making.make_dir(kStoreDir));
  const auto store = TRY(RocksDbStore::open(making.dir + "/" + kStoreDir));
  TRY_VOID(seed_repositories(*store, online, first, making.now));
  const NewAccount made = TRY(commit_with_retry(*store, [&](Change& change) {
    return create_account(change, {.name = "operator", .role = Role::kOperator, .email = {}},
                          making.now);
  }));
  return making.write("operator.token", made.token + "\n");
}

Result<void> fill(const Making& making) {
  TRY_VOID(making.write(kConfigFile, making.options.config_text));
  TRY_VOID(make_tls(making));
  const OnlineKeys online = TRY(make_online_keys(making));
  const OfflineKeys offline = TRY(make_offline_keys(making));
  const FirstDocuments first =
      TRY(make_first_documents(offline, online, making.options.root_threshold, making.now));
  TRY_VOID(make_provision(making, first, online));
  return make_store(making, first, online);
}

Result<void> check_absent(Disk& disk, const std::string& path, std::string_view advice) {
  const Result<FileStatus> status = disk.status(path);
  if (status) return fail(ErrorCode::kAlreadyExists, "{} is there already{}", path, advice);
  if (status.error().code() == ErrorCode::kNotFound) return {};
  return fail(status.error());
}

}  // namespace

Result<void> write_audit_key_part(Disk& disk, const std::string& path, const crypto::Signer& key) {
  const auto part = manifest::PublicKey::of(key);
  return replace_file(disk, path, as_bytes(to_stored(part.to_json())));
}

Result<void> check_audit_key_part(Disk& disk, const std::string& path, const crypto::Signer* key) {
  const Result<Bytes> bytes = read_file(disk, path, kMiB);
  if (!bytes && bytes.error().code() == ErrorCode::kNotFound) return {};
  if (!bytes) return fail(Error(bytes.error()).with_context(path));
  const manifest::Json json = TRY_CONTEXT(manifest::parse_strict(*bytes, {kMiB}), path);
  const auto published = TRY_CONTEXT(manifest::PublicKey::from_json(json), path);
  if (key == nullptr)
    return fail(ErrorCode::kConflict, "{} is there, but not the key that it is the public part of",
                path);
  if (published == manifest::PublicKey::of(*key)) return {};
  return fail(ErrorCode::kConflict, "{} is the public part of another key", path);
}

Result<void> init_data_dir(Disk& disk, const Clock& clock, const InitOptions& options) {
  std::string target = options.data_dir;
  while (target.size() > 1 && target.back() == '/') target.pop_back();
  if (target.empty() || target == "/")
    return fail(ErrorCode::kInvalidArgument, "the data directory needs a name");
  if (options.root_keys < 1 || options.root_keys > 16)
    return fail(ErrorCode::kInvalidArgument, "1 to 16 keys for each root");
  const Making making{disk, options, target + ".incomplete", clock.now()};
  TRY_VOID(check_absent(disk, target, ""));
  TRY_VOID(check_absent(disk, making.dir, ", left by an init that was interrupted: remove it"));
  TRY_VOID(disk.make_dirs(making.dir));
  if (const Result<void> filled = fill(making); !filled) {
    TRY_VOID(disk.remove_tree(making.dir));
    return fail(filled.error());
  }
  TRY_VOID(disk.sync_dir(making.dir));
  TRY_VOID(disk.rename(making.dir, target));
  return disk.sync_dir(parent_dir(target));
}

}  // namespace layby::server
