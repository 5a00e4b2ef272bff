// Bearers, roaming, calls on 2G, the monthly data budget (P2.3).
#include "agent/network.h"

#include <catch2/catch.hpp>

#include "base/time_text.h"
#include "tests/agent/world.h"

using namespace layby;
using namespace layby::agent;
using namespace layby::tests;
using manifest::NetworkNeed;

namespace {

Facts facts_of(const std::map<std::string_view, std::string>& values) {
  Facts facts;
  for (const auto& [name, value] : values) facts.set(name, {value, 0});
  return facts;
}

OrderRecord order_of(const char* image, NetworkNeed need = NetworkNeed::kAny) {
  OrderRecord order{.id = manifest::OrderId::generate(kStart)};
  const auto name = manifest::ImageName::parse(image).value();
  order.images.push_back({.name = name, .slot = name.slot(), .network = need});
  order.offered_at = kStart;
  return order;
}

void connect(World& world, const std::string& bearer, const std::string& roaming = "false") {
  world.vehicle.signals[std::string(vss::kBearer)] = bearer;
  world.vehicle.signals[std::string(vss::kRoaming)] = roaming;
}

std::vector<std::string> waits(World& world, const manifest::OrderId& id) {
  return world.order(id)->waiting_for;
}

constexpr std::uint64_t kNoLimit = ~std::uint64_t{0};

}  // namespace

TEST_CASE("what each bearer is (P2.3)") {
  CHECK(connection(Facts()) == Connection{});
  CHECK(connection(facts_of({{vss::kBearer, "wifi"}, {vss::kRoaming, "true"}})) == Connection{});
  for (const char* bearer : {"sim", "inserted-sim", "hotspot", "satellite"}) {
    const Connection home = connection(facts_of({{vss::kBearer, bearer}}));
    CHECK((home.is_there && home.is_metered && !home.is_roaming && !home.is_in_call));
    // A value that is none is taken for the one that costs less.
    for (const char* roaming : {"true", "maybe"})
      CHECK(connection(facts_of({{vss::kBearer, bearer}, {vss::kRoaming, roaming}})).is_roaming);
  }
  const Connection none = connection(facts_of({{vss::kBearer, "none"}, {vss::kRoaming, "true"}}));
  CHECK((!none.is_there && !none.is_metered && !none.is_roaming));
  const auto calls = [](const char* bearer, const char* generation, const char* in_call) {
    return connection(facts_of({{vss::kBearer, bearer},
                                {vss::kRadioGeneration, generation},
                                {vss::kInCall, in_call}}))
        .is_in_call;
  };
  CHECK(calls("sim", "2G", "true"));
  CHECK(calls("inserted-sim", "2G", "true"));
  CHECK(!calls("sim", "4G", "true"));
  CHECK(!calls("sim", "2G", "false"));
  CHECK(!calls("wifi", "2G", "true"));
  CHECK(!calls("hotspot", "2G", "true"));
}

TEST_CASE("who may go over which connection (P2.3)") {
  const Connection wifi, sim{.is_metered = true}, abroad{.is_metered = true, .is_roaming = true},
      call{.is_metered = true, .is_in_call = true}, none{.is_there = false},
      hidden{.is_private = true};
  const NetworkPolicy home{.roaming = RoamingUse::kNothing}, news{},
      all{.roaming = RoamingUse::kPayloads};
  CHECK(!bar_to_news(wifi, home));
  CHECK(!bar_to_news(sim, home));
  CHECK(bar_to_news(abroad, home) == Wait::kRoaming);
  CHECK(!bar_to_news(abroad, news));
  CHECK(bar_to_news(call, all) == Wait::kCall);
  CHECK(bar_to_news(none, all) == Wait::kConnection);
  CHECK(bar_to_news(hidden, all) == Wait::kPrivateMode);

  const auto bar = [](const Connection& by, const NetworkPolicy& policy, const OrderRecord& order,
                      UnixSeconds now = kStart, std::uint64_t left = kNoLimit) {
    const auto found = bar_to_payload(by, policy, order, now, left);
    return found ? std::optional(found->wait) : std::nullopt;
  };
  const OrderRecord any = order_of("software/hu-4/2.img"),
                    at_home = order_of("software/hu-4/2.img", NetworkNeed::kNotRoaming),
                    free = order_of("software/hu-4/2.img", NetworkNeed::kUnmetered),
                    map = order_of("maps/DE/2.tar");
  CHECK(!bar(sim, news, any));
  CHECK(bar(abroad, news, any) == Wait::kRoaming);
  CHECK(!bar(abroad, all, any));
  CHECK(bar(abroad, all, at_home) == Wait::kRoaming);
  CHECK(!bar(sim, all, at_home));
  CHECK(bar(sim, all, free) == Wait::kWifi);
  CHECK(!bar(wifi, home, free));
  CHECK(bar(sim, all, map) == Wait::kWifi);
  CHECK(bar_to_payload(sim, all, map, kStart, kNoLimit)->ends == kStart + kDaySeconds);
  CHECK(!bar(sim, all, map, kStart + kDaySeconds));
  CHECK(!bar(wifi, all, map));
  CHECK(bar(sim, all, any, kStart, 0) == Wait::kDataBudget);
  CHECK(!bar(wifi, all, any, kStart, 0));
  CHECK(bar(call, all, any) == Wait::kCall);
}

