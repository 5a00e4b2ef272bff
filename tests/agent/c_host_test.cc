// Whole updates through the C interface of the shared library, whose code is not that of this
// program: clock, disk, transport, car, memory and log are callbacks.
#include <catch2/catch.hpp>

#include "tests/agent/c_host.h"

using namespace layby;
using namespace layby::tests;

namespace {

// The C header has the numbers once more.
constexpr bool is_same(int number, ErrorCode code) {
  return number == static_cast<int>(code);
}
static_assert(is_same(LAYBY_INVALID_ARGUMENT, ErrorCode::kInvalidArgument) &&
              is_same(LAYBY_NOT_FOUND, ErrorCode::kNotFound) && is_same(LAYBY_IO, ErrorCode::kIo) &&
              is_same(LAYBY_DISK_FULL, ErrorCode::kDiskFull) &&
              is_same(LAYBY_CONFLICT, ErrorCode::kConflict) &&
              is_same(LAYBY_UNAVAILABLE, ErrorCode::kUnavailable) &&
              is_same(LAYBY_TIMEOUT, ErrorCode::kTimeout) &&
              is_same(LAYBY_UNAUTHENTICATED, ErrorCode::kUnauthenticated) &&
              is_same(LAYBY_UNSUPPORTED, ErrorCode::kUnsupported) &&
              is_same(LAYBY_CANCELLED, ErrorCode::kCancelled) &&
              is_same(LAYBY_INTERNAL, ErrorCode::kInternal) &&
              is_same(LAYBY_ENDLESS_DATA, ErrorCode::kEndlessData) &&
              is_same(LAYBY_SLOW_RETRIEVAL, ErrorCode::kSlowRetrieval));

void opened(CHost& host) {
  const int result = host.open();
  INFO(host.error);
  REQUIRE(result == LAYBY_OK);
}

// Orders one of a kind, brings it into the car.
void update(CHost& host, const manifest::OrderId& id) {
  REQUIRE(host.run(600) == LAYBY_OK);
  REQUIRE(host.exit_and_lock() == LAYBY_OK);
  REQUIRE(host.run(1200) == LAYBY_OK);
  std::string log;
  for (const std::string& line : host.log) log += line + "\n";
  INFO(log);
  REQUIRE(host.world.server.reported(id));
  CHECK(host.world.server.reported(id)->state == manifest::OrderState::kActive);
}

std::string status_of(const CHost& host) {
  char text[64];
  const std::size_t length = layby_agent_status(host.agent, text, sizeof text);
  REQUIRE(length > sizeof text);
  CHECK(text[sizeof text - 1] == '\0');
  std::string whole(length + 1, 'x');
  CHECK(layby_agent_status(host.agent, whole.data(), whole.size()) == length);
  CHECK(whole.back() == '\0');
  whole.pop_back();
  return whole;
}

bool has_logged(const CHost& host, const std::string& part) {
  for (const std::string& line : host.log)
    if (line.find(part) != std::string::npos) return true;
  return false;
}

}  // namespace

