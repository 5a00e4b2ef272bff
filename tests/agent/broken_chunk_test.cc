// A chunk of a delta that came as it was sent and all the same makes other bytes than it should: it
// is taken from the whole image, and the rest of the delta is not lost (P4.7). And payloads that
// need a compressor which this car does not have (docs/formats.md, PAYLOAD).
#include <catch2/catch.hpp>

#include "agent/re_encoders.h"
#include "base/limits.h"
#include "tests/agent/world.h"

using namespace layby;
using namespace layby::agent;
using namespace layby::tests;

namespace {

constexpr const char* kImage = "software/hu-4/2.0.0.img";
constexpr std::size_t kDelta = 0, kWhole = 1;
constexpr std::uint64_t kWholeChunkBytes = 17'000;  // of noise, in chunks of 16 KiB

std::uint64_t length_of(const World& world, std::size_t payload) {
  return world.server.payloads_of(kImage).at(payload).length;
}

bool ends_new(World& world, const manifest::OrderId& id) {
  if (!world.run_until_state(id, State::kDownloaded, 600)) return false;
  world.exit_and_lock();
  return world.run_until_state(id, State::kActive, 1200) && world.kept_software() == "new";
}

}  // namespace

TEST_CASE("broken chunks of a delta are taken from the whole image, all others from the delta") {
  World world;
  world.publish_software();
  for (const std::uint32_t chunk : {0u, 4u, 9u}) world.server.spoil_chunk(kImage, kDelta, chunk);
  const auto id = world.server.order({kImage});
  REQUIRE(ends_new(world, id));
  CHECK(world.order(id)->images[0].payload()->base.has_value());
  CHECK(world.server.payload_bytes_sent <=
        length_of(world, kDelta) + 3 * (kWholeChunkBytes + 2 * kKiB));
  CHECK(world.server.payload_bytes_sent >= 2 * 16 * kKiB);  // the last chunk is short
  CHECK_FALSE(world.order(id)->error);
  bool is_reported = false;
  for (const manifest::EcuReport& report : world.server.reports())
    is_reported |= report.attack.starts_with("bad-payload: ") &&
                   report.attack.find("chunk 9") != std::string::npos;
  CHECK(is_reported);
}

TEST_CASE("a broken chunk is known after a restart, and costs its own byte budget") {
  World world;
  world.publish_software();
  world.server.spoil_chunk(kImage, kDelta, 3);
  const auto id = world.server.order({kImage});
  const auto is_marked = [&] {
    return world.order(id) != nullptr && world.order(id)->images[0].broken_chunk == 3;
  };
  REQUIRE(world.run(600, is_marked));
  const std::uint64_t delta_bytes = world.server.payload_bytes_sent;
  const std::uint64_t budget = world.order(id)->bytes_budget;
  world.start();
  REQUIRE(is_marked());
  REQUIRE(world.run(600, [&] { return !is_marked(); }));
  CHECK(world.order(id)->images[0].chunks_done == 4);
  const std::uint64_t whole_bytes = world.server.payload_bytes_sent - delta_bytes;
  CHECK(whole_bytes > 16 * kKiB);
  CHECK(whole_bytes < kWholeChunkBytes + 2 * kKiB);
  CHECK(world.order(id)->bytes_budget == budget + whole_bytes);
  CHECK(ends_new(world, id));
}

TEST_CASE("pieces of the whole image that do not come raise no budget") {
  World world;
  world.publish_software();
  world.server.spoil_chunk(kImage, kDelta, 3);
  const auto id = world.server.order({kImage});
  REQUIRE(world.run(600, [&] {
    return world.order(id) != nullptr && world.order(id)->images[0].broken_chunk == 3;
  }));
  const std::uint64_t budget = world.order(id)->bytes_budget;
  world.server.payload_status = 503;
  world.run(1200);
  CHECK(world.order(id)->bytes_budget == budget);
  CHECK(world.order(id)->images[0].whole_bytes == 0);
  world.server.payload_status = 0;
  CHECK(ends_new(world, id));
}

TEST_CASE(
    "where the whole image is broken at the same place, the order fails and the car is as before") {
  World world;
  world.publish_software();
  world.server.spoil_chunk(kImage, kDelta, 3);
  world.server.spoil_chunk(kImage, kWhole, 3);
  const auto id = world.server.order({kImage});
  REQUIRE(world.run_days(3, [&] { return world.state(id) == State::kFailed; }));
  CHECK(world.order(id)->error->code() == ErrorCode::kBadPayload);
  CHECK(world.kept_software() == "old");
  // Two payloads and what is allowed beyond them, and no more.
  CHECK(world.server.payload_bytes_sent <
        2 * length_of(world, kDelta) + length_of(world, kWhole) + 16 * kMiB);
}

TEST_CASE(
    "a delta that needs another compressor than this car's is left, one that needs just it is "
    "taken") {
  for (const bool fits : {false, true}) {
    CAPTURE(fits);
    World world;
    manifest::ReEncoders needs = available_re_encoders();
    REQUIRE(needs.contains("zstd"));
    if (!fits) needs["zstd"] += ".1";
    world.server.publish({.name = kImage,
                          .bytes = world.new_software,
                          .base = world.old_software,
                          .release_counter = 2,
                          .delta_needs = needs});
    const auto id = world.server.order({kImage});
    REQUIRE(world.run_until_state(id, State::kDownloaded, 600));
    CHECK(world.order(id)->images[0].payload()->base.has_value() == fits);
    CHECK(world.server.reports().back().re_encoders == available_re_encoders());
    world.start();  // what a payload needs is in the journal too
    CHECK(world.order(id)->images[0].payloads[kDelta].needs == needs);
  }
}
