#include "server/release/init.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "crypto/certificate.h"
#include "manifest/json_value.h"
#include "manifest/keys.h"
#include "manifest/repository.h"
#include "server/director/online_keys.h"
#include "server/fleet/account.h"
#include "server/payloads/directory_payload_store.h"
#include "server/release/image_repository.h"
#include "server/release/release_keys.h"
#include "server/services.h"
#include "server/store/rocksdb_store.h"
#include "tests/temp_dir.h"

using namespace layby;
using namespace layby::server;
using namespace layby::tests;

namespace {

constexpr UnixSeconds kNow = 1'795'327'200;

struct Made {
  TempDir temp;
  RealDisk disk;
  ManualClock clock{kNow};
  std::string dir = temp / "data";
  InitOptions options{.data_dir = dir,
                      .config_text = "# laybyd\n",
                      .server_names = {},
                      .offline_passphrase = std::nullopt,
                      .offline_cost = crypto::KeyFileCost::kInteractive};

  std::string text(const std::string& name) {
    return std::string(as_text(read_file(disk, dir + "/" + name, kMiB).value()));
  }
};

unsigned mode_of(const std::filesystem::path& path) {
  struct stat status {};
  REQUIRE(::lstat(path.c_str(), &status) == 0);
  return status.st_mode & 0777;
}

}  // namespace

TEST_CASE("init makes a directory that a server can start from") {
  Made made;
  REQUIRE(init_data_dir(made.disk, made.clock, made.options));
  CHECK(made.text("laybyd.toml") == "# laybyd\n");
  for (const auto& entry : std::filesystem::recursive_directory_iterator(made.dir)) {
    INFO(entry.path());
    if (entry.path().parent_path().filename() == kStoreDir) continue;  // RocksDB's own files
    CHECK(mode_of(entry.path()) == (entry.is_directory() ? 0700u : 0600u));
  }
  CHECK(mode_of(made.dir) == 0700u);

  const std::string passphrase =
      read_passphrase(made.disk, made.dir + "/" + kKeysPassphraseFile).value();
  CHECK(passphrase.size() == 40);
  const OnlineKeys keys =
      load_online_keys(made.disk, made.dir + "/" + kKeysDir, passphrase).value();
  CHECK(load_online_keys(made.disk, made.dir + "/" + kKeysDir, "wrong").error().code() ==
        ErrorCode::kUnauthenticated);
  const auto licence = manifest::PublicKey::of(*keys.licence);
  const auto provisioned =
      manifest::parse_strict(as_bytes(made.text("provision/licence-key.json")), {kMiB}).value();
  CHECK(manifest::PublicKey::from_json(provisioned).value() == licence);
  const auto audit =
      manifest::parse_strict(as_bytes(made.text("provision/audit-key.json")), {kMiB}).value();
  CHECK(manifest::PublicKey::from_json(audit).value() == manifest::PublicKey::of(*keys.audit));
  CHECK(made.text("provision/ca.pem") == made.text("tls/ca.pem"));

  const auto store = RocksDbStore::open(made.dir + "/" + kStoreDir).value();
  std::string token = made.text("operator.token");
  REQUIRE(token.back() == '\n');
  token.pop_back();
  const auto holder = find_token(*store, token, kNow).value();
  REQUIRE(holder);
  CHECK(holder->role == Role::kOperator);
}

TEST_CASE("the provisioned roots lead a client to the first targets; root keys are offline") {
  Made made;
  REQUIRE(init_data_dir(made.disk, made.clock, made.options));
  const auto store = RocksDbStore::open(made.dir + "/" + kStoreDir).value();
  manifest::TrustedRepository client =
      manifest::TrustedRepository::load({.root = to_bytes(made.text("provision/image-root.json")),
                                         .timestamp = {},
                                         .snapshot = {},
                                         .targets = {}})
          .value();
  const auto timestamp = decode_cached(store->get(kImageTimestampKey)->value()).value();
  REQUIRE(client.accept_timestamp(as_bytes(timestamp.bytes), kNow));
  REQUIRE(client.accept_snapshot(as_bytes(store->get(image_snapshot_key(1))->value()), kNow));
  REQUIRE(client.accept_targets(as_bytes(store->get(image_targets_key(1))->value()), kNow));
  CHECK((*client.targets())->targets.empty());
  CHECK(client.check_current(kNow));
  CHECK(client.root()->expires == kNow + 2 * 365 * kDaySeconds);
  CHECK((*client.targets())->expires == kNow + 365 * kDaySeconds);

  const std::string passphrase = made.text("offline/passphrase");
  const auto root_key = crypto::read_key_file(made.disk, made.dir + "/offline/image-root.key",
                                              passphrase.substr(0, passphrase.size() - 1))
                            .value();
  const auto id = manifest::PublicKey::from_ed25519(root_key->public_key()).id();
  CHECK(client.root()->roles.at(manifest::Role::kRoot).key_ids == std::vector{id});
  const auto director = manifest::TrustedRepository::load(
      {.root = to_bytes(made.text("provision/director-root.json")),
       .timestamp = {},
       .snapshot = {},
       .targets = {}});
  REQUIRE(director);
  for (const auto& [role, keys] : director->root()->roles)
    for (const auto& [image_role, image_keys] : client.root()->roles)
      CHECK(keys.key_ids != image_keys.key_ids);
}

TEST_CASE("init takes a threshold of root keys, a passphrase and names for the certificate") {
  Made made;
  made.options.root_keys = 3;
  made.options.root_threshold = 2;
  made.options.offline_passphrase = "correct horse";
  made.options.server_names = {"ota.example", "192.0.2.7", "localhost"};
  REQUIRE(init_data_dir(made.disk, made.clock, made.options));
  CHECK_FALSE(std::filesystem::exists(made.dir + "/offline/passphrase"));
  for (const char* name : {"image-root", "image-root-2", "image-root-3", "director-root-3"})
    CHECK(
        crypto::read_key_file(made.disk, made.dir + "/offline/" + name + ".key", "correct horse"));
  const auto client =
      manifest::TrustedRepository::load({.root = to_bytes(made.text("provision/image-root.json")),
                                         .timestamp = {},
                                         .snapshot = {},
                                         .targets = {}});
  REQUIRE(client);
  CHECK(client->root()->roles.at(manifest::Role::kRoot).threshold == 2);
  CHECK(crypto::read_certificate(made.text("tls/server.pem"))->common_name == "ota.example");
}

TEST_CASE("init refuses what is there already, and leaves nothing behind when it fails") {
  Made made;
  REQUIRE(made.disk.make_dirs(made.dir));
  CHECK(init_data_dir(made.disk, made.clock, made.options).error().code() ==
        ErrorCode::kAlreadyExists);
  REQUIRE(made.disk.remove(made.dir));
  const auto refused = [&](const char* what) {
    INFO(what);
    CHECK(init_data_dir(made.disk, made.clock, made.options).error().code() ==
          ErrorCode::kInvalidArgument);
    CHECK(made.disk.list(made.temp.path())->empty());
  };
  made.options.server_names = {"a,DNS:evil.example"};
  refused("a name that would add another");
  made.options.server_names = {};
  made.options.root_threshold = 2;
  refused("a threshold without the keys");
  made.options.root_keys = 0;
  refused("no root key");
}
