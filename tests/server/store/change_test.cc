#include "server/store/change.h"

#include <catch2/catch.hpp>

#include "server/store/rocksdb_store.h"
#include "tests/temp_dir.h"

using namespace layby;
using server::Change;
using server::RocksDbStore;

namespace {

struct Fixture {
  tests::TempDir dir;
  std::unique_ptr<RocksDbStore> store = std::move(*RocksDbStore::open(dir / "store"));
};

}  // namespace

TEST_CASE_METHOD(Fixture, "change: sees its own writes, others do not until the commit") {
  REQUIRE(store->commit({{}, {{"k/1", "one"}, {"k/2", "two"}, {"k/3", "three"}}}));
  Change change(*store);
  change.put("k/0", "zero");
  change.put("k/2", "TWO");
  change.erase("k/1");
  CHECK(*change.get("k/2") == "TWO");
  CHECK(*change.get("k/1") == std::nullopt);
  const auto pairs = change.scan("k/", "k0", 2);
  REQUIRE(pairs);
  REQUIRE(pairs->size() == 2);
  CHECK((*pairs)[0].value == "zero");
  CHECK((*pairs)[1].value == "TWO");
  CHECK(change.scan("k/", "k0", 10)->size() == 3);
  CHECK(*store->get("k/2") == "two");
  REQUIRE(change.commit());
  CHECK(*store->get("k/2") == "TWO");
  CHECK(*store->get("k/1") == std::nullopt);
}

TEST_CASE_METHOD(Fixture, "change: what was read, or found absent, or scanned, must still hold") {
  REQUIRE(store->commit({{}, {{"a", "1"}, {"s/1", "1"}}}));
  const auto conflicts = [&](const std::function<void(Change&)>& read, server::Write meanwhile) {
    Change change(*store);
    read(change);
    change.put("out", "x");
    REQUIRE(store->commit({{}, {std::move(meanwhile)}}));
    const auto committed = change.commit();
    return !committed && committed.error().code() == ErrorCode::kConflict;
  };
  CHECK(conflicts([](Change& c) { REQUIRE(c.get("a")); }, {"a", "2"}));
  CHECK(conflicts([](Change& c) { REQUIRE(c.get("absent")); }, {"absent", "2"}));
  CHECK(conflicts([](Change& c) { REQUIRE(c.scan("s/", "s0", 9)); }, {"s/1", "2"}));
  CHECK(*store->get("out") == std::nullopt);
  CHECK_FALSE(conflicts([](Change& c) { REQUIRE(c.get("a")); }, {"b", "2"}));
}

TEST_CASE_METHOD(Fixture, "change: retries after a lost commit, not after its own refusal") {
  int runs = 0;
  const auto won = server::commit_with_retry(*store, [&](Change& change) -> Result<int> {
    const auto before = TRY(change.get("n"));
    if (++runs < 4) REQUIRE(store->commit({{}, {{"n", std::to_string(runs)}}}));
    change.put("n", before.value_or("0") + "!");
    return runs;
  });
  REQUIRE(won);
  CHECK(*won == 4);
  CHECK(*store->get("n") == "3!");

  runs = 0;
  const auto refused = server::commit_with_retry(*store, [&](Change&) -> Result<int> {
    ++runs;
    return fail(ErrorCode::kConflict, "too late");
  });
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message() == "too late");
  CHECK(runs == 1);

  runs = 0;
  const auto hopeless = server::commit_with_retry(*store, [&](Change& change) -> Result<void> {
    TRY(change.get("n"));
    REQUIRE(store->commit({{}, {{"n", std::to_string(++runs)}}}));
    return {};
  });
  REQUIRE_FALSE(hopeless);
  CHECK(hopeless.error().code() == ErrorCode::kUnavailable);
  CHECK(runs == server::kCommitAttemptsMax);
}

TEST_CASE_METHOD(Fixture, "change: says at its end, once, whether it was committed") {
  std::vector<Change::Outcome> outcomes;
  const auto note = [&](Change::Outcome outcome) { outcomes.push_back(outcome); };
  {
    Change change(*store);
    change.at_end(note);
    change.put("a", "1");
    REQUIRE(change.commit());
    CHECK(outcomes == std::vector{Change::Outcome::kCommitted});
  }
  CHECK(outcomes.size() == 1);
  { Change(*store).at_end(note); }
  CHECK(outcomes.back() == Change::Outcome::kAbandoned);
  Change lost(*store);
  lost.at_end(note);
  REQUIRE(lost.get("a"));
  REQUIRE(store->commit({{}, {{"a", "2"}}}));
  CHECK_FALSE(lost.commit());
  CHECK(outcomes.size() == 3);
  CHECK(outcomes.back() == Change::Outcome::kAbandoned);
}
