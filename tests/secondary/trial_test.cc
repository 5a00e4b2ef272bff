// The switch of an ECU whose firmware has its own mind: trials that are restarts, boot loaders that
// cannot, images that are there already.
#include <catch2/catch.hpp>

#include "tests/agent/world.h"
#include "tests/secondary/carrier.h"

using namespace layby;
using namespace layby::tests;
using secondary::MessageType;
using secondary::Phase;
using secondary::Verification;

namespace {

ErrorCode refusal(EcuWorld& world, MessageType type) {
  const auto said = world.command(type, world.new_image);
  REQUIRE_FALSE(said);
  return said.error().code();
}

// The new image is staged.
EcuWorld& with_staged(EcuWorld& world) {
  world.order(2, world.new_image, 2);
  REQUIRE(world.carry_news());
  REQUIRE(world.stage(world.new_image));
  return world;
}

// A bit of the slot that does not count yet is another one.
void damage_spare(EcuWorld& world) {
  const std::string path = secondary::EcuLayout(kEcuState).slot(world.ecu->state().spare());
  Bytes bytes = read_file(world.disk, path, 1 << 20).value();
  bytes[bytes.size() / 2] ^= 1;
  REQUIRE(replace_file(world.disk, path, bytes));
}

}  // namespace

TEST_CASE("An image that is installed already passes each step while another one is staged") {
  EcuWorld world(Verification::kPartial);
  const auto first = world.order(2, world.new_image, 2);
  REQUIRE(world.carry_news());
  REQUIRE(world.stage(world.new_image));
  world.server.cancel(first);
  world.order(1, world.old_image, 1);  // what it left the factory with
  REQUIRE(world.carry_news());
  REQUIRE(world.install(world.old_image));
  CHECK(world.kept_bytes() == "old");
  CHECK(world.running_bytes() == "old");
}

TEST_CASE("A trial that is a restart of the ECU is kept after its check") {
  EcuWorld world(Verification::kPartial);
  world.firmware.trial_is_restart = true;
  with_staged(world);
  REQUIRE(world.command(MessageType::kActivate, world.new_image));
  CHECK(refusal(world, MessageType::kCheck) == ErrorCode::kUnavailable);  // not yet
  world.start();
  CHECK(world.running_bytes() == "new");
  CHECK(world.ecu->state().phase == Phase::kTrial);
  const auto asked = world.firmware.log.size();
  REQUIRE(world.command(MessageType::kActivate, world.new_image));  // its answer was lost
  CHECK(world.firmware.log.size() == asked);                        // no restart for that
  SECTION("well") {
    REQUIRE(world.command(MessageType::kCheck, world.new_image));
    REQUIRE(world.command(MessageType::kKeep, world.new_image));
    world.start();
    CHECK(world.running_bytes() == "new");
    CHECK(world.kept_bytes() == "new");
  }
  SECTION("a second start ends it, whatever runs") {
    world.firmware.next = world.firmware.running;
    world.start();
    CHECK(world.running_bytes() == "old");
    CHECK(world.ecu->state().phase == Phase::kStaged);
  }
  SECTION("a start after the check: it goes on trial once more before it is kept") {
    REQUIRE(world.command(MessageType::kCheck, world.new_image));
    world.start();
    CHECK(world.running_bytes() == "old");
    CHECK(world.ecu->state().phase == Phase::kPassed);
    CHECK(refusal(world, MessageType::kKeep) == ErrorCode::kConflict);
    CHECK(refusal(world, MessageType::kCheck) == ErrorCode::kConflict);
    REQUIRE(world.command(MessageType::kActivate, world.new_image));
    world.start();
    CHECK(world.running_bytes() == "new");
    world.firmware.is_well = false;
    CHECK(refusal(world, MessageType::kKeep) == ErrorCode::kHealthCheckFailed);
    CHECK(world.firmware.kept != world.firmware.running);
    world.firmware.is_well = true;
    REQUIRE(world.command(MessageType::kKeep, world.new_image));
    CHECK(world.kept_bytes() == "new");
  }
  CHECK(world.report().attack.empty());
}

TEST_CASE("Firmware that does not tell what runs: a start after the check asks for a new trial") {
  EcuWorld world(Verification::kPartial);
  world.firmware.knows_what_runs = false;
  with_staged(world);
  REQUIRE(world.command(MessageType::kActivate, world.new_image));
  REQUIRE(world.command(MessageType::kCheck, world.new_image));
  world.start();
  CHECK(refusal(world, MessageType::kKeep) == ErrorCode::kConflict);
  for (const auto type : {MessageType::kActivate, MessageType::kCheck, MessageType::kKeep})
    REQUIRE(world.command(type, world.new_image));
  CHECK(world.running_bytes() == "new");
  CHECK(world.kept_bytes() == "new");
}

