// What the offline ceremony must never write over: keys and signed documents, of which there may be
// no second copy.
#include <array>
#include <catch2/catch.hpp>

#include "base/clock.h"
#include "crypto/digest.h"
#include "manifest/ceremony.h"
#include "manifest/envelope.h"
#include "manifest/metadata_json.h"
#include "server/cli/ceremony_commands.h"
#include "tests/temp_dir.h"

using namespace layby;
using namespace layby::cli;
using layby::tests::TempDir;
using manifest::Role;

namespace {

class Offline {
 public:
  Offline() {
    put("passphrase", "correct horse battery staple\n");
    REQUIRE(create_key(wanted("a.key", "a.json")));
  }

  std::string path(const std::string& name) const { return home_ / name; }
  std::string passphrase() const { return path("passphrase"); }
  NewKey wanted(const std::string& key, const std::string& public_out) const {
    return {.out = path(key),
            .passphrase_file = passphrase(),
            .public_out = path(public_out),
            .cost = "interactive"};
  }
  void put(const std::string& name, const std::string& text) {
    REQUIRE(replace_file(disk_, path(name), as_bytes(text)));
  }
  Bytes bytes(const std::string& name) {
    auto read = read_file(disk_, path(name), 1 << 20);
    REQUIRE(read);
    return std::move(*read);
  }
  bool exists(const std::string& name) { return disk_.status(path(name)).has_value(); }
  Result<void> show_public(const std::string& out) const {
    return show_public_key({path("a.key"), passphrase()}, path(out));
  }
  Result<void> first_root(const std::string& out) const {
    NewRoot root;
    root.out = path(out);
    for (const Role role : manifest::kRoles) root.keys[role] = {path("a.json")};
    return init_root(root);
  }
  Result<void> sign(const std::string& root) const {
    return sign_root_file({path(root), "", "", "", {path("a.key"), passphrase()}});
  }
  Result<void> renew(const std::string& in, const std::string& out) const {
    RootChange change;
    change.in = path(in);
    change.out = path(out);
    return change_root(change);
  }

 private:
  TempDir home_;
  RealDisk disk_;
};

void refused(const Result<void>& result) {
  REQUIRE_FALSE(result);
  INFO(result.error().message());
  CHECK(result.error().code() == ErrorCode::kAlreadyExists);
}

}  // namespace

TEST_CASE("ceremony: nothing is written over a private key") {
  Offline offline;
  const Bytes key = offline.bytes("a.key");
  refused(offline.show_public("a.key"));
  refused(offline.show_public("./a.key"));
  refused(offline.first_root("a.key"));
  refused(make_targets_draft({.in = "", .out = offline.path("a.key")}));
  refused(create_key(offline.wanted("b.key", "a.key")));
  CHECK_FALSE(offline.exists("b.key"));  // not even half of what was asked
  for (const char* same : {"b.key", "./b.key"}) {
    const auto made = create_key(offline.wanted("b.key", same));
    REQUIRE_FALSE(made);
    CHECK(made.error().code() == ErrorCode::kInvalidArgument);
    CHECK_FALSE(offline.exists("b.key"));
  }
  REQUIRE(offline.first_root("root.json"));
  refused(offline.renew("root.json", "a.key"));
  CHECK(offline.bytes("a.key") == key);
}

TEST_CASE("ceremony: a public part replaces a public part, or an empty file, and nothing else") {
  Offline offline;
  const Bytes part = offline.bytes("a.json");
  REQUIRE(create_key(offline.wanted("b.key", "b.json")));
  REQUIRE(offline.show_public("b.json"));
  CHECK(offline.bytes("b.json") == part);
  offline.put("empty", "");
  REQUIRE(offline.show_public("empty"));
  CHECK(offline.bytes("empty") == part);
  offline.put("notes", "call the other two keepers\n");
  refused(offline.show_public("notes"));
}