TEST_CASE("while roaming there are news but no payloads, unless that is allowed (P2.3)") {
  World world;
  connect(world, "sim", "true");
  const auto id = order_software(world);
  world.run(3600);
  CHECK(world.state(id) == State::kOffered);
  CHECK(waits(world, id) == std::vector<std::string>{"roaming"});
  CHECK(world.server.payload_bytes_sent == 0);
  CHECK(world.vehicle.shows("No download while roaming"));
  CHECK(!world.server.reports().empty());
  SECTION("at home it goes on by itself") {
    connect(world, "sim");
    CHECK(world.run_until_state(id, State::kDownloaded, 600));
  }
  SECTION("the host allows it") {
    world.options.network.roaming = RoamingUse::kPayloads;
    world.start();
    CHECK(world.run_until_state(id, State::kDownloaded, 600));
  }
  SECTION("the host allows not even news") {
    world.options.network.roaming = RoamingUse::kNothing;
    world.start();
    const auto asked = world.server.requests;
    world.run_days(2);
    CHECK(world.server.requests == asked);
  }
}

TEST_CASE("what a package asks for is in its signed metadata, and is obeyed (P2.3)") {
  World world;
  world.options.network.roaming = RoamingUse::kPayloads;
  SECTION("not roaming") {
    connect(world, "sim", "true");
    const auto id = order_software(world, NetworkNeed::kNotRoaming);
    world.run(3600);
    CHECK(waits(world, id) == std::vector<std::string>{"roaming"});
    CHECK(world.server.payload_bytes_sent == 0);
    connect(world, "inserted-sim");
    CHECK(world.run_until_state(id, State::kDownloaded, 600));
  }
  SECTION("unmetered") {
    connect(world, "hotspot");
    const auto id = order_software(world, NetworkNeed::kUnmetered);
    world.run_days(5);
    CHECK(waits(world, id) == std::vector<std::string>{"wifi"});
    CHECK(world.server.payload_bytes_sent == 0);
    CHECK(world.vehicle.shows("waits for Wi-Fi"));
    connect(world, "wifi");
    CHECK(world.run_until_state(id, State::kDownloaded, 600));
  }
}

TEST_CASE("maps wait for Wi-Fi, and after the time that was set come over any bearer (P2.3)") {
  World world;
  connect(world, "sim");
  world.options.network.map_wifi_wait_seconds = 3 * 3600;
  world.publish_maps();
  const auto id = world.server.order({"maps/DE/2.tar", "maps/FR/2.tar", "maps/NL/2.tar"});
  world.run(3600);
  CHECK(waits(world, id) == std::vector<std::string>{"wifi"});
  world.start();  // the time that passed is not forgotten
  SECTION("no Wi-Fi comes") {
    world.run(3600);
    CHECK(world.server.payload_bytes_sent == 0);
    CHECK(world.run_until_state(id, State::kDownloaded, 3600 + 60));
  }
  SECTION("Wi-Fi comes, and goes in the middle") {
    world.server.piece_bytes = 8;
    world.server.at_payload = [&](const std::string&, const ByteRange& range) {
      if (range.offset > 0) connect(world, "sim");
    };
    connect(world, "wifi");
    world.run(60);
    CHECK(world.state(id) == State::kDownloading);
    CHECK(waits(world, id) == std::vector<std::string>{"wifi"});
    CHECK(world.order(id)->images[0].chunks_done == 0);  // it stopped at once
    world.server.at_payload = nullptr;
    connect(world, "wifi");
    CHECK(world.run_until_state(id, State::kDownloaded, 60));
  }
}

