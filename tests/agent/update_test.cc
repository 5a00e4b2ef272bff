// Whole updates, from the order to what the car runs, with a fault at each state.
#include <catch2/catch.hpp>
#include <functional>
#include <set>

#include "agent/work.h"
#include "base/time_text.h"
#include "tests/agent/world.h"

using namespace layby;
using namespace layby::agent;
using namespace layby::tests;
using manifest::OrderState;

namespace {

enum class Kind { kFunction, kMaps, kSoftware };

manifest::OrderId place(World& world, Kind kind) {
  switch (kind) {
    case Kind::kFunction:
      world.publish_function();
      return world.server.order({"functions/adaptive-cruise/1.0.0.pkg"});
    case Kind::kMaps:
      world.publish_maps();
      return world.server.order({"maps/DE/2.tar", "maps/FR/2.tar", "maps/NL/2.tar"});
    case Kind::kSoftware: break;
  }
  world.publish_software();
  return world.server.order({"software/hu-4/2.0.0.img"});
}

bool is_live(World& world, Kind kind) {
  switch (kind) {
    case Kind::kFunction: return world.vehicle.functions.contains("adaptive-cruise");
    case Kind::kMaps: return world.live_maps() == "new";
    case Kind::kSoftware: break;
  }
  return world.kept_software() == "new" && world.vehicle.booted == world.vehicle.confirmed;
}

bool is_as_before(World& world, Kind kind) {
  switch (kind) {
    case Kind::kFunction: return world.vehicle.functions.empty();
    case Kind::kMaps: return world.live_maps() == "old";
    case Kind::kSoftware: break;
  }
  return world.kept_software() == "old" && world.vehicle.booted == world.vehicle.confirmed;
}

// One whole update, with what goes wrong in it.
struct Case {
  const char* name;
  Kind kind;
  std::function<void(World&)> fault;  // before it begins
  std::vector<OrderState> chain;      // states that the server must have been told, in order
  State end;
  int locks = 1;                        // exits and locks that it takes
  std::optional<ErrorCode> error = {};  // in the last report
};

const std::vector<OrderState> kStraight = {OrderState::kDownloaded, OrderState::kActive};

std::vector<Case> cases() {
  return {
      {"function", Kind::kFunction, {}, kStraight, State::kActive},
      {"maps", Kind::kMaps, {}, kStraight, State::kActive},
      {"software", Kind::kSoftware, {}, kStraight, State::kActive},
      {"the connection breaks in a chunk", Kind::kSoftware,
       [](World& w) { w.server.break_payload_after = 7'000; }, kStraight, State::kActive},
      {"the server is busy", Kind::kMaps,
       [](World& w) {
         w.server.fail_status = 503;
         w.server.fail_status_times = 6;
       },
       kStraight, State::kActive},
      {"answers to reports are lost", Kind::kFunction,
       [](World& w) { w.server.lose_report_answers = 3; }, kStraight, State::kActive},
      {"a chunk comes damaged twice", Kind::kMaps,
       [](World& w) {
         auto left = std::make_shared<int>(2);
         w.server.tamper = [left](const std::string&, std::uint64_t offset, Bytes& body) {
           if (offset > 0 && (*left)-- > 0) body[body.size() / 2] ^= 1;
         };
       },
       kStraight, State::kActive},
      {"every chunk comes damaged",
       Kind::kSoftware,
       [](World& w) {
         w.server.tamper = [](const std::string&, std::uint64_t offset, Bytes& body) {
           if (offset > 0) body[0] ^= 1;
         };
       },
       {OrderState::kFailed},
       State::kFailed,
       0,
       ErrorCode::kWrongChunk},
      {"activation fails once",
       Kind::kFunction,
       [](World& w) { w.vehicle.fail_activate = 1; },
       {OrderState::kDownloaded, OrderState::kDownloaded, OrderState::kActive},
       State::kActive,
       2},
      {"activation keeps failing",
       Kind::kFunction,
       [](World& w) { w.vehicle.fail_activate = 100; },
       {OrderState::kFailed},
       State::kFailed,
       3,
       ErrorCode::kActivationFailed},
      {"the navigation does not come up once",
       Kind::kMaps,
       [](World& w) { w.vehicle.fail_reload = 1; },
       {OrderState::kDownloaded, OrderState::kActive},
       State::kActive,
       2},
      {"the health check fails once",
       Kind::kSoftware,
       [](World& w) { w.vehicle.fail_health = 1; },
       {OrderState::kDownloaded, OrderState::kActive},
       State::kActive,
       2},
      {"the health check keeps failing",
       Kind::kSoftware,
       [](World& w) { w.vehicle.fail_health = 100; },
       {OrderState::kFailed},
       State::kFailed,
       3,
       ErrorCode::kHealthCheckFailed},
  };
}

}  // namespace

TEST_CASE("whole updates with a fault at each state end as they must (P4.5, P3.3)") {
  for (const Case& row : cases()) {
    INFO(row.name);
    World world;
    const auto id = place(world, row.kind);
    if (row.fault) row.fault(world);
    world.run(3 * 3600);
    for (int i = 0; i < row.locks; ++i) {
      CHECK(is_as_before(world, row.kind));
      CHECK(world.state(id) == State::kDownloaded);
      world.exit_and_lock();
      world.run(900);
    }
    CHECK(world.state(id) == row.end);
    if (row.end == State::kActive) {
      CHECK(is_live(world, row.kind));
    } else if (row.kind != Kind::kSoftware || row.locks > 0) {
      CHECK(is_as_before(world, row.kind));
    }
    std::size_t at = 0;
    for (const manifest::EcuReport& report : world.server.reports())
      for (const manifest::OrderReport& order : report.orders)
        if (at < row.chain.size() && order.id == id && order.state == row.chain[at]) ++at;
    CHECK(at >= std::min<std::size_t>(row.chain.size(), 1));
    const auto last = world.server.reported(id);
    REQUIRE(last.has_value());
    CHECK(last->state == row.chain.back());
    CHECK(world.server.count_reported(id, OrderState::kActive) ==
          (row.end == State::kActive ? 1 : 0));
    if (row.error) {
      REQUIRE(last->error.has_value());
      CHECK(last->error->code == static_cast<std::uint64_t>(*row.error));
    }
  }
}

TEST_CASE("deltas are taken where the base is right, whole images where it is not (P3.3)") {
  World world;
  world.publish_maps();
  const auto id = world.server.order({"maps/DE/2.tar", "maps/NL/2.tar"});
  REQUIRE(world.run_until_state(id, State::kDownloaded, 600));
  for (const ImageProgress& image : world.order(id)->images) {
    REQUIRE(image.payload() != nullptr);
    CHECK(image.payload()->base.has_value());
  }
  CHECK(world.server.payload_bytes_sent < world.new_regions["DE"].size() / 4);

  World damaged;  // the region was altered on the road: found out before the first byte
  damaged.publish_maps();
  REQUIRE(replace_file(damaged.disk, "/car/maps/current/DE/data.json", as_bytes("{}")));
  const auto other = damaged.server.order({"maps/DE/2.tar", "maps/NL/2.tar"});
  REQUIRE(damaged.run_until_state(other, State::kDownloaded, 600));
  CHECK(!damaged.order(other)->images[0].payload()->base.has_value());
  CHECK(damaged.order(other)->images[1].payload()->base.has_value());
}

TEST_CASE("a damaged chunk is named, refused, and what was there before is kept") {
  World world;
  const auto id = place(world, Kind::kSoftware);
  const auto& whole = world.server.payloads_of("software/hu-4/2.0.0.img");
  const std::string sha256 = to_hex(whole.front().sha256);
  // The last byte of the payload lies in its last chunk.
  world.server.tamper = [&](const std::string& which, std::uint64_t offset, Bytes& body) {
    if (which == sha256 && offset > 0) body.back() ^= 1;
  };
  world.run(5);
  const OrderRecord* order = world.order(id);
  REQUIRE(order != nullptr);
  CHECK(order->state == State::kDownloading);
  REQUIRE(order->error.has_value());
  CHECK(order->error->code() == ErrorCode::kWrongChunk);
  const std::uint32_t last = order->images[0].chunk_count - 1;
  CHECK(order->error->message().find(sha256) != std::string::npos);
  CHECK(order->error->message().find("chunk " + std::to_string(last)) != std::string::npos);
  CHECK(order->images[0].chunks_done == last);
  const std::uint64_t kept = order->images[0].bytes_done;
  std::uint64_t lowest = ~0ull;
  world.server.tamper = {};
  world.server.at_payload = [&](const std::string&, const ByteRange& range) {
    lowest = std::min(lowest, range.offset);
  };
  REQUIRE(world.run_until_state(id, State::kDownloaded, 3600));
  CHECK(lowest == kept);  // from the damaged chunk on, and not before
  CHECK(is_as_before(world, Kind::kSoftware));
}

TEST_CASE("what was staged is lost, cut or changed behind the agent's back: it is made anew") {
  struct Harm {
    const char* what;
    std::function<void(File&)> does;
  };
  const Harm harms[] = {
      {"lost", [](File& file) { REQUIRE(file.truncate(0)); }},
      {"cut", [](File& file) { REQUIRE(file.truncate(file.size() - 1)); }},
      {"changed", [](File& file) { REQUIRE(file.write_at(100, as_bytes("not what was there"))); }},
  };
  for (const Harm& harm : harms) {
    INFO(harm.what);
    World world;
    const auto id = place(world, Kind::kSoftware);
    world.server.tamper = [](const std::string&, std::uint64_t offset, Bytes& body) {
      if (offset > 0) body.back() ^= 1;  // in the last chunk: the others are taken
    };
    world.run(5);
    const OrderRecord order = *world.order(id);
    REQUIRE(order.images[0].chunks_done > 0);
    REQUIRE(order.images[0].chunks_done < order.images[0].chunk_count);
    const std::string staging = Layout(kState).staging(order, 0, world.agent->record());
    world.agent.reset();
    harm.does(**world.disk.open_write(staging));
    world.server.tamper = {};
    world.start();
    REQUIRE(world.run_until_state(id, State::kDownloaded, 24 * 3600));
    // Once more than the whole, at most.
    const std::uint64_t whole = order.images[0].payload()->length;
    CHECK(world.server.payload_bytes_sent <= 2 * whole + 64 * kKiB);
  }
}

TEST_CASE("what the server does not have is final and reported, not asked for again") {
  World world;
  const auto id = place(world, Kind::kSoftware);
  world.server.payload_status = 404;
  world.run(60);
  CHECK(world.state(id) == State::kRefused);
  REQUIRE(world.server.reported(id).has_value());
  CHECK(world.server.reported(id)->state == OrderState::kRefused);
  const int asked = world.server.requests["/v1/payloads"];
  world.run_days(2);
  CHECK(world.server.requests["/v1/payloads"] == asked);
}

TEST_CASE("an order costs no more bytes than its budget") {
  World world;
  const auto id = place(world, Kind::kSoftware);
  world.run(0, [&] { return world.state(id) == State::kDownloading; });
  // A network that breaks off every request after some bytes, for ever.
  world.server.at_payload = [&](const std::string&, const ByteRange&) {
    world.server.break_payload_after = 10'000;
  };
  world.server.tamper = [](const std::string&, std::uint64_t offset, Bytes& body) {
    if (offset > 0) body[0] ^= 1;  // and no chunk is ever right
  };
  world.run_days(30);
  CHECK(world.state(id) == State::kFailed);
  CHECK(world.server.payload_bytes_sent <= world.order(id)->bytes_budget);
}

TEST_CASE("private mode: no download, no report, no poll; it goes on from its byte (P2.2)") {
  World world;
  const auto id = place(world, Kind::kSoftware);
  world.server.piece_bytes = 8;
  world.server.at_payload = [&](const std::string&, const ByteRange& range) {
    if (range.offset > 0) world.vehicle.signals[std::string(vss::kPrivateMode)] = "true";
  };
  world.run(60);
  CHECK(world.state(id) == State::kDownloading);
  CHECK(world.order(id)->images[0].chunks_done == 0);  // it stopped at once
  CHECK(world.order(id)->waiting_for == std::vector<std::string>{"private-mode"});
  CHECK(world.vehicle.shows("Private mode is on"));
  const auto asked = world.server.requests;
  world.run_days(3);
  CHECK(world.server.requests == asked);
  CHECK(world.agent->record().private_mode);

  std::vector<ByteRange> ranges;
  world.server.at_payload = [&](const std::string&, const ByteRange& range) {
    ranges.push_back(range);
  };
  const std::uint64_t total = world.order(id)->bytes_total();
  world.vehicle.signals[std::string(vss::kPrivateMode)] = "false";
  REQUIRE(world.run_until_state(id, State::kDownloaded, 600));
  // It went on in the middle of the chunk, from the very byte: each byte came once.
  CHECK(ranges.front().offset > world.order(id)->images[0].payload()->head_length);
  CHECK(world.server.payload_bytes_sent == total);
}

TEST_CASE("in private mode what lies downloaded can still be activated (P2.1, P2.2)") {
  World world;
  const auto id = place(world, Kind::kMaps);
  REQUIRE(world.run_until_state(id, State::kDownloaded, 600));
  world.vehicle.signals[std::string(vss::kPrivateMode)] = "true";
  world.exit_and_lock();
  world.run(60);
  CHECK(world.state(id) == State::kActive);
  CHECK(world.live_maps() == "new");
}

TEST_CASE("only an exit-and-lock after the download arms the activation (P4.2)") {
  World world;
  world.vehicle.park_locked();  // it downloads while it stands locked
  const auto id = place(world, Kind::kMaps);
  world.run(3600);
  CHECK(world.state(id) == State::kDownloaded);
  CHECK(world.order(id)->waiting_for == std::vector<std::string>{"exit-and-lock"});
  CHECK(world.vehicle.shows("Starts when you get out and lock"));
  // Signals that fail and come back are no exit-and-lock.
  world.vehicle.frozen = true;
  world.run(60);
  world.vehicle.frozen = false;
  world.run(60);
  CHECK(world.state(id) == State::kDownloaded);
  world.exit_and_lock();
  world.run(60);
  CHECK(world.state(id) == State::kActive);
}

TEST_CASE("while a condition is missing the head unit names it, and nothing begins (P4.1, P4.3)") {
  World world;
  const auto id = place(world, Kind::kMaps);
  REQUIRE(world.run_until_state(id, State::kDownloaded, 600));
  world.vehicle.signals[std::string(vss::kCable)] = "true";
  world.exit_and_lock();
  world.vehicle.signals[std::string(vss::kTractionBattery)] = "20";
  world.vehicle.signals[std::string(vss::kLanguage)] = "de";
  world.run(600);
  CHECK(world.state(id) == State::kWaiting);
  CHECK(world.order(id)->waiting_for ==
        std::vector<std::string>{"charging-cable", "traction-battery"});
  CHECK(world.vehicle.shows("Bitte Ladekabel abziehen."));
  CHECK(world.vehicle.shows("mindestens 40 %"));
  CHECK(world.vehicle.shows("dauert etwa 2 Minuten"));  // shown before it begins (P4.4)
  CHECK(world.live_maps() == "old");
  world.vehicle.signals[std::string(vss::kCable)] = "false";
  world.vehicle.signals[std::string(vss::kTractionBattery)] = "80";
  world.run(60);
  CHECK(world.state(id) == State::kActive);
  CHECK(world.server.reported(id)->conditions.at(std::string(vss::kGear)) == "126");
}

TEST_CASE("the owner's time is waited for (P4.2)") {
  World world;
  const auto id = place(world, Kind::kMaps);
  REQUIRE(world.run_until_state(id, State::kDownloaded, 600));
  const UnixSeconds wanted = world.clock.now() + 7200;
  world.vehicle.signals[std::string(vss::kActivateAt)] = format_utc(wanted);
  world.exit_and_lock();
  world.run(3600);
  CHECK(world.state(id) == State::kWaiting);
  REQUIRE(world.run_until_state(id, State::kActive, 7200));
  CHECK(world.clock.now() >= wanted);
  CHECK(world.clock.now() <= wanted + 60);
}

TEST_CASE("the owner's time counts on when its signal is lost, also after a start (P4.2)") {
  World world;
  const auto id = place(world, Kind::kMaps);
  REQUIRE(world.run_until_state(id, State::kDownloaded, 600));
  const std::string name(vss::kActivateAt);
  world.vehicle.signals[name] = format_utc(world.clock.now() + 7200).substr(0, 19) + ".000Z";
  world.exit_and_lock();
  world.run(600);
  CHECK(world.state(id) == State::kWaiting);
  world.vehicle.signals.erase(name);  // the head unit's part that says it has died
  world.run(600);
  CHECK(world.state(id) == State::kWaiting);
  world.start();
  world.run(600);
  CHECK(world.state(id) == State::kWaiting);
  world.vehicle.signals[name] = "tomorrow";
  world.run(600);
  CHECK(world.state(id) == State::kWaiting);
  world.vehicle.signals[name] = "";  // the owner has taken it back
  CHECK(world.run_until_state(id, State::kActive, 600));
}

TEST_CASE("three regions become live at one instant: no reader sees a mixture (P3.3)") {
  World world;
  std::set<std::string> seen;
  world.vehicle.at_command = [&](const std::string&) { seen.insert(world.live_maps()); };
  const auto id = place(world, Kind::kMaps);
  world.run(600, [&] {
    seen.insert(world.live_maps());
    return false;
  });
  world.exit_and_lock();
  world.run(60, [&] {
    seen.insert(world.live_maps());
    return false;
  });
  CHECK(world.state(id) == State::kActive);
  CHECK(seen == std::set<std::string>{"new", "old"});
  // The old release is not kept.
  CHECK(world.disk.list("/car/maps/regions")->size() == 3);
  CHECK(world.disk.list("/car/maps/sets")->size() == 1);
  CHECK(world.disk.list("/car/inbox")->empty());
}

TEST_CASE("metadata for another car is refused and reported as such (P5.1)") {
  World world;
  world.server.director_vin = "WVWZZZ1JZXW000025";
  const auto id = place(world, Kind::kMaps);
  world.run(600);
  CHECK(!world.state(id).has_value());
  CHECK(world.agent->record().poll_error->code() == ErrorCode::kWrongVehicle);
  REQUIRE(!world.server.reports().empty());
  CHECK(world.server.reports().back().attack.find("wrong-vehicle") == 0);
  world.server.director_vin = kVin;
  world.server.sign_director();
  CHECK(world.run_until_state(id, State::kDownloaded, 2 * 3600));
}

TEST_CASE("an order that is taken back is dropped before the point of no return (P1.6)") {
  World world;
  const auto id = place(world, Kind::kFunction);
  REQUIRE(world.run_until_state(id, State::kDownloaded, 600));
  world.server.cancel(id);
  world.run(2 * 3600);
  CHECK(!world.state(id).has_value());
  CHECK(world.disk.list("/car/inbox")->empty());
  world.exit_and_lock();
  world.run(600);
  CHECK(world.vehicle.functions.empty());
}

TEST_CASE("what has started is finished, listed or not (P4.4)") {
  World world;
  const auto id = place(world, Kind::kSoftware);
  REQUIRE(world.run_until_state(id, State::kDownloaded, 600));
  world.vehicle.at_command = [&](const std::string& command) {
    if (command.starts_with("boot")) world.server.cancel(id);
  };
  world.exit_and_lock();
  world.run(60);
  CHECK(world.kept_software() == "new");
  CHECK(world.server.count_reported(id, OrderState::kActive) == 1);
}

TEST_CASE("a function waits for its licence, which comes after the report (P1.5)") {
  World world;
  world.server.issues_licences = false;
  const auto id = place(world, Kind::kFunction);
  REQUIRE(world.run_until_state(id, State::kDownloaded, 600));
  world.exit_and_lock();
  world.run(600);
  CHECK(world.state(id) == State::kDownloaded);
  CHECK(world.order(id)->waiting_for == std::vector<std::string>{"licence"});
  CHECK(world.vehicle.functions.empty());
}

TEST_CASE("a term runs out without a connection, at the next lock (P1.9)") {
  World world;
  world.server.licence_until = kStart + 10 * kDaySeconds;
  const auto id = place(world, Kind::kFunction);
  REQUIRE(world.run_until_state(id, State::kDownloaded, 600));
  world.run(5);
  world.exit_and_lock();
  world.run(60);
  REQUIRE(world.vehicle.functions.contains("adaptive-cruise"));
  CHECK(world.vehicle.log.back().find("until 2026") != std::string::npos);
  world.server.offline = true;
  world.vehicle.drive();
  world.run_days(11);
  CHECK(world.vehicle.functions.contains("adaptive-cruise"));  // not while somebody drives
  CHECK(world.vehicle.shows("Term is over"));
  world.start();  // the car was off meanwhile: the wall clock says so
  world.vehicle.park_locked();
  world.run(600);
  CHECK(world.vehicle.functions.empty());
  world.server.offline = false;
  world.vehicle.drive();
  world.run(60);
  const auto& functions = world.server.reports().back().functions;
  REQUIRE(functions.size() == 1);
  CHECK(functions.begin()->second.state == manifest::FunctionState::kExpired);
}

TEST_CASE("a deactivation takes the same way as an activation (P1.9)") {
  World world;
  const auto id = place(world, Kind::kFunction);
  REQUIRE(world.run_until_state(id, State::kDownloaded, 600));
  world.run(5);
  world.exit_and_lock();
  world.run(60);
  REQUIRE(world.state(id) == State::kActive);
  world.server.cancel(id);
  const auto off =
      world.server.order_licence("adaptive-cruise", manifest::LicenceState::kRevoked, std::nullopt);
  world.vehicle.drive();
  world.run(60);
  CHECK(world.state(off) == State::kDownloaded);
  CHECK(world.vehicle.functions.contains("adaptive-cruise"));
  world.exit_and_lock();
  world.vehicle.signals[std::string(vss::kCable)] = "true";
  world.run(60);
  CHECK(world.state(off) == State::kWaiting);
  world.vehicle.signals[std::string(vss::kCable)] = "false";
  world.run(60);
  CHECK(world.state(off) == State::kDeactivated);
  CHECK(world.vehicle.functions.empty());
  CHECK(world.server.reported(off)->state == OrderState::kDeactivated);
}

TEST_CASE(
    "an order that comes back as a deactivation begins anew, whatever it had come to (P1.7)") {
  World world;
  State before = State::kActive;
  SECTION("active, and the Director had not dropped it") {}
  SECTION("failed: the licence that came with it is overtaken by the one that revokes it") {
    world.vehicle.fail_activate = 100;
    before = State::kFailed;
  }
  SECTION("downloaded: it is off already, and the car says so") {
    before = State::kDownloaded;
  }
  const auto id = place(world, Kind::kFunction);
  REQUIRE(world.run_until_state(id, State::kDownloaded, 600));
  world.run(5);
  for (int tries = 0; tries < 20 && world.state(id) != before; ++tries) {
    world.exit_and_lock();
    world.run(60);
    world.vehicle.drive();
    world.run(60);
  }
  REQUIRE(world.state(id) == before);
  world.server.deactivate(id, "adaptive-cruise");
  for (int stops = 0; stops < 2; ++stops) {
    world.vehicle.drive();
    world.run_days(1);
    world.exit_and_lock();
    world.run(60);
  }
  CHECK(world.state(id) == State::kDeactivated);
  CHECK(world.vehicle.functions.empty());
  REQUIRE(world.server.reported(id));
  CHECK(world.server.reported(id)->state == OrderState::kDeactivated);
}

TEST_CASE("a renewal carries the term on") {
  World world;
  world.server.licence_until = kStart + 10 * kDaySeconds;
  const auto id = place(world, Kind::kFunction);
  REQUIRE(world.run_until_state(id, State::kDownloaded, 600));
  world.run(5);
  world.exit_and_lock();
  world.run(60);
  world.server.cancel(id);
  const auto renewal = world.server.order_licence(
      "adaptive-cruise", manifest::LicenceState::kActive, kStart + 40 * kDaySeconds);
  world.vehicle.drive();
  world.run(60);
  world.exit_and_lock();
  world.run(60);
  CHECK(world.state(renewal) == State::kActive);
  world.run_days(20);
  CHECK(world.vehicle.functions.contains("adaptive-cruise"));
  world.run_days(21);
  CHECK(world.vehicle.functions.empty());
}

TEST_CASE("a licence that was copied from another car switches nothing on (P1.3)") {
  World bought, other;
  const auto id = place(bought, Kind::kFunction);
  REQUIRE(bought.run_until_state(id, State::kDownloaded, 600));
  bought.run(5);
  bought.exit_and_lock();
  bought.run(60);
  const Layout layout(kState);
  const auto function = manifest::FunctionId::parse("adaptive-cruise").value();
  const Bytes licence = read_file(bought.disk, layout.licence(function), 4096).value();
  REQUIRE(replace_file(other.disk, layout.licence(function), licence));
  other.exit_and_lock();
  other.run(600);
  CHECK(other.vehicle.functions.empty());
  CHECK(other.vehicle.shows("Not licensed for this car: adaptive-cruise"));
}

TEST_CASE("a state directory in a car with another VIN begins nothing (P1.3)") {
  World world;
  const auto id = place(world, Kind::kMaps);
  REQUIRE(world.run_until_state(id, State::kDownloaded, 600));
  world.vehicle.signals[std::string(vss::kVin)] = "WVWZZZ1JZXW000025";
  world.exit_and_lock();
  world.run(600);
  CHECK(world.state(id) == State::kDownloaded);
  CHECK(world.live_maps() == "old");
  world.vehicle.signals[std::string(vss::kVin)] = kVin;
  world.exit_and_lock();
  world.run(600);
  CHECK(world.state(id) == State::kActive);
}

TEST_CASE("a report is sent again as the same bytes until it is taken") {
  World world;
  world.server.offline = true;
  world.run(60);
  const Layout layout(kState);
  const Bytes first = read_file(world.disk, layout.pending_manifest(), 1 << 16).value();
  CHECK(world.agent->record().report_counter == 1);
  world.start();
  world.run(3600);
  CHECK(read_file(world.disk, layout.pending_manifest(), 1 << 16).value() == first);
  CHECK(world.agent->record().report_counter == 1);
  world.server.offline = false;
  world.run(3600);
  REQUIRE(!world.server.reports().empty());
  CHECK(world.server.reports().front().counter == 1);
}

TEST_CASE("polls that find nothing cost one 304 and no report") {
  World world;
  world.run(3 * 3600);
  const std::size_t reports = world.server.reports().size();
  CHECK(reports <= 2);
  world.run(6 * 3600);
  CHECK(world.server.reports().size() == reports);
}

TEST_CASE("the next release comes as a delta from what the last one left (P3.3)") {
  World world;
  const auto first = place(world, Kind::kSoftware);
  REQUIRE(world.run_until_state(first, State::kDownloaded, 600));
  world.exit_and_lock();
  world.run(60);
  REQUIRE(world.state(first) == State::kActive);
  world.server.cancel(first);
  const Bytes third = changed(world.new_software, 7);
  world.server.publish({.name = "software/hu-4/3.0.0.img",
                        .bytes = third,
                        .base = world.new_software,
                        .release_counter = 3});
  const auto second = world.server.order({"software/hu-4/3.0.0.img"});
  world.vehicle.drive();
  REQUIRE(world.run_until_state(second, State::kDownloaded, 600));
  CHECK(world.order(second)->images[0].payload()->base.has_value());
  world.exit_and_lock();
  world.run(60);
  CHECK(world.state(second) == State::kActive);
  CHECK(read_file(world.disk, world.vehicle.confirmed, 1 << 20).value() == third);
}

TEST_CASE("what the slot holds already is not fetched again") {
  World world;
  world.server.publish({.name = "software/hu-4/1.0.0.img",
                        .bytes = world.old_software,
                        .base = {},
                        .release_counter = 1});
  const auto id = world.server.order({"software/hu-4/1.0.0.img"});
  REQUIRE(world.run_until_state(id, State::kDownloaded, 600));
  CHECK(world.server.payload_bytes_sent == 0);
  world.exit_and_lock();
  world.run(60);
  CHECK(world.state(id) == State::kActive);
  CHECK(world.kept_software() == "old");
}

TEST_CASE("a car that falls silent in the middle is asked again, not given up") {
  World world;
  const auto id = place(world, Kind::kMaps);
  REQUIRE(world.run_until_state(id, State::kDownloaded, 600));
  world.vehicle.at_command = [&](const std::string& command) {
    if (command.starts_with("reload")) world.vehicle.unreachable = true;
  };
  world.exit_and_lock();
  world.run(1);
  world.vehicle.at_command = {};
  world.vehicle.unreachable = true;
  world.run(120);
  world.vehicle.unreachable = false;
  world.run(120);
  CHECK(world.state(id) == State::kActive);
  CHECK(world.live_maps() == "new");
}