TEST_CASE("C: a host with callbacks for everything gets software, maps and functions") {
  World world;
  {
    CHost host(world);
    opened(host);
    update(host, order_software(world));
    CHECK(world.kept_software() == "new");
    update(host, order_maps(world));
    CHECK(world.live_maps() == "new");
    update(host, order_function(world));
    CHECK(world.vehicle.functions.contains("adaptive-cruise"));
    CHECK(has_logged(host, " downloading"));
    CHECK(has_logged(host, " active"));
    CHECK(host.wait_ms_last > 500);  // it tells changes: nothing asks twice a second
    CHECK(status_of(host).find("\"running\":true") != std::string::npos);
    if (LAYBY_HOST_MEMORY) CHECK(host.bytes_taken > 100'000);
    host.close();
    CHECK(host.blocks == 0);
  }
  // What is on the host's disk is what any other agent finds there.
  world.start();
  CHECK(world.agent->record().orders.size() <= 3);
}

TEST_CASE("C: what the car has and does not say is in doubt (P4.1)") {
  World world;
  CHost host(world);
  opened(host);
  const manifest::OrderId id = order_function(world);
  REQUIRE(host.run(600) == LAYBY_OK);
  world.vehicle.lost = {"Vehicle.Cabin.DoorCount"};
  REQUIRE(host.exit_and_lock() == LAYBY_OK);
  REQUIRE(host.run(1200) == LAYBY_OK);
  CHECK(status_of(host).find(R"("doors-closed","doors-locked")") != std::string::npos);
  CHECK(world.vehicle.functions.empty());
  world.vehicle.lost = {};
  REQUIRE(host.run(1200) == LAYBY_OK);
  CHECK(world.vehicle.functions.contains("adaptive-cruise"));
  CHECK(world.server.reported(id)->state == manifest::OrderState::kActive);
}

TEST_CASE("C: a call out of a callback is refused and changes nothing") {
  World world;
  CHost host(world);
  opened(host);
  int asked = 0;
  world.vehicle.at_command = [&](const std::string&) {
    ++asked;
    std::int64_t wait_ms = 0;
    CHECK(layby_agent_step(host.agent, &wait_ms) == LAYBY_CONFLICT);
    CHECK(layby_agent_status(host.agent, nullptr, 0) == 0);
    layby_agent_close(host.agent);
  };
  update(host, order_function(world));
  CHECK(asked > 0);
  CHECK(layby_agent_status(host.agent, nullptr, 0) > 0);
}

TEST_CASE("C: a connection that breaks in a chunk goes on behind the last one") {
  World world;
  CHost host(world);
  opened(host);
  world.server.break_payload_after = 20'000;
  update(host, order_software(world));
  CHECK(world.kept_software() == "new");
}

TEST_CASE("C: a power cut in the middle, and the next process goes on") {
  World world;
  const manifest::OrderId id = order_software(world);
  {
    CHost host(world);
    opened(host);
    REQUIRE(host.run(600, [&] { return world.server.payload_bytes_sent > 10'000; }) == LAYBY_OK);
  }
  world.disk.restart(MemoryDisk::Survives::kPerhaps, 7);
  CHost host(world);
  opened(host);
  update(host, id);
  CHECK(world.kept_software() == "new");
}

TEST_CASE("C: a disk that says no ends the step with its code, and a new agent goes on") {
  World world;
  CHost host(world);
  opened(host);
  const manifest::OrderId id = order_software(world);
  world.disk.inject({.kind = Fault::Kind::kWriteError, .at = 3});
  const int result = host.run(600);
  if (result != LAYBY_OK) CHECK(std::string(layby_agent_error(host.agent)) != "");
  CHECK(world.disk.has_struck());
  host.close();
  world.disk.heal();
  opened(host);
  update(host, id);
}

TEST_CASE("C: answers that are too long, too slow, or nonsense are ended by the library") {
  World world;
  CHost host(world);
  opened(host);
  int said = -1, asked = 0;
  SECTION("endless") {
    host.exchange = [&](const layby_request& request, layby_answer* answer) {
      ++asked;
      layby_answer_status(answer, 200);
      const std::string piece(4096, 'x');
      for (std::uint64_t sent = 0; sent <= request.bytes_max; sent += piece.size())
        said = layby_answer_body(answer, piece.data(), piece.size());
      return said;
    };
    REQUIRE(host.run(60) == LAYBY_OK);
    CHECK(said == LAYBY_ENDLESS_DATA);
    CHECK(has_logged(host, "!server: "));
  }
  SECTION("slow") {
    host.exchange = [&](const layby_request& request, layby_answer* answer) {
      ++asked;
      layby_answer_status(answer, 200);
      for (int i = 0; i < 100 && said != LAYBY_SLOW_RETRIEVAL; ++i) {
        world.clock.advance_ms(request.deadline_ms / 10);
        said = layby_answer_body(answer, "x", 1);
      }
      return said;
    };
    REQUIRE(host.run(60) == LAYBY_OK);
    CHECK(said == LAYBY_SLOW_RETRIEVAL);
  }
  SECTION("endless header") {
    host.exchange = [&](const layby_request&, layby_answer* answer) {
      ++asked;
      layby_answer_status(answer, 200);
      const std::string long_value(1000, 'x');
      for (int i = 0; i < 100; ++i)
        layby_answer_header(answer, ("h" + std::to_string(i)).c_str(), long_value.c_str());
      return said = layby_answer_body(answer, "x", 1);
    };
    REQUIRE(host.run(60) == LAYBY_OK);
    CHECK(said == LAYBY_ENDLESS_DATA);
  }
  SECTION("no status") {
    host.exchange = [&](const layby_request&, layby_answer*) {
      ++asked;
      return said = LAYBY_OK;
    };
    REQUIRE(host.run(60) == LAYBY_OK);
    CHECK(has_logged(host, "status 0"));
  }
  CHECK(asked > 0);
  host.exchange = {};
  update(host, order_function(world));
}

TEST_CASE("C: options that make no sense are refused by name") {
  World world;
  CHost host(world);
  SECTION("half a clock") {
    host.options.clock.monotonic_ms = nullptr;
  }
  SECTION("half an allocator") {
    host.options.allocator.allocate = [](void*, std::size_t) -> void* { return nullptr; };
    host.options.allocator.release = nullptr;
  }
  SECTION("a disk without sync") {
    host.options.disk.sync = nullptr;
  }
  SECTION("a disk without a transport") {
    host.options.transport.exchange = nullptr;
  }
  SECTION("no car") {
    host.options.vehicle.command = nullptr;
  }
  SECTION("no directory") {
    host.options.state_directory = nullptr;
  }
  SECTION("options of no size") {
    host.options.size = 8;
  }
  CHECK(host.open() == LAYBY_INVALID_ARGUMENT);
  CHECK(host.agent == nullptr);
  CHECK(host.error != "");
  CHECK(host.blocks == 0);
}

TEST_CASE("C: a host of an older or a newer header than the library's") {
  World world;
  struct Newer {
    layby_options known;
    std::uint64_t more;
  } newer{};
  CHost host(world);
  newer.known = host.options;
  newer.known.size = sizeof newer;
  layby_agent* agent = nullptr;
  CHECK(layby_agent_open(&newer.known, &agent, nullptr, 0) == LAYBY_OK);
  layby_agent_close(agent);
  newer.more = 1;
  CHECK(layby_agent_open(&newer.known, &agent, nullptr, 0) == LAYBY_UNSUPPORTED);
  CHECK(agent == nullptr);
  host.options.size = offsetof(layby_options, log);  // it knew of nothing behind the allocator
  opened(host);
  update(host, order_function(world));
  CHECK(host.log.empty());
}

TEST_CASE("C: whatever request for memory fails, nothing leaks and a new agent goes on") {
  if (!LAYBY_HOST_MEMORY) return;
  World world;
  world.clock.advance(60);
  std::uint64_t opening = 0;
  {
    CHost host(world);
    opened(host);
    opening = host.requests;
  }
  REQUIRE(opening > 50);
  for (std::uint64_t at = 1; at <= opening; ++at) {
    CHost host(world);
    host.fail_request = at;
    const int result = host.open();
    // A damaged file has a copy; memory that is short while it is read may look the same.
    INFO("request " << at << ": " << result << " " << host.error);
    if (result != LAYBY_OK) CHECK(host.agent == nullptr);
    host.close();
    CHECK(host.blocks == 0);
  }
  const manifest::OrderId id = order_software(world);
  for (std::uint64_t at = 1; at < 4000; at += 97) {
    CHost host(world);
    opened(host);
    host.fail_request = host.requests + at;
    const int result = host.run(20);
    INFO("request " << at << " of steps: " << result);
    CHECK((result == LAYBY_OK || result == LAYBY_INTERNAL));
    host.close();
    CHECK(host.blocks == 0);
  }
  CHost host(world);
  opened(host);
  update(host, id);
  CHECK(world.kept_software() == "new");
}
