// The root chain, and what a new root does to what was trusted (TUF 1.0.34, section 5.3).
#include "base/limits.h"
#include "manifest/json_value.h"
#include "tests/manifest/test_repository.h"

namespace layby::tests {
namespace {

using namespace manifest;

TEST_CASE("a root chain is walked to its end, expired steps or not") {
  TestRepository repository;
  TrustedRepository client = repository.client();
  for (int i = 0; i < 3; ++i) {
    const auto old_keys = repository.keys[Role::kRoot];
    repository.keys[Role::kRoot] = {new_key(), new_key()};
    repository.assign_keys();
    repository.root.roles[Role::kRoot].threshold = 2;
    ++repository.root.version;
    repository.root.expires = i < 2 ? kNow - 1 : kLater;
    repository.publish_root(old_keys);
  }
  must(repository.refresh(client));
  CHECK(client.root()->version == 4);
}

TEST_CASE("freeze: the last root of the chain must not be expired") {
  TestRepository repository;
  repository.root.expires = kNow;
  repository.publish_root();
  TrustedRepository client = repository.client();
  CHECK(code_of(repository.refresh(client)) == ErrorCode::kFreeze);
  must(repository.refresh(client, kNow - 1));
}

TEST_CASE("a root needs the threshold of the old keys and that of its own") {
  TestRepository repository;
  repository.keys[Role::kRoot] = {new_key(), new_key()};
  repository.assign_keys();
  repository.root.roles[Role::kRoot].threshold = 2;
  repository.publish_root();
  TrustedRepository client = repository.client();
  const auto old_keys = repository.keys[Role::kRoot];
  repository.keys[Role::kRoot] = {new_key(), new_key()};
  repository.assign_keys();
  ++repository.root.version;

  SECTION("one old key too few") {
    repository.publish_root({old_keys[0]});
    CHECK(code_of(repository.refresh(client)) == ErrorCode::kBadSignature);
  }
  SECTION("one new key too few") {
    repository.keys[Role::kRoot].pop_back();
    repository.publish_root(old_keys);
    CHECK(code_of(repository.refresh(client)) == ErrorCode::kBadSignature);
  }
  SECTION("both") {
    repository.publish_root(old_keys);
    must(repository.refresh(client));
  }
}

TEST_CASE("a root is exactly the next version") {
  TestRepository repository;
  TrustedRepository client = repository.client();
  SECTION("the same again: rollback") {
    repository.files["2.root.json"] = repository.files["1.root.json"];
    CHECK(code_of(repository.refresh(client)) == ErrorCode::kRollback);
  }
  SECTION("one left out") {
    repository.root.version = 3;
    repository.publish_root();
    repository.files["2.root.json"] = repository.files["3.root.json"];
    CHECK(code_of(repository.refresh(client)) == ErrorCode::kMixAndMatch);
  }
}

TEST_CASE("endless data: one refresh walks through so many new roots and goes on from there") {
  TestRepository repository;
  TrustedRepository client = repository.client();
  for (int i = 0; i < kRootRotationsMax + 3; ++i) {
    ++repository.root.version;
    repository.publish_root();
  }
  // 5.3.3: then it goes on with what it has; that one must not be expired.
  std::vector<std::string> asked;
  must(repository.refresh(client, kNow, &asked));
  CHECK(asked.at(kRootRotationsMax) == "timestamp.json");
  CHECK(client.root()->version == static_cast<Version>(kRootRotationsMax + 1));
  must(repository.refresh(client));
  CHECK(client.root()->version == static_cast<Version>(kRootRotationsMax + 4));

  TrustedRepository late = repository.client();
  CHECK(code_of(repository.refresh(late, kLater)) == ErrorCode::kFreeze);
}

TEST_CASE("a missing file is the end of the root chain and nowhere else") {
  TestRepository repository;
  repository.files.erase("timestamp.json");
  TrustedRepository client = repository.client();
  CHECK(code_of(repository.refresh(client)) == ErrorCode::kNotFound);
}

TEST_CASE("fast-forward: rotated keys make the versions start anew") {
  for (const Role rotated : {Role::kTimestamp, Role::kSnapshot, Role::kTargets}) {
    CAPTURE(to_string(rotated));
    TestRepository repository;
    TrustedRepository client = repository.client();
    // A thief of the online keys runs the versions up.
    repository.timestamp.version = repository.snapshot.version = kJsonIntegerMax;
    if (rotated == Role::kTargets) repository.targets.version = kJsonIntegerMax;
    repository.publish_roles();
    must(repository.refresh(client));
    // The owner takes the key away, and the others too if the targets' was stolen.
    repository.keys[rotated] = {new_key()};
    if (rotated == Role::kTargets) repository.keys[Role::kSnapshot] = {new_key()};
    repository.assign_keys();
    ++repository.root.version;
    repository.publish_root();
    repository.timestamp.version = repository.snapshot.version = repository.targets.version = 3;
    repository.publish_roles();

    Refresh refresh(client, kNow);
    must(refresh.give(repository.files.at("2.root.json")));
    std::vector<std::pair<Role, bool>> stored;
    for (const auto& change : refresh.take_changes())
      stored.emplace_back(change.role, change.bytes.has_value());
    CHECK(stored.front() == std::pair(Role::kTimestamp, false));
    CHECK(stored.back() == std::pair(Role::kRoot, true));
    must(repository.refresh(client));
    CHECK((*client.timestamp())->version == 3);
    CHECK((*client.targets())->version == 3);
  }
}

TEST_CASE("fast-forward of targets: in TUF the snapshot's keys vouch for versions") {
  TestRepository repository;
  repository.targets.version = kJsonIntegerMax;
  repository.publish_roles();
  const auto load = [&](Rules rules, const StoredRoles& stored) {
    return must(TrustedRepository::load(stored, rules));
  };
  TrustedRepository tuf = load(Rules::kTuf, repository.client().stored());
  TrustedRepository uptane = repository.client();
  must(repository.refresh(tuf));
  must(repository.refresh(uptane));
  repository.keys[Role::kSnapshot] = {new_key()};
  repository.assign_keys();
  ++repository.root.version;
  repository.publish_root();
  repository.targets.version = 3;
  repository.publish_roles();
  // Also when the process ended between the new root and the new targets.
  TrustedRepository again = load(Rules::kTuf, tuf.stored());
  must(repository.refresh(again));
  CHECK((*again.targets())->version == 3);
  must(repository.refresh(tuf));
  CHECK((*tuf.targets())->version == 3);
  // Uptane compares with the targets of before (5.4.4.6): their keys must be rotated too.
  CHECK(code_of(repository.refresh(uptane)) == ErrorCode::kRollback);
}

TEST_CASE("targets that a new root still stands behind are not fetched again") {
  TestRepository repository;
  TrustedRepository client =
      must(TrustedRepository::load(repository.client().stored(), Rules::kTuf));
  must(repository.refresh(client));
  repository.keys[Role::kSnapshot] = {new_key()};
  repository.assign_keys();
  ++repository.root.version;
  repository.publish_root();
  ++repository.snapshot.version;
  ++repository.timestamp.version;
  repository.publish_snapshot();
  std::vector<std::string> asked;
  must(repository.refresh(client, kNow, &asked));
  CHECK(asked == std::vector<std::string>{"2.root.json", "3.root.json", "timestamp.json",
                                          "2.snapshot.json"});
}

TEST_CASE("a threshold that rises is no rotation: files stay, but must be signed anew") {
  TestRepository repository;
  repository.keys[Role::kSnapshot] = {new_key(), new_key()};
  repository.assign_keys();
  repository.publish_root();
  const auto both = repository.keys[Role::kSnapshot];
  repository.keys[Role::kSnapshot] = {both[0]};
  repository.publish_roles();
  TrustedRepository client = repository.client();
  must(repository.refresh(client));
  ++repository.root.version;
  repository.root.roles[Role::kSnapshot].threshold = 2;
  repository.publish_root();
  Refresh refresh(client, kNow);
  must(refresh.give(repository.files.at("2.root.json")));
  const auto changes = refresh.take_changes();
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].role == Role::kRoot);
  CHECK(client.snapshot() == nullptr);
  CHECK(client.timestamp() != nullptr);
  CHECK(code_of(repository.refresh(client)) == ErrorCode::kBadSignature);
  repository.keys[Role::kSnapshot] = both;
  ++repository.snapshot.version;
  ++repository.timestamp.version;
  repository.publish_snapshot();
  must(repository.refresh(client));
}

TEST_CASE("a key that is added takes no protection away") {
  TestRepository repository;
  repository.timestamp.version = 5;
  repository.publish_roles();
  TrustedRepository client = repository.client();
  must(repository.refresh(client));
  repository.keys[Role::kTimestamp].push_back(new_key());
  repository.assign_keys();
  ++repository.root.version;
  repository.publish_root();
  repository.timestamp.version = 4;
  repository.publish_timestamp();
  CHECK(code_of(repository.refresh(client)) == ErrorCode::kRollback);
}

}  // namespace
}  // namespace layby::tests
