// The room that an order needs: named where it is missing, taken before the first byte.
#include <catch2/catch.hpp>

#include "tests/agent/world.h"

using namespace layby;
using namespace layby::agent;
using namespace layby::tests;

TEST_CASE("room is checked before the first byte, and what is missing is named") {
  World world;
  world.disk.set_free_bytes(1'000'000);
  const auto id = order_maps(world);
  world.run(60);
  CHECK(world.state(id) == State::kOffered);
  CHECK(world.server.payload_bytes_sent == 0);
  CHECK(world.order(id)->waiting_for == std::vector<std::string>{"space"});
  CHECK(world.order(id)->error->code() == ErrorCode::kNotEnoughSpace);
  CHECK(world.order(id)->error->message().find("are missing") != std::string::npos);
  CHECK(world.vehicle.shows("Not enough storage"));
  world.disk.set_free_bytes(1ull << 40);
  CHECK(world.run_until_state(id, State::kDownloaded, 3600));
}

TEST_CASE("what an order needs is taken before the first byte: others may fill the disk (P4.5)") {
  for (const bool is_software : {false, true}) {
    World world;
    const auto id = is_software ? order_software(world) : order_maps(world);
    REQUIRE(world.run_until_state(id, State::kDownloading, 60));
    world.disk.set_free_bytes(120'000);  // for reports and metadata; one image alone has more
    CHECK(world.run_until_state(id, State::kDownloaded, 3600));
    world.run(5);
    world.exit_and_lock();
    world.run(60);
    CHECK(world.state(id) == State::kActive);
  }
}

TEST_CASE("where room is missing, what could be given up is named") {
  World world;
  const auto software = order_software(world);
  const auto maps = order_maps(world);
  const auto function = order_function(world);
  world.server.cancel(function);
  REQUIRE(world.run_until_state(maps, State::kDownloaded, 3600));
  world.disk.set_free_bytes(1'000'000);
  const auto again = order_function(world);
  world.vehicle.stand_open();
  world.run(5);
  world.vehicle.drive();
  world.run(60);
  REQUIRE(world.order(again)->error);
  CHECK(world.order(again)->error->code() == ErrorCode::kNotEnoughSpace);
  CHECK(world.order(again)->error->message().find("cancelling " + maps.text() + " frees") !=
        std::string::npos);
  CHECK(world.state(software) == State::kDownloaded);
}