TEST_CASE("ceremony: a draft may be made anew in place, a signed document may not") {
  Offline offline;
  REQUIRE(offline.first_root("root.json"));
  REQUIRE(offline.first_root("root.json"));
  REQUIRE(offline.renew("root.json", "root.json"));
  REQUIRE(offline.sign("root.json"));
  const Bytes published = offline.bytes("root.json");
  refused(offline.renew("root.json", "root.json"));
  refused(offline.first_root("root.json"));
  CHECK(offline.bytes("root.json") == published);
  REQUIRE(offline.renew("root.json", "next.json"));

  const NewTargets first{.in = "", .out = offline.path("targets.json")};
  REQUIRE(make_targets_draft(first));
  REQUIRE(make_targets_draft(first));
  refused(offline.first_root("targets.json"));  // a draft, of something else
  REQUIRE(sign_targets_file({offline.path("targets.json"),
                             offline.path("root.json"),
                             "",
                             "",
                             {offline.path("a.key"), offline.passphrase()}}));
  const Bytes targets = offline.bytes("targets.json");
  refused(make_targets_draft(
      {.in = offline.path("targets.json"), .out = offline.path("targets.json")}));
  CHECK(offline.bytes("targets.json") == targets);
}

TEST_CASE("ceremony: an image that is left out of the next targets is withdrawn with them") {
  Offline offline;
  manifest::Targets targets;
  targets.version = 4;
  targets.expires = SystemClock().now() + kDaySeconds;
  for (const char* name : {"maps/DE/1.tar", "maps/FR/1.tar"}) {
    targets.targets[name].length = 3;
    targets.targets[name].hashes.sha256 = crypto::sha256(as_bytes("map"));
  }
  const auto key = crypto::MemorySigner::generate();
  const std::array<const crypto::Signer*, 1> by{key.get()};
  offline.put("targets.json", std::string(as_text(manifest::make_targets(targets, by).value())));
  NewTargets next{.in = offline.path("targets.json"), .out = offline.path("next.json")};
  next.without = {"maps/DE/1.tar", "maps/IT/1.tar"};
  CHECK(make_targets_draft(next).error().code() == ErrorCode::kNotFound);
  next.without = {"maps/DE/1.tar"};
  REQUIRE(make_targets_draft(next));
  const Bytes draft = offline.bytes("next.json");
  const auto read = manifest::decode_targets(
      manifest::Envelope::parse(draft, draft.size()).value().signed_part());
  REQUIRE(read);
  CHECK(read->version == 5);
  CHECK(read->targets.size() == 1);
  CHECK(read->targets.contains("maps/FR/1.tar"));
}

TEST_CASE("ceremony: a supplier is brought in, signs its first targets, and is revoked") {
  Offline offline;
  REQUIRE(offline.first_root("root.json"));
  REQUIRE(create_key(offline.wanted("acme.key", "acme.json")));
  const auto path = [&](const char* name) { return offline.path(name); };
  REQUIRE(make_targets_draft({.in = "", .out = path("targets.json")}));
  DelegationChange change{.in = path("targets.json"),
                          .out = path("targets.json"),
                          .role = "acme",
                          .keys = {path("acme.json")},
                          .paths = {"maps/*/*"},
                          .hardware_ids = {"hu-4"}};
  REQUIRE(delegate(change));
  const KeyReference ours{path("a.key"), offline.passphrase()};
  const KeyReference theirs{path("acme.key"), offline.passphrase()};
  REQUIRE(sign_targets_file({path("targets.json"), path("root.json"), "", "", ours}));

  REQUIRE(make_targets_draft({.in = "", .out = path("role.json")}));
  const Signing by_acme{path("role.json"), "", path("targets.json"), "acme", theirs};
  Signing by_us = by_acme;
  by_us.key = ours;
  CHECK(sign_targets_file(by_us).error().code() == ErrorCode::kForbidden);
  REQUIRE(sign_targets_file(by_acme));
  CHECK(show_targets(by_acme));
  CHECK(show_targets({path("role.json"), "", "", "", {}}).error().code() ==
        ErrorCode::kInvalidArgument);

  change.out = path("role.json");  // which bears signatures
  refused(delegate(change));
  change.out = path("next.json");
  REQUIRE(undelegate(change));
  change.in = path("next.json");
  CHECK(undelegate(change).error().code() == ErrorCode::kNotFound);
  Signing revoked = by_acme;
  revoked.delegator = path("next.json");
  CHECK(show_targets(revoked).error().code() == ErrorCode::kNotFound);
}