TEST_CASE("An ECU whose firmware cannot go back at a start answers, and goes back when it can") {
  EcuWorld world(Verification::kPartial);
  with_staged(world);
  REQUIRE(world.command(MessageType::kActivate, world.new_image));
  world.firmware.boots = false;
  world.start();
  CHECK(world.ask({MessageType::kStatus}));
  CHECK(world.ecu->state().phase == Phase::kTrial);
  world.report();
  for (const auto type : {MessageType::kActivate, MessageType::kCheck, MessageType::kRevert})
    CHECK(refusal(world, type) == ErrorCode::kActivationFailed);
  CHECK(refusal(world, MessageType::kKeep) == ErrorCode::kConflict);
  world.firmware.boots = true;
  SECTION("asked to") {
    REQUIRE(world.command(MessageType::kRevert, world.new_image));
    CHECK(world.firmware.log.back().starts_with("revert "));
  }
  SECTION("before anything else is switched") {
    CHECK(refusal(world, MessageType::kCheck) == ErrorCode::kConflict);
    CHECK(world.firmware.log.back().starts_with("revert "));
  }
  CHECK(world.ecu->state().phase == Phase::kStaged);
  CHECK(world.running_bytes() == "old");
}

TEST_CASE("What has passed and is damaged then is never booted; the very same image comes again") {
  EcuWorld world(GENERATE(Verification::kFull, Verification::kPartial));
  const auto id = world.order(2, world.new_image, 2);
  REQUIRE(world.carry_news());
  REQUIRE(world.stage(world.new_image));
  for (const auto type : {MessageType::kActivate, MessageType::kCheck})
    REQUIRE(world.command(type, world.new_image));
  damage_spare(world);
  world.start();
  CHECK(refusal(world, MessageType::kKeep) == ErrorCode::kConflict);
  CHECK(refusal(world, MessageType::kActivate) == ErrorCode::kCorrupt);
  CHECK(world.running_bytes() == "old");
  CHECK(world.ecu->state().phase == Phase::kPassed);
  SECTION("as it was asked for") {}
  SECTION("no other one takes its place, and it needs no word") {
    world.server.cancel(id);
    const Bytes other = noise(1000, 8);
    world.order(3, other, 3);
    REQUIRE(world.carry_news());
    const auto said = world.stage(other);
    REQUIRE_FALSE(said);
    CHECK(said.error().code() == ErrorCode::kConflict);
    world.start();
    CHECK(refusal(world, MessageType::kActivate) == ErrorCode::kCorrupt);
  }
  SECTION("a transfer that breaks, or brings other bytes, leaves nothing to boot") {
    const auto sha256 = crypto::sha256(world.new_image);
    const auto begin = secondary::make_digest(MessageType::kBegin, sha256);
    REQUIRE(world.ask(begin) == Bytes{static_cast<std::uint8_t>(secondary::BeginAnswer::kSend)});
    REQUIRE(world.ask(secondary::make_piece({0, ByteSpan(world.new_image).first(1000)})));
    REQUIRE(world.carry_news());  // a look does not end it
    REQUIRE(
        world.ask(secondary::make_piece({1000, ByteSpan(world.new_image).subspan(1000, 1000)})));
    world.start();
    CHECK(refusal(world, MessageType::kActivate) == ErrorCode::kCorrupt);
    REQUIRE(world.ask(begin));
    REQUIRE(world.ask(secondary::make_piece({0, noise(world.new_image.size(), 9)})));
    CHECK(refusal(world, MessageType::kEnd) == ErrorCode::kWrongImage);
    CHECK(refusal(world, MessageType::kActivate) == ErrorCode::kCorrupt);
  }
  REQUIRE(world.install(world.new_image));
  CHECK(world.kept_bytes() == "new");
}

TEST_CASE(
    "A passed image that fails its check as it runs is read back, and comes again if damaged") {
  EcuWorld world(Verification::kPartial);
  world.firmware.trial_is_restart = true;
  with_staged(world);
  REQUIRE(world.command(MessageType::kActivate, world.new_image));
  world.start();
  REQUIRE(world.command(MessageType::kCheck, world.new_image));
  const bool is_damaged = GENERATE(true, false);
  if (is_damaged) damage_spare(world);
  world.firmware.next = world.firmware.running;
  world.start();
  world.firmware.is_well = false;
  CHECK(refusal(world, MessageType::kKeep) ==
        (is_damaged ? ErrorCode::kCorrupt : ErrorCode::kHealthCheckFailed));
  REQUIRE(world.stage(world.new_image));
  CHECK((world.firmware.log.back().starts_with("revert ")) == is_damaged);
  world.firmware.is_well = true;
  REQUIRE(world.command(MessageType::kActivate, world.new_image));
  if (is_damaged) world.start();
  for (const auto type : {MessageType::kCheck, MessageType::kKeep})
    REQUIRE(world.command(type, world.new_image));
  CHECK(world.kept_bytes() == "new");
  CHECK(world.report().attack.empty());
}
