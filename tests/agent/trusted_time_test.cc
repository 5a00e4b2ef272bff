// Signed time, and the ways back from a wrong one.
#include "agent/trusted_time.h"

#include <catch2/catch.hpp>
#include <set>

#include "agent/data_budget.h"
#include "tests/agent/world.h"

using namespace layby;
using namespace layby::agent;
using namespace layby::tests;

namespace {

constexpr UnixSeconds kTenYears = 10 * 365 * kDaySeconds;

manifest::TimeKeys keys(std::initializer_list<const char*> names) {
  std::set<crypto::Digest256> digests;
  for (const char* name : names) digests.insert(crypto::sha256(as_bytes(name)));
  return {digests.begin(), digests.end()};
}

// The journal as the next start finds it.
Record reopened(const Record& record) {
  return decode_record(encode_record(record).value()).value();
}

}  // namespace

TEST_CASE("a signed time never goes back, across restarts too") {
  ManualClock clock(kStart);
  Record record;
  TrustedTime time(clock, record);
  REQUIRE(time.accept(kStart + 1000, keys({"a"}), record));
  CHECK(time.accept(kStart + 990, keys({"a"}), record));  // one server's clock, corrected
  CHECK(time.now() == kStart + 1000);
  Record kept = reopened(record);
  TrustedTime again(clock, kept);
  const auto refused = again.accept(kStart, keys({"a"}), kept);
  REQUIRE(!refused);
  CHECK(refused.error().code() == ErrorCode::kRollback);
}

TEST_CASE("other keys take back what their predecessors signed, for good") {
  ManualClock clock(kStart);
  Record record;
  TrustedTime time(clock, record);
  REQUIRE(time.accept(kStart + kTenYears, keys({"stolen"}), record));
  Record kept = reopened(record);
  TrustedTime again(clock, kept);
  CHECK(!again.accept(kStart, keys({"stolen"}), kept));
  REQUIRE(again.accept(kStart, keys({"new"}), kept));
  CHECK(again.now() == kStart);
  Record later = reopened(kept);
  CHECK(TrustedTime(clock, later).now() == kStart);
}

TEST_CASE("a key that is added takes nothing back, one that is taken away does (P5.1)") {
  ManualClock clock(kStart);
  Record record;
  TrustedTime time(clock, record);
  REQUIRE(time.accept(kStart, keys({"a"}), record));
  CHECK(!time.accept(kStart - kDaySeconds, keys({"a", "b"}), record));
  REQUIRE(time.accept(kStart + kTenYears, keys({"a", "b"}), record));
  record = reopened(record);
  CHECK(!time.accept(kStart, keys({"a", "b", "c"}), record));
  CHECK(time.accept(kStart, keys({"b", "c"}), record));
  CHECK(time.now() == kStart);
}

TEST_CASE("a wall clock that is set back at each start does not stop the time (P1.9)") {
  Record record;
  {
    ManualClock clock(kStart);
    TrustedTime time(clock, record);
    REQUIRE(time.accept(kStart, keys({"a"}), record));
  }
  for (int start = 0; start < 5; ++start) {
    ManualClock clock(0);
    const TrustedTime time(clock, record);
    clock.advance(kDaySeconds);
    CHECK(time.note_counted(record) == TrustedTime::Noted::kYes);
    CHECK(time.note_counted(record) == TrustedTime::Noted::kNo);
    record = reopened(record);
  }
  ManualClock clock(0);
  CHECK(TrustedTime(clock, record).now() == kStart + 5 * kDaySeconds);
  // What was only counted holds no signed time off.
  TrustedTime time(clock, record);
  CHECK(time.accept(kStart + kDaySeconds, keys({"a"}), record));
}

TEST_CASE("a journal of an older agent reads, and its time stands") {
  Record record;
  record.time_signed = kStart;
  std::string text(as_text(encode_record(record).value()));
  for (const std::string name : {"\"timeKeys\":", "\"timeCounted\":"}) {
    const std::size_t at = text.find(name);
    REQUIRE(at != std::string::npos);
    text.erase(at, text.find(',', at) + 1 - at);
  }
  Record old = decode_record(as_bytes(text)).value();
  ManualClock clock(kStart);
  TrustedTime time(clock, old);
  CHECK(!time.accept(kStart - kDaySeconds, keys({"a"}), old));
  CHECK(time.accept(kStart + 1, keys({"a"}), old));
}