TEST_CASE("on 2G nothing is asked or told during a call, and all goes on behind it (P2.3)") {
  World world;
  connect(world, "sim");
  world.vehicle.signals[std::string(vss::kRadioGeneration)] = "2G";
  world.vehicle.signals[std::string(vss::kInCall)] = "false";
  const auto id = order_software(world);
  world.server.piece_bytes = 8;
  world.server.at_payload = [&](const std::string&, const ByteRange& range) {
    if (range.offset > 0) world.vehicle.signals[std::string(vss::kInCall)] = "true";
  };
  world.run(60);
  REQUIRE(world.state(id) == State::kDownloading);
  CHECK(world.order(id)->images[0].chunks_done == 0);  // it stopped at once
  CHECK(waits(world, id) == std::vector<std::string>{"call"});
  CHECK(world.vehicle.shows("pauses during the call"));
  const auto asked = world.server.requests;
  world.run(2 * 3600);
  CHECK(world.server.requests == asked);
  world.server.at_payload = nullptr;
  world.vehicle.signals[std::string(vss::kInCall)] = "false";
  CHECK(world.run_until_state(id, State::kDownloaded, 60));
}

TEST_CASE(
    "the month's data budget holds to a chunk, across restarts, and ends with the month "
    "(P2.3)") {
  World world;
  constexpr std::uint64_t kBudget = 50'000;
  world.options.network.data_budget_bytes = kBudget;
  connect(world, "sim");
  world.publish_function();  // a whole image: no delta makes it small
  world.server.publish({.name = "software/hu-4/2.0.0.img",
                        .bytes = noise(150'000, 77),
                        .base = {},
                        .release_counter = 2});
  const auto id = world.server.order({"software/hu-4/2.0.0.img"});
  std::uint64_t largest = 0;
  world.server.at_payload = [&](const std::string&, const ByteRange& range) {
    largest = std::max(largest, range.length);
  };
  world.run(3600);
  REQUIRE(world.state(id) == State::kDownloading);
  CHECK(waits(world, id) == std::vector<std::string>{"data-budget"});
  CHECK(world.vehicle.shows("data volume is used up"));
  const std::uint64_t used = world.server.payload_bytes_sent;
  CHECK(used >= kBudget);
  CHECK(used <= kBudget + 20'000);  // one chunk
  CHECK(world.agent->record().data_bytes == used);
  CHECK(world.agent->record().data_month == format_utc(world.agent->trusted_now()).substr(0, 7));
  world.start();
  world.run(3600);
  CHECK(world.server.payload_bytes_sent == used);
  SECTION("Wi-Fi does not count") {
    connect(world, "wifi");
    REQUIRE(world.run_until_state(id, State::kDownloaded, 600));
    CHECK(world.agent->record().data_bytes == used);
  }
  SECTION("the next month, in UTC") {
    const std::string month = world.agent->record().data_month;
    REQUIRE(world.run_days(32, [&] { return world.server.payload_bytes_sent > used; }));
    CHECK(format_utc(world.clock.now()).substr(0, 7) > month);
    CHECK(format_utc(world.clock.now()).substr(8, 2) == "01");
    world.run(3600);
    CHECK(world.agent->record().data_bytes <= kBudget + 20'000);
    CHECK(world.server.payload_bytes_sent - used == world.agent->record().data_bytes);
  }
}

TEST_CASE("what breaks off is counted as far as it came (P2.3)") {
  World world;
  world.options.network.data_budget_bytes = 10'000'000;
  connect(world, "sim");
  const auto id = order_software(world);
  world.server.break_payload_after = 3'000;
  REQUIRE(world.run_until_state(id, State::kDownloaded, 3600));
  CHECK(world.agent->record().data_bytes == world.server.payload_bytes_sent);
  CHECK(world.agent->record().data_bytes == world.order(id)->bytes_received);
}

TEST_CASE("a car that falls silent is neither at home nor out of private mode (P2.2, P2.3)") {
  World world;
  connect(world, "sim", "true");
  const auto id = order_software(world);
  world.run(60);
  world.vehicle.unreachable = true;
  world.run(3600);
  CHECK(world.state(id) == State::kOffered);
  CHECK(world.server.payload_bytes_sent == 0);
  world.vehicle.unreachable = false;
  world.vehicle.signals[std::string(vss::kPrivateMode)] = "true";
  world.run(60);
  world.vehicle.unreachable = true;
  world.start();
  const auto asked = world.server.requests;
  world.run_days(1);
  CHECK(world.server.requests == asked);
  CHECK(world.agent->record().private_mode);
}

TEST_CASE("after a start nothing is asked before the car has said where it is (P2.2, P2.3)") {
  World world;
  connect(world, "sim", "true");
  world.options.network.roaming = RoamingUse::kNothing;
  const auto id = order_software(world);
  world.vehicle.unreachable = true;
  world.start();
  for (int i = 0; i < 50; ++i) {
    REQUIRE(world.agent->step().has_value());
    world.clock.advance(1);
  }
  CHECK(world.server.requests.empty());
  world.vehicle.unreachable = false;
  world.run(3600);
  CHECK(world.server.requests.empty());
  // And what it said holds in the next start, for as long as it is silent.
  world.vehicle.unreachable = true;
  world.start();
  world.run(3600);
  CHECK(world.server.requests.empty());
  world.vehicle.unreachable = false;
  connect(world, "wifi");
  CHECK(world.run_until_state(id, State::kDownloaded, 600));
}

TEST_CASE("a car that cannot say its private mode after a start gets the time to (P2.2)") {
  World world;
  const auto id = order_software(world);
  world.vehicle.signals.erase(std::string(vss::kPrivateMode));
  world.vehicle.lost = {std::string(vss::kPrivateMode)};
  world.start();
  const auto asked = world.server.requests;
  for (int i = 0; i < 50; ++i) {
    REQUIRE(world.agent->step().has_value());
    world.clock.advance(1);
  }
  CHECK(world.server.requests == asked);
  world.vehicle.lost = {};
  world.vehicle.signals[std::string(vss::kPrivateMode)] = "true";
  world.run(3600);
  CHECK(world.server.requests == asked);
  world.vehicle.signals[std::string(vss::kPrivateMode)] = "false";
  CHECK(world.run_until_state(id, State::kDownloaded, 600));
}

TEST_CASE("a signal that is missing among others is as it was (P2.2, P2.3)") {
  World world;
  connect(world, "sim", "true");
  const auto id = order_software(world);
  world.run(60);
  REQUIRE(waits(world, id) == std::vector<std::string>{"roaming"});
  world.vehicle.signals.erase(std::string(vss::kBearer));
  world.vehicle.signals.erase(std::string(vss::kRoaming));
  world.start();
  world.run(600);
  CHECK(world.server.payload_bytes_sent == 0);
  world.vehicle.signals[std::string(vss::kPrivateMode)] = "true";
  world.run(60);
  world.vehicle.signals.erase(std::string(vss::kPrivateMode));
  world.start();
  const auto asked = world.server.requests;
  world.run(3600);
  CHECK(world.server.requests == asked);
}

TEST_CASE("what needs no byte waits for no connection (P1.6, P2.3)") {
  World world;
  connect(world, "wifi");
  SECTION("the package is in the car already") {
    world.publish_function();
    const auto first = world.server.order({"functions/adaptive-cruise/1.0.0.pkg"});
    REQUIRE(world.run_until_state(first, State::kDownloaded, 600));
    world.run(5);
    world.exit_and_lock();
    REQUIRE(world.run_until_state(first, State::kActive, 60));
    world.server.cancel(first);
    connect(world, "sim", "true");
    const auto again = world.server.order({"functions/adaptive-cruise/1.0.0.pkg"});
    CHECK(world.run_until_state(again, State::kDownloaded, 7 * 3600));
  }
  SECTION("only the reading back is left") {
    const auto id = order_software(world);
    world.server.at_payload = [&](const std::string&, const ByteRange& range) {
      if (range.offset > 0) world.vehicle.signals[std::string(vss::kBearer)] = "none";
    };
    CHECK(world.run_until_state(id, State::kDownloaded, 3600));
  }
}

TEST_CASE("an answer that nobody can use has its price all the same (P2.3)") {
  World world;
  connect(world, "sim");
  const auto id = order_software(world);
  world.server.payload_status = 503;
  world.server.payload_refusal_bytes = 700;
  world.server.breaks_refusals = GENERATE(false, true);
  world.run(600);
  REQUIRE(world.state(id) == State::kDownloading);
  CHECK(world.agent->record().data_bytes > 0);
  CHECK(world.agent->record().data_bytes % 700 == 0);
}

// A link that breaks is no news; a server that only drips is told, and is not asked again at once.
TEST_CASE("slow retrieval of a payload is told, in the report too, and waited for") {
  World world;
  world.server.publish({.name = "software/hu-4/2.0.0.img",
                        .bytes = noise(1'500'000, 7),
                        .base = std::nullopt,
                        .release_counter = 2});
  const auto id = world.server.order({"software/hu-4/2.0.0.img"});
  const bool drips = GENERATE(true, false);
  CAPTURE(drips);
  if (drips) world.server.break_with = ErrorCode::kSlowRetrieval;
  std::vector<std::int64_t> asked;
  bool breaks = true;
  world.server.at_payload = [&](const std::string&, const ByteRange& range) {
    if (range.offset == 0) return;  // the head
    asked.push_back(world.clock.monotonic_ms());
    if (breaks) world.server.break_payload_after = 20'000;
  };
  REQUIRE(world.run(24 * 3600, [&] { return asked.size() == 4; }));
  CHECK((world.order(id)->failures_in_row > 0) == drips);
  CHECK(world.order(id)->error.has_value() == drips);
  CHECK((asked[3] - asked[0] >= 3'000) == drips);
  if (drips) {
    CHECK(world.order(id)->error->code() == ErrorCode::kSlowRetrieval);
    CHECK(world.run(3600, [&] {
      const auto told = world.server.reported(id);
      return told && told->error && told->error->name == "slow-retrieval";
    }));
  }
  breaks = false;
  REQUIRE(world.run_until_state(id, State::kDownloaded, 24 * 3600));
  // What came drop by drop is kept all the same.
  CHECK(world.order(id)->bytes_received < 1'700'000);
}

TEST_CASE("what a journal that cannot be saved would have counted is not counted (P2.3)") {
  World world;
  connect(world, "sim");
  const auto id = order_software(world);
  REQUIRE(world.run_until_state(id, State::kDownloading, 3600));
  const std::uint64_t before = world.agent->record().data_bytes;
  const std::uint64_t sent_before = world.server.payload_bytes_sent;
  world.disk.inject({.kind = Fault::Kind::kWriteError, .lasts = Fault::Lasts::kForEver});
  for (int i = 0; i < 20; ++i) {
    const auto next = world.agent->step();
    world.clock.advance_ms(next ? next->wait_ms : 60'000);
  }
  REQUIRE(world.disk.has_struck());
  CHECK(world.agent->record().data_bytes - before == world.server.payload_bytes_sent - sent_before);
  world.disk.heal();
  CHECK(world.run_until_state(id, State::kDownloaded, 3600));
}

TEST_CASE("a power cut costs the budget one chunk, not a run (P2.3, P4.7)") {
  World world;
  world.options.network.data_budget_bytes = 100'000'000;
  connect(world, "sim");
  const auto id = order_software(world);
  std::uint64_t chunks_seen = 0;
  world.server.piece_bytes = 8;
  world.disk.observer = [&](const std::string& path) {
    const auto* order = world.agent ? world.order(id) : nullptr;
    if (order == nullptr || order->images.empty() || path.find("journal") == std::string::npos)
      return;
    if (order->images[0].chunks_done > 3 && chunks_seen++ == 0) throw PowerCut{};
  };
  try {
    world.run(600);
  } catch (const PowerCut&) {
  }
  world.disk.observer = nullptr;
  REQUIRE(chunks_seen == 1);
  world.agent.reset();
  world.disk.restart(MemoryDisk::Survives::kEverything, 1);
  const Record record = Journal::read(world.disk, kState).value();
  const auto& image = record.orders.at(0).images.at(0);
  REQUIRE(image.chunks_done < image.chunk_count - 2);
  CHECK(record.data_bytes < image.payload()->length);
  world.start();
  CHECK(world.run_until_state(id, State::kDownloaded, 600));
}

TEST_CASE("what may not come yet takes no room, again and again, and no other's bytes (P2.3)") {
  World world;
  connect(world, "sim");
  world.publish_maps();
  const auto maps = world.server.order({"maps/DE/2.tar", "maps/FR/2.tar"});
  world.run(600);
  REQUIRE(waits(world, maps) == std::vector<std::string>{"wifi"});
  const auto operations = world.disk.operations();
  for (int i = 0; i < 300; ++i) {
    REQUIRE(world.agent->step().has_value());
    world.clock.advance(1);
  }
  CHECK(world.disk.operations() < operations + 30);
  // Behind it a function comes over a link that breaks in every chunk: byte by byte it gets there.
  world.publish_function();
  world.server.piece_bytes = 1'000;
  world.server.at_payload = [&](const std::string&, const ByteRange& range) {
    if (range.offset > 0) world.server.break_payload_after = 3'000;
  };
  const auto function = world.server.order({"functions/adaptive-cruise/1.0.0.pkg"});
  REQUIRE(world.run_until_state(function, State::kDownloaded, 24 * 3600));
  CHECK(world.order(function)->bytes_received < 60'000);
  CHECK(waits(world, maps) == std::vector<std::string>{"wifi"});
}
