// The engine against the attacks of TUF 1.0.34, section 1.5.2, one test each. P5.1 and P5.3 stand
// on it.
#include "manifest/repository.h"

#include "base/limits.h"
#include "manifest/director.h"
#include "manifest/envelope.h"
#include "manifest/json_value.h"
#include "tests/manifest/test_repository.h"

namespace layby::tests {
namespace {

using namespace manifest;

Target some_target(std::string_view content) {
  return {
      content.size(), {crypto::sha256(as_bytes(content)), crypto::sha512(as_bytes(content))}, {}};
}

TEST_CASE("a first refresh asks for each file once, in order, and trusts them") {
  TestRepository repository;
  repository.targets.targets["maps/DE/1.tar"] = some_target("map");
  repository.release();
  TrustedRepository client = repository.client();
  CHECK(client.targets() == nullptr);
  CHECK(code_of(client.check_current(kNow)) == ErrorCode::kUnavailable);
  std::vector<std::string> asked;
  must(repository.refresh(client, kNow, &asked));
  CHECK(asked == std::vector<std::string>{"2.root.json", "timestamp.json", "2.snapshot.json",
                                          "2.targets.json"});
  REQUIRE(client.targets() != nullptr);
  CHECK((*client.targets())->targets.at("maps/DE/1.tar") == some_target("map"));
  must(client.check_current(kNow));
}

TEST_CASE("a refresh with nothing new asks for the next root and the timestamp only") {
  TestRepository repository;
  TrustedRepository client = repository.client();
  must(repository.refresh(client));
  std::vector<std::string> asked;
  must(repository.refresh(client, kNow, &asked));
  CHECK(asked == std::vector<std::string>{"2.root.json", "timestamp.json"});
}

TEST_CASE("without consistent snapshots the names carry no version") {
  TestRepository repository;
  repository.root.consistent_snapshot = false;
  repository.publish_root();
  repository.files.erase("1.snapshot.json");
  repository.files.erase("1.targets.json");
  repository.publish_roles();
  TrustedRepository client = repository.client();
  std::vector<std::string> asked;
  must(repository.refresh(client, kNow, &asked));
  CHECK(asked ==
        std::vector<std::string>{"2.root.json", "timestamp.json", "snapshot.json", "targets.json"});
}

TEST_CASE("what was accepted is loaded again from its bytes") {
  TestRepository repository;
  TrustedRepository client = repository.client();
  must(repository.refresh(client));
  TrustedRepository again = must(TrustedRepository::load(client.stored()));
  REQUIRE(again.targets() != nullptr);
  CHECK(again.targets()->bytes() == client.targets()->bytes());

  SECTION("expired metadata loads, but is not current") {
    CHECK(code_of(again.check_current(kLater)) == ErrorCode::kFreeze);
  }
  SECTION("what is damaged on the disk is fetched again") {
    StoredRoles stored = client.stored();
    stored.snapshot->at(40) ^= 1;
    TrustedRepository damaged = must(TrustedRepository::load(stored));
    CHECK(damaged.snapshot() == nullptr);
    CHECK(damaged.targets() == nullptr);
    std::vector<std::string> asked;
    must(repository.refresh(damaged, kNow, &asked));
    CHECK(asked == std::vector<std::string>{"2.root.json", "timestamp.json", "1.snapshot.json"});
  }
}

TEST_CASE("the trusted root must be signed by itself") {
  TestRepository repository;
  StoredRoles stored{repository.files.at("1.root.json"), {}, {}, {}};
  stored.root = replaced(stored.root, "\"version\":1", "\"version\":2");
  CHECK(code_of(TrustedRepository::load(stored)) == ErrorCode::kBadSignature);
}

TEST_CASE("changes come in the order in which they must be stored") {
  TestRepository repository;
  TrustedRepository client = repository.client();
  Refresh refresh(client, kNow);
  std::vector<Role> stored;
  while (const auto request = refresh.next()) {
    const auto file = repository.files.find(request->file);
    must(file == repository.files.end() ? refresh.give_absent() : refresh.give(file->second));
    for (const auto& change : refresh.take_changes()) {
      REQUIRE(change.bytes);
      CHECK(*change.bytes == repository.files.at(request->file));
      stored.push_back(change.role);
    }
  }
  CHECK(stored == std::vector<Role>{Role::kTimestamp, Role::kSnapshot, Role::kTargets});
}

TEST_CASE("arbitrary software: a role signed by unknown keys is refused") {
  for (const Role role : {Role::kTimestamp, Role::kSnapshot, Role::kTargets}) {
    CAPTURE(to_string(role));
    TestRepository repository;
    TrustedRepository client = repository.client();
    repository.keys[role] = {new_key()};
    repository.release();
    CHECK(code_of(repository.refresh(client)) == ErrorCode::kBadSignature);
  }
}

TEST_CASE("arbitrary software: one changed byte breaks the signature") {
  TestRepository repository;
  TrustedRepository client = repository.client();
  auto& timestamp = repository.files.at("timestamp.json");
  timestamp = replaced(timestamp, "\"version\":1", "\"version\":9");
  CHECK(code_of(repository.refresh(client)) == ErrorCode::kBadSignature);
}

TEST_CASE("threshold: one signature too few is refused, enough are taken") {
  TestRepository repository;
  repository.keys[Role::kTargets] = {new_key(), new_key(), new_key()};
  repository.assign_keys();
  repository.root.roles[Role::kTargets].threshold = 2;
  repository.publish_root();
  const auto all = repository.keys[Role::kTargets];
  TrustedRepository client = repository.client();

  repository.keys[Role::kTargets] = {all[1]};
  repository.publish_roles();
  CHECK(code_of(repository.refresh(client)) == ErrorCode::kBadSignature);

  repository.keys[Role::kTargets] = {all[2], all[0]};
  repository.release();
  must(repository.refresh(client));
}

TEST_CASE("threshold: one key under two ids counts once") {
  TestRepository repository;
  const KeyPointer key = repository.keys[Role::kTimestamp][0];
  const KeyId id = PublicKey::from_ed25519(key->public_key()).id();
  const KeyId alias(64, 'a');
  repository.root.keys.emplace(alias, PublicKey::from_ed25519(key->public_key()));
  repository.root.roles[Role::kTimestamp] = {{id, alias}, 2};
  repository.publish_root();

  auto& file = repository.files.at("timestamp.json");
  Json document = must(parse_strict(file, {.bytes_max = kMiB}));
  Json second = document["signatures"][0];
  second["keyid"] = alias;
  document["signatures"].push_back(second);
  file = to_bytes(must(to_wire(document)));
  TrustedRepository client = repository.client();
  CHECK(code_of(repository.refresh(client)) == ErrorCode::kBadSignature);
}

TEST_CASE("threshold: nine copies of one signature are refused") {
  TestRepository repository;
  auto& file = repository.files.at("timestamp.json");
  Json document = must(parse_strict(file, {.bytes_max = kMiB}));
  for (int i = 0; i < 8; ++i) document["signatures"].push_back(Json(document["signatures"][0]));
  file = to_bytes(must(to_wire(document)));
  TrustedRepository client = repository.client();
  CHECK(code_of(repository.refresh(client)) == ErrorCode::kBadFormat);
}

TEST_CASE("bad and unknown signatures beside enough good ones are tolerated") {
  TestRepository repository;
  const KeyPointer stale = new_key();
  repository.root.add_key(Role::kTimestamp, PublicKey::from_ed25519(stale->public_key()));
  repository.root.keys.emplace(
      "odd", must(PublicKey::from_json(Json{
                 {"keytype", "pigeon"}, {"scheme", "post"}, {"keyval", Json{{"public", "coo"}}}})));
  repository.root.roles[Role::kTimestamp].key_ids.push_back("odd");
  repository.publish_root();
  auto& file = repository.files.at("timestamp.json");
  Json document = must(parse_strict(file, {.bytes_max = kMiB}));
  Json signatures = Json::array();
  const KeyId stale_id = PublicKey::from_ed25519(stale->public_key()).id();
  signatures.push_back(Json{{"keyid", stale_id}, {"sig", std::string(128, '0')}});
  signatures.push_back(Json{{"keyid", "odd"}, {"sig", "aabb"}});
  signatures.push_back(Json{{"keyid", "nobody"}, {"sig", "not hex"}, {"note", "kept"}});
  signatures.push_back(Json{{"keyid", "null"}, {"sig", nullptr}});
  signatures.push_back(Json{{"keyid", "none"}});
  for (int i = 0; i < 20; ++i)
    signatures.push_back(Json{{"keyid", std::to_string(i)}, {"sig", "00"}});
  signatures.push_back(document["signatures"][0]);
  document["signatures"] = signatures;
  file = to_bytes(must(to_wire(document)));
  TrustedRepository client = repository.client();
  must(repository.refresh(client));
}

TEST_CASE("more signatures than anybody needs are refused before they are checked") {
  TestRepository repository;
  auto& file = repository.files.at("timestamp.json");
  Json document = must(parse_strict(file, {.bytes_max = kMiB}));
  for (std::size_t i = 0; i < kSignaturesMax; ++i)
    document["signatures"].push_back(Json{{"keyid", std::to_string(i)}, {"sig", "00"}});
  file = to_bytes(must(to_wire(document)));
  TrustedRepository client = repository.client();
  CHECK(code_of(repository.refresh(client)) == ErrorCode::kBadFormat);
}

TEST_CASE("an entry that cannot be read spoils only itself") {
  TestRepository repository;
  SECTION("a key without a scheme") {
    repository.root.keys.emplace("odd", must(PublicKey::from_json(Json{{"keytype", "pigeon"}},
                                                                  PublicKey::Unreadable::kKept)));
    const Root root = must(decode_root(encode(repository.root)));
    CHECK(root.keys.size() == repository.root.keys.size());
    CHECK_FALSE(root.keys.at("odd").verify({}, {}));
  }
  SECTION("hashes of one role in the snapshot") {
    Json part = encode(repository.snapshot);
    part["meta"]["odd.json"] = Json{{"version", 1}, {"hashes", {{"sha256", "not hexadecimal"}}}};
    const Snapshot snapshot = must(decode_snapshot(part));
    CHECK(snapshot.files.at("odd.json").proof == FileEntry::Proof::kNone);
    CHECK(snapshot.files.at("targets.json").proof != FileEntry::Proof::kNone);
  }
  SECTION("the length of one target") {
    Json part = encode(repository.targets);
    const auto good = repository.targets.targets.size();
    part["targets"]["odd"] =
        Json{{"length", "long"}, {"hashes", {{"sha256", std::string(64, 'a')}}}};
    const Targets targets = must(decode_targets(part));
    CHECK(targets.targets.size() == good + 1);
    CHECK(targets.targets.at("odd").hashes.empty());  // with which nothing can be downloaded
  }
}

TEST_CASE("unknown fields are tolerated and covered by the signature") {
  TestRepository repository;
  Json part = encode(repository.timestamp);
  part["x-extra"] = Json{{"deep", Json::array({1, "two", nullptr, true})}};
  auto& file = repository.files.at("timestamp.json");
  file = must(sign_envelope(part, repository.signers(Role::kTimestamp)));
  TrustedRepository client = repository.client();
  SECTION("kept") {
    must(repository.refresh(client));
  }
  SECTION("changed") {
    file = replaced(file, "two", "six");
    CHECK(code_of(repository.refresh(client)) == ErrorCode::kBadSignature);
  }
  SECTION("removed") {
    file = replaced(file, ",null", "");
    CHECK(code_of(repository.refresh(client)) == ErrorCode::kBadSignature);
  }
}

TEST_CASE("the spelling of a document does not matter, only its contents") {
  TestRepository repository;
  auto& file = repository.files.at("timestamp.json");
  file = replaced(file, "\"signed\":{", " \"signed\" : {\n\t");
  file = replaced(file, "\"timestamp\"", "\"\\u0074imestamp\"");
  TrustedRepository client = repository.client();
  must(repository.refresh(client));
}

TEST_CASE("what a custom part holds may be published again as it was read") {
  TestRepository repository;
  Target& target = repository.targets.targets["maps/DE/1.tar"] = some_target("map");
  target.custom = "{\"note\":\"two\\u000alines\"}";
  repository.release();
  TrustedRepository client = repository.client();
  must(repository.refresh(client));
  const Targets& read = **client.targets();
  CHECK(read.targets.at("maps/DE/1.tar") == target);
  CHECK(encode(read) == encode(repository.targets));
}

TEST_CASE("duplicate keys, floats, huge integers and depth are refused in metadata") {
  const std::pair<std::string_view, std::string> changes[] = {
      {"\"version\":1", "\"version\":1,\"version\":1"},
      {"\"version\":1", "\"version\":1.0"},
      {"\"version\":1", "\"version\":1e0"},
      {"\"version\":1", "\"version\":9007199254740992"},
      {"\"version\":1", "\"version\":1,\"deep\":" + std::string(70, '[') + std::string(70, ']')}};
  for (const auto& [what, by] : changes) {
    CAPTURE(by);
    TestRepository repository;
    auto& file = repository.files.at("timestamp.json");
    file = replaced(file, what, by);
    TrustedRepository client = repository.client();
    CHECK(code_of(repository.refresh(client)) == ErrorCode::kBadJson);
  }
}

// ---- Timestamp, snapshot, targets ---------------------------------------------------------------

TEST_CASE("rollback: an older timestamp") {
  TestRepository repository;
  const auto old_files = repository.files;
  repository.release();
  TrustedRepository client = repository.client();
  must(repository.refresh(client));
  repository.files["timestamp.json"] = old_files.at("timestamp.json");
  CHECK(code_of(repository.refresh(client)) == ErrorCode::kRollback);
  CHECK((*client.timestamp())->version == 2);
}

TEST_CASE("rollback: a newer timestamp that names an older snapshot") {
  TestRepository repository;
  repository.release();
  TrustedRepository client = repository.client();
  must(repository.refresh(client));
  repository.timestamp.version = 3;
  repository.timestamp.snapshot = describe_file(1, repository.files.at("1.snapshot.json"));
  repository.publish_timestamp();
  CHECK(code_of(repository.refresh(client)) == ErrorCode::kRollback);
}

TEST_CASE("an equal timestamp version keeps the old one, whatever the new one says") {
  TestRepository repository;
  TrustedRepository client = repository.client();
  must(repository.refresh(client));
  const Bytes kept = client.timestamp()->bytes();
  repository.timestamp.expires += 1;
  repository.publish_timestamp();
  must(repository.refresh(client));
  CHECK(client.timestamp()->bytes() == kept);
  // But the kept one's expiry still counts.
  CHECK(code_of(repository.refresh(client, kLater)) == ErrorCode::kFreeze);
}

TEST_CASE("rollback: a snapshot in which targets go back or vanish") {
  TestRepository repository;
  repository.snapshot.files["supplier.json"] = FileEntry{3, {}, {}};
  repository.release();
  TrustedRepository client = repository.client();
  must(repository.refresh(client));
  ++repository.snapshot.version;
  ++repository.timestamp.version;
  SECTION("targets go back") {
    repository.snapshot.files["targets.json"] =
        describe_file(1, repository.files.at("1.targets.json"));
  }
  SECTION("a delegated role goes back") {
    repository.snapshot.files["supplier.json"].version = 2;
  }
  SECTION("a delegated role vanishes") {
    repository.snapshot.files.erase("supplier.json");
  }
  repository.publish_snapshot();
  CHECK(code_of(repository.refresh(client)) == ErrorCode::kRollback);
  // The timestamp was good and stays (5.5: it is stored before the snapshot is looked at).
  CHECK((*client.timestamp())->version == repository.timestamp.version);
  CHECK(client.targets() == nullptr);
}

TEST_CASE("mix-and-match: a snapshot or targets other than the parent names") {
  TestRepository repository;
  repository.release();
  TrustedRepository client = repository.client();
  SECTION("old snapshot under the new name") {
    repository.files["2.snapshot.json"] = repository.files["1.snapshot.json"];
  }
  SECTION("old targets under the new name") {
    repository.files["2.targets.json"] = repository.files["1.targets.json"];
  }
  SECTION("another version than the timestamp says, hashes left out") {
    client = must(
        TrustedRepository::load({repository.files.at("1.root.json"), {}, {}, {}}, Rules::kTuf));
    repository.timestamp.snapshot = FileEntry{2, {}, {}};
    repository.timestamp.version = 3;
    repository.publish_timestamp();
    repository.files["2.snapshot.json"] = repository.files["1.snapshot.json"];
  }
  SECTION("another version than the snapshot says, hashes left out") {
    repository.snapshot.files["targets.json"] = FileEntry{2, {}, {}};
    repository.snapshot.version = repository.timestamp.version = 3;
    repository.publish_snapshot();
    repository.files["2.targets.json"] = repository.files["1.targets.json"];
  }
  SECTION("longer than the timestamp says is endless data") {
    repository.files["2.snapshot.json"].push_back(' ');
    CHECK(code_of(repository.refresh(client)) == ErrorCode::kEndlessData);
    return;
  }
  SECTION("shorter than the snapshot says") {
    repository.files["2.targets.json"].pop_back();
  }
  CHECK(code_of(repository.refresh(client)) == ErrorCode::kMixAndMatch);
}

TEST_CASE("mix-and-match: the same version again with other content") {
  TestRepository repository;
  TrustedRepository client = repository.client();
  must(repository.refresh(client));
  SECTION("targets") {
    repository.targets.expires += 1;
    ++repository.snapshot.version;
  }
  SECTION("snapshot") {
    repository.snapshot.expires += 1;
  }
  ++repository.timestamp.version;
  repository.publish_roles();
  TrustedRepository tuf = must(TrustedRepository::load(client.stored(), Rules::kTuf));
  CHECK(code_of(repository.refresh(client)) == ErrorCode::kMixAndMatch);
  // TUF itself does not ask for that (5.5.4, 5.6.4).
  must(repository.refresh(tuf));
}

TEST_CASE("the same version signed once more is the same version") {
  TestRepository repository;
  repository.keys[Role::kTargets].push_back(new_key());
  repository.assign_keys();
  repository.publish_root();
  const auto both = repository.keys[Role::kTargets];
  repository.keys[Role::kTargets] = {both[0]};
  repository.publish_roles();
  TrustedRepository client = repository.client();
  must(repository.refresh(client));
  repository.keys[Role::kTargets] = both;
  ++repository.snapshot.version;
  ++repository.timestamp.version;
  repository.publish_roles();
  must(repository.refresh(client));
  CHECK(client.targets()->bytes() == repository.files.at("1.targets.json"));
}

TEST_CASE("freeze: each role's expiry, fresh or kept") {
  for (const Role role : kRoles) {
    CAPTURE(to_string(role));
    TestRepository repository;
    const UnixSeconds soon = kNow + 100;
    if (role == Role::kRoot) repository.root.expires = soon;
    if (role == Role::kTimestamp) repository.timestamp.expires = soon;
    if (role == Role::kSnapshot) repository.snapshot.expires = soon;
    if (role == Role::kTargets) repository.targets.expires = soon;
    repository.publish_root();
    repository.publish_roles();
    TrustedRepository fresh = repository.client();
    CHECK(code_of(repository.refresh(fresh, soon)) == ErrorCode::kFreeze);
    TrustedRepository kept = repository.client();
    must(repository.refresh(kept, soon - 1));
    must(kept.check_current(soon - 1));
    CHECK(code_of(repository.refresh(kept, soon)) == ErrorCode::kFreeze);
    CHECK(code_of(kept.check_current(soon)) == ErrorCode::kFreeze);
    // Nothing is wedged: new metadata is taken at once.
    repository.root.expires = repository.timestamp.expires = repository.snapshot.expires =
        repository.targets.expires = kLater;
    ++repository.root.version;
    repository.publish_root();
    repository.release();
    must(repository.refresh(kept, soon));
  }
}

TEST_CASE("endless data: more bytes than the cap are refused unread") {
  TestRepository repository;
  TrustedRepository client = repository.client();
  repository.files["timestamp.json"].resize(kTimestampBytesMax + 1, ' ');
  CHECK(code_of(repository.refresh(client)) == ErrorCode::kEndlessData);
  repository.files["timestamp.json"].resize(kTimestampBytesMax);
  must(repository.refresh(client));
}

TEST_CASE("a document of another role, signed by a key that has both, is refused") {
  TestRepository repository;
  repository.keys[Role::kTimestamp] = repository.keys[Role::kSnapshot];
  repository.assign_keys();
  repository.publish_root();
  TrustedRepository client = repository.client();
  repository.files["timestamp.json"] = repository.files["1.snapshot.json"];
  CHECK(code_of(repository.refresh(client)) == ErrorCode::kBadFormat);
}

TEST_CASE("another major version of the specification is refused") {
  TestRepository repository;
  Json part = encode(repository.timestamp);
  part["spec_version"] = "2.0.0";
  repository.files["timestamp.json"] =
      must(sign_envelope(part, repository.signers(Role::kTimestamp)));
  TrustedRepository client = repository.client();
  CHECK(code_of(repository.refresh(client)) == ErrorCode::kUnsupported);
}

TEST_CASE("a hash that cannot be checked is not the same as none") {
  TestRepository repository;
  Json part = encode(repository.timestamp);
  part["meta"]["snapshot.json"]["hashes"] = Json{{"md5", "00"}};
  repository.files["timestamp.json"] =
      must(sign_envelope(part, repository.signers(Role::kTimestamp)));
  TrustedRepository client = repository.client();
  CHECK(code_of(repository.refresh(client)) == ErrorCode::kBadFormat);
}

TEST_CASE("Uptane: a timestamp names the hash of its snapshot") {
  TestRepository repository;
  repository.timestamp.snapshot.hashes = {};
  repository.publish_timestamp();
  TrustedRepository client = repository.client();
  CHECK(code_of(repository.refresh(client)) == ErrorCode::kBadFormat);
  auto plain =
      must(TrustedRepository::load({repository.files.at("1.root.json"), {}, {}, {}}, Rules::kTuf));
  CHECK(repository.refresh(plain));
}

TEST_CASE("a snapshot's entry with hashes of unknown kinds alone spoils only itself") {
  TestRepository repository;
  const auto refreshed = [&](const char* name) {
    Json part = encode(repository.snapshot);
    part["meta"][name] = Json{{"version", 1}, {"hashes", Json{{"md5", "00"}}}};
    const Bytes snapshot = must(sign_envelope(part, repository.signers(Role::kSnapshot)));
    repository.files["1.snapshot.json"] = snapshot;
    repository.timestamp.snapshot = describe_file(1, snapshot);
    repository.publish_timestamp();
    TrustedRepository client = repository.client();
    return code_of(repository.refresh(client));
  };
  CHECK(refreshed("somebody.json") == std::nullopt);
  CHECK(refreshed("targets.json") == ErrorCode::kBadFormat);
}

TEST_CASE("a server checks the next targets before it publishes them") {
  TestRepository repository;
  TrustedRepository client = repository.client();
  must(repository.refresh(client));
  repository.targets.version = 2;
  repository.targets.targets["maps/DE/1.tar"] = some_target("map");
  const auto sign = [&] {
    return must(make_targets(repository.targets, repository.signers(Role::kTargets)));
  };
  CHECK(must(client.check_next_targets(sign(), kNow)).targets.size() == 1);
  CHECK(code_of(client.check_next_targets(sign(), kLater)) == ErrorCode::kFreeze);
  repository.targets.version = 1;
  CHECK(code_of(client.check_next_targets(sign(), kNow)) == ErrorCode::kRollback);
  repository.keys[Role::kTargets] = {new_key()};
  CHECK(code_of(client.check_next_targets(sign(), kNow)) == ErrorCode::kBadSignature);
}

TEST_CASE("a root that says nothing of consistent snapshots has none (TUF 4.3)") {
  TestRepository repository;
  for (const bool said : {false, true}) {
    Json part = encode(repository.root);
    if (!said) part.erase("consistent_snapshot");
    const auto loaded = must(TrustedRepository::load(
        {must(sign_envelope(part, repository.signers(Role::kRoot))), {}, {}, {}}));
    CHECK(loaded.root()->consistent_snapshot == said);
  }
}

TEST_CASE("malformed roots are refused") {
  TestRepository repository;
  const Json good = encode(repository.root);
  const auto attempt = [&](const Json& part) {
    return code_of(TrustedRepository::load(
        {must(sign_envelope(part, repository.signers(Role::kRoot))), {}, {}, {}}));
  };
  CHECK(attempt(good) == std::nullopt);
  Json part = good;
  part["roles"].erase("snapshot");
  CHECK(attempt(part) == ErrorCode::kBadFormat);
  part = good;
  part["roles"]["root"]["threshold"] = 0;
  CHECK(attempt(part) == ErrorCode::kBadFormat);
  part = good;
  part["roles"]["root"]["keyids"].push_back(Json(part["roles"]["root"]["keyids"][0]));
  CHECK(attempt(part) == ErrorCode::kBadFormat);
  part = good;
  part["version"] = 0;
  CHECK(attempt(part) == ErrorCode::kBadFormat);
  part = good;
  part["expires"] = "2030-02-30T00:00:00Z";
  CHECK(attempt(part) == ErrorCode::kBadFormat);
  part = good;
  part["_type"] = "targets";
  CHECK(attempt(part) == ErrorCode::kBadFormat);
}

TEST_CASE(
    "a Director's documents for another vehicle change nothing, however high their versions") {
  const Vin own = must(Vin::parse("WVWZZZ1JZXW000017")),
            other = must(Vin::parse("WVWZZZ1JZXW000025"));
  TestRepository director;
  const auto name = [&](const Vin& vin) {
    director.timestamp.custom = director.snapshot.custom = director.targets.custom =
        director_custom(vin);
  };
  name(own);
  director.publish_roles();
  TrustedRepository car = director.client();
  car.expect_vehicle(own);
  must(director.refresh(car));

  director.timestamp.version = director.snapshot.version = director.targets.version = 10;
  name(other);
  director.publish_roles();
  CHECK(code_of(director.refresh(car)) == ErrorCode::kWrongVehicle);
  director.timestamp.custom = director_custom(own);
  director.publish_roles();
  CHECK(code_of(director.refresh(car)) == ErrorCode::kWrongVehicle);  // the snapshot's
  CHECK((*car.snapshot())->version == 1);
  director.timestamp.version = 11;
  director.snapshot.custom = director_custom(own);
  director.publish_roles();
  CHECK(code_of(director.refresh(car)) == ErrorCode::kWrongVehicle);  // the targets'
  CHECK(code_of(car.accept_targets_alone(director.files.at("10.targets.json"), kNow)) ==
        ErrorCode::kWrongVehicle);

  // One that is for no car is for none, from the first on.
  for (auto* custom :
       {&director.timestamp.custom, &director.snapshot.custom, &director.targets.custom}) {
    name(own);
    custom->clear();
    director.publish_roles();
    TrustedRepository fresh = director.client();
    fresh.expect_vehicle(own);
    CHECK(code_of(director.refresh(fresh)) == ErrorCode::kWrongVehicle);
  }

  TrustedRepository without = director.client();  // an Image repository is for every vehicle
  CHECK(director.refresh(without));
}

}  // namespace
}  // namespace layby::tests