TEST_CASE("a rotated timestamp key does not lock the car out (P5.1)") {
  World world;
  world.run(60);
  world.server.rotate_director_key();
  world.publish_maps();
  const auto id = world.server.order({"maps/DE/2.tar"});
  CHECK(world.run_until_state(id, State::kDownloaded, 4 * 3600));
  CHECK(world.agent->record().attack.empty());
  world.start();  // what it trusts now lies on the disk
  world.server.rotate_director_key();
  world.server.rotate_director_key();
  world.run(4 * 3600);
  CHECK(!world.agent->record().poll_error.has_value());
}

TEST_CASE("an old package after a change of keys takes back what the wall clock does not confirm") {
  ManualClock clock(kStart);
  Record record;
  TrustedTime time(clock, record);
  REQUIRE(time.accept(kStart, keys({"a"}), record));
  clock.advance(120 * kDaySeconds);
  const UnixSeconds now = time.now();
  SECTION("it says what was counted") {}
  SECTION("a thief's time was far ahead of it") {
    REQUIRE(time.accept(now + kTenYears, keys({"a"}), record));
  }
  time.advance_to(kStart + kDaySeconds, keys({"b"}), record);
  CHECK(time.now() == now);
  Record kept = reopened(record);
  CHECK(TrustedTime(clock, kept).now() == now);
  CHECK(time.accept(kStart + 2 * kDaySeconds, keys({"b"}), record));  // asked for now: it counts
  CHECK(time.now() == kStart + 2 * kDaySeconds);
}

TEST_CASE("where the wall clock knows nothing, an old package of new keys is all there is") {
  Record record;
  {
    ManualClock clock(kStart);
    TrustedTime time(clock, record);
    REQUIRE(time.accept(kStart + kTenYears, keys({"a"}), record));
  }
  ManualClock clock(0);
  TrustedTime time(clock, record);
  time.advance_to(kStart, keys({"b"}), record);
  CHECK(time.now() == kStart);
}

TEST_CASE("a time that nobody may sign stays refused") {
  World world;
  world.run(60);
  const UnixSeconds before = world.agent->record().time_signed;
  world.server.sign_time_with_a_stray_key = true;
  world.run(4 * 3600);
  REQUIRE(world.agent->record().poll_error.has_value());
  CHECK(world.agent->record().poll_error->code() == ErrorCode::kBadSignature);
  CHECK(world.agent->record().time_signed == before);
}

TEST_CASE("a time that a thief set ahead ends with his key, power cuts or not") {
  World world;
  world.server.time_ahead = kTenYears;
  world.run(60);
  CHECK(world.agent->trusted_now() > kStart + kTenYears);
  world.server.time_ahead = 0;
  world.run(4 * 3600);
  CHECK(world.agent->record().poll_error->code() == ErrorCode::kRollback);
  world.server.rotate_director_key();
  world.publish_maps();
  const auto id = world.server.order({"maps/DE/2.tar"});
  const auto operations = world.disk.operations();
  for (std::uint64_t cut = 1; cut < 12; ++cut) {  // the new root, then the journal
    world.disk.cut_power_at(world.disk.operations() + cut);
    try {
      world.start();
      world.run(3600);
    } catch (const PowerCut&) {
    }
    world.agent.reset();
    world.disk.restart(MemoryDisk::Survives::kOnlySynced, static_cast<std::uint32_t>(cut));
  }
  CHECK(world.disk.operations() > operations);
  world.start();
  CHECK(world.run_until_state(id, State::kDownloaded, 4 * 3600));
  CHECK(world.agent->trusted_now() < kStart + kDaySeconds);
}

TEST_CASE("a time that was ahead leaves no month, no wait and no visit behind (P2.3, P3.2)") {
  ManualClock clock(kStart);
  Record record;
  TrustedTime time(clock, record);
  REQUIRE(time.accept(kStart + kTenYears, keys({"stolen"}), record));
  record.data_month = month_of(time.now());
  record.data_bytes = 1'000;
  record.orders.push_back({.id = manifest::OrderId::generate(kStart)});
  record.orders[0].offered_at = time.now();
  record.visits[manifest::RegionId::parse("FR").value()] = time.now();
  REQUIRE(time.accept(kStart, keys({"new"}), record));
  CHECK(record.data_month == month_of(kStart));
  CHECK(record.data_bytes == 1'000);
  CHECK(record.orders[0].offered_at == kStart);
  CHECK(record.visits.begin()->second == kStart);
}
