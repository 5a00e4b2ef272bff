// A primary that holds back what would stop it: an answer about the time, the withdrawal of an
// image, the end of a transfer.
#include <catch2/catch.hpp>

#include "tests/agent/world.h"
#include "tests/secondary/carrier.h"

using namespace layby;
using namespace layby::tests;
using secondary::MessageType;
using secondary::Phase;
using secondary::Verification;

namespace {

// A time that answers the ECU's question of just now.
secondary::Message signed_time(EcuWorld& world) {
  const Bytes said = world.ask({MessageType::kNonce}).value();
  secondary::TimeBody body{.nonces = {manifest::TimeNonce{}}, .document = {}};
  std::copy(said.begin(), said.end(), body.nonces.front().begin());
  const auto nonce = to_hex(manifest::join_time_nonces(body.nonces));
  const auto response =
      world.server.exchange({.path = "/v1/vehicle/time?nonce=" + nonce, .bytes_max = 4096}, {});
  body.document = to_bytes(response->body);
  return secondary::make_time(body);
}

template <typename T>
void check_refused(const Result<T>& said, ErrorCode code) {
  REQUIRE_FALSE(said);
  CHECK(said.error().code() == code);
}

}  // namespace

TEST_CASE("A signed time that was held back is refused, however long the ECU has been running") {
  EcuWorld world(Verification::kPartial);
  const bool had_time = GENERATE(false, true);
  if (had_time) REQUIRE(world.carry_news());
  const auto held = signed_time(world);
  const auto seconds = GENERATE(std::int64_t{301}, 365 * kDaySeconds);
  world.clock.advance(seconds);
  check_refused(world.ask(held), ErrorCode::kReplay);
  check_refused(world.ask(held), ErrorCode::kReplay);
  const auto report = world.report();
  CHECK(report.attack.starts_with("replay: "));
  if (had_time) CHECK(report.time == world.clock.now());
  const auto in_time = signed_time(world);
  world.clock.advance(299);
  if (seconds == 301) CHECK(world.ask(in_time));
}

TEST_CASE("What the Director gave is not installed after its word has expired") {
  const auto verification = GENERATE(Verification::kFull, Verification::kPartial);
  EcuWorld world(verification);
  const auto id = world.order(2, world.new_image, 2);
  REQUIRE(world.carry_news());
  SECTION("not staged any more") {
    world.clock.advance(31 * kDaySeconds);
    check_refused(world.stage(world.new_image), ErrorCode::kFreeze);
    CHECK(world.report().attack.starts_with("freeze: "));
  }
  SECTION("not activated any more, where the withdrawal is held back") {
    REQUIRE(world.stage(world.new_image));
    world.server.cancel(id);
    world.clock.advance(31 * kDaySeconds);
    check_refused(world.command(MessageType::kActivate, world.new_image), ErrorCode::kFreeze);
  }
  SECTION("nor without a time that tells") {
    REQUIRE(world.stage(world.new_image));
    world.start();
    check_refused(world.stage(world.new_image), ErrorCode::kUntrustedTime);
    check_refused(world.command(MessageType::kActivate, world.new_image),
                  ErrorCode::kUntrustedTime);
    CHECK(world.report().attack.empty());
    REQUIRE(world.carry_time());
    CHECK(world.command(MessageType::kActivate, world.new_image));
  }
  SECTION("a trial that a power cut ended goes on; one that was taken back does not") {
    REQUIRE(world.stage(world.new_image));
    REQUIRE(world.command(MessageType::kActivate, world.new_image));
    world.start();
    CHECK(world.ecu->state().phase == Phase::kStaged);
    REQUIRE(world.command(MessageType::kActivate, world.new_image));
    const bool is_on_trial = GENERATE(true, false);
    if (!is_on_trial) world.start();
    REQUIRE(world.command(MessageType::kRevert, world.new_image));
    check_refused(world.command(MessageType::kActivate, world.new_image),
                  ErrorCode::kUntrustedTime);
  }
  SECTION("a trial that a start ended is over when the Director gives something else") {
    REQUIRE(world.stage(world.new_image));
    REQUIRE(world.command(MessageType::kActivate, world.new_image));
    world.start();
    world.server.cancel(id);
    REQUIRE(world.carry_news());
    check_refused(world.command(MessageType::kActivate, world.new_image), ErrorCode::kConflict);
    REQUIRE(world.carry_news());
    CHECK(world.report().attack.empty());
  }
  SECTION("nor, where the withdrawal is held back, a month after the word") {
    REQUIRE(world.stage(world.new_image));
    REQUIRE(world.command(MessageType::kActivate, world.new_image));
    world.start();
    world.server.cancel(id);
    world.clock.advance(59 * kDaySeconds);
    REQUIRE(world.carry_time());
    REQUIRE(world.command(MessageType::kActivate, world.new_image));
    world.start();
    world.clock.advance(2 * kDaySeconds);
    REQUIRE(world.carry_time());
    check_refused(world.command(MessageType::kActivate, world.new_image), ErrorCode::kFreeze);
    CHECK(world.report().attack.empty());
  }
  CHECK(world.kept_bytes() == "old");
}

TEST_CASE("A transfer ends when the Director gives the ECU something else: no byte more is taken") {
  EcuWorld world(Verification::kPartial);
  const auto first = world.order(2, world.new_image, 2);
  REQUIRE(world.carry_news());
  REQUIRE(world.ask(secondary::make_digest(MessageType::kBegin, crypto::sha256(world.new_image))));
  REQUIRE(world.ask(secondary::make_piece({0, ByteSpan(world.new_image).first(60'000)})));
  SECTION("a look that changes nothing changes nothing") {
    REQUIRE(world.carry_news());
    REQUIRE(world.ask(secondary::make_piece({60'000, ByteSpan(world.new_image).subspan(60'000)})));
    REQUIRE(world.command(MessageType::kEnd, world.new_image));
  }
  SECTION("a smaller image") {
    world.server.cancel(first);
    const Bytes small = noise(1000, 8);
    world.order(3, small, 3);
    REQUIRE(world.carry_news());
    for (std::uint64_t at = 60'000; at < 300'000; at += 30'000)
      check_refused(world.ask(secondary::make_piece({at, noise(30'000, 1)})), ErrorCode::kConflict);
    check_refused(world.command(MessageType::kEnd, small), ErrorCode::kConflict);
    REQUIRE(world.install(small));
  }
}
