// The agent's VISS client against servers that are broken, hostile, or die at a bad moment.
#include <atomic>
#include <catch2/catch.hpp>
#include <csignal>
#include <functional>
#include <optional>
#include <thread>

#include "agent/vehicle_config.h"
#include "agent/viss_vehicle.h"
#include "tests/agent/fake_viss_server.h"
#include "tests/temp_dir.h"

using namespace layby;
using namespace layby::agent;
using namespace layby::tests;

namespace {

// Real time, and what the test lets pass at once.
class LeapingClock final : public Clock {
 public:
  UnixSeconds now() const override { return real_.now() + leapt_ms / 1000; }
  std::int64_t monotonic_ms() const override { return real_.monotonic_ms() + leapt_ms; }
  std::int64_t now_ms() const { return now() * 1000; }
  std::int64_t leapt_ms = 0;

 private:
  SystemClock real_;
};

struct Rig {
  Rig() { ::signal(SIGPIPE, SIG_IGN); }

  VissVehicle& car() {
    if (!car_) {
      VissOptions made = vehicle_at(server.address())->viss;
      made.period_ms = 100;
      made.command_seconds_max = command_seconds_max;
      if (change) change(made);
      car_.emplace(made, clock);
    }
    return *car_;
  }
  std::string value(std::string_view name) {
    const auto& signals = car().facts().signals();
    const auto found = signals.find(std::string(name));
    return found == signals.end() ? "-" : found->second.value;
  }
  bool is_lost(std::string_view name) { return car().facts().lost().contains(std::string(name)); }
  bool is_locked() { return is_left_and_locked(car().facts(), clock.now_ms()); }
  // Looks at the car until it is so. No test is slow because of this, only a failing one.
  template <typename Test>
  bool becomes_true(Test test) {
    for (int i = 0; i < 12'000; ++i) {
      if (test()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }
  bool is_seen(std::string_view name, const std::string& wanted) {
    return becomes_true([&] { return value(name) == wanted; });
  }
  // Ours alone: what the server says is that much older.
  void leap(std::int64_t milliseconds) { clock.leapt_ms += milliseconds; }
  void leap_both(std::int64_t milliseconds) {
    leap(milliseconds);
    server.with([&](auto& m) { m.ahead_ms += milliseconds; });
  }
  template <typename Test>
  bool becomes_true_soon(Test test) {
    return becomes_true([&] {
      leap_both(100);
      return test();
    });
  }
  // The client hangs up, and comes again.
  void break_connection() {
    const int before = server.connections();
    server.with([](auto& m) { m.flood = "\xff\xff"; });
    REQUIRE(becomes_true_soon([&] { return car().descriptor() < 0 || (car().facts(), false); }));
    server.with([](auto& m) { m.flood.clear(); });
    REQUIRE(becomes_true_soon([&] {
      car().facts();
      return server.connections() > before;
    }));
  }

  TempDir dir;
  LeapingClock clock;
  FakeVissServer server{dir};
  std::uint32_t command_seconds_max = 120;
  std::function<void(VissOptions&)> change{};

 private:
  std::optional<VissVehicle> car_;
};

const std::string kAt(vss::kActivateAt), kCount(vss::kDoorCount);

std::string answer_text(const VissRequest& request) {
  const std::size_t at = request.value.find("\"id\":\"") + 6;
  return R"({"id":")" + request.value.substr(at, 16) + R"(","ok":true})";
}

VissAnswer taken(const VissRequest& request) {
  return {.action = VissAction::kSet, .request_id = request.request_id};
}

bool is_unavailable(const Result<void>& done) {
  return !done && done.error().code() == ErrorCode::kUnavailable;
}

}  // namespace

TEST_CASE("an owner's time that the car has lost is in doubt, whatever the server says (P4.2)") {
  Rig rig;
  rig.server.with([](auto& m) { m.values.erase(kAt); });
  REQUIRE(rig.is_seen(vss::kGear, "126"));
  CHECK(!rig.is_lost(kAt));  // a car without one
  const auto now_known = owner_time(rig.car().facts(), std::nullopt);
  CHECK(std::holds_alternative<std::optional<UnixSeconds>>(now_known));

  for (const VissError& error :
       {VissError{503, "service_unavailable", ""}, VissError{404, "unavailable_data", ""},
        VissError{401, "token_expired", ""}, VissError{504, "gateway_timeout", ""}}) {
    INFO(error.text());
    rig.server.with([&](auto& m) { m.errors[kAt] = error; });
    CHECK(rig.becomes_true_soon([&] { return rig.is_lost(kAt); }));
    CHECK(std::get<Doubt>(owner_time(rig.car().facts(), std::nullopt)) == Doubt::kMissing);
    CHECK(rig.is_locked());  // and everything else is there
    rig.server.with([&](auto& m) { m.errors.clear(); });
    CHECK(rig.becomes_true_soon([&] { return !rig.is_lost(kAt); }));
  }
  // One that it had, and says it has not: the part that knows it has gone.
  rig.server.with([](auto& m) { m.values[kAt] = "2030-01-02T03:04:05.000Z"; });
  CHECK(rig.becomes_true_soon([&] { return rig.value(kAt) != "-"; }));
  rig.server.with([](auto& m) { m.values.erase(kAt); });
  CHECK(rig.becomes_true_soon([&] { return rig.is_lost(kAt); }));
  for (int i = 0; i < 50; ++i) {
    rig.leap_both(200);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    CHECK(std::get<Doubt>(owner_time(rig.car().facts(), std::nullopt)) == Doubt::kMissing);
  }
}

TEST_CASE("a car that has lost its count of doors is not taken for one with four") {
  Rig rig;
  rig.server.with([](auto& m) { m.values[kCount] = "4"; });
  REQUIRE(rig.becomes_true([&] { return rig.is_locked(); }));
  rig.server.with([](auto& m) { m.values.erase(kCount); });
  CHECK(rig.becomes_true([&] { return !rig.is_locked(); }));
  CHECK(std::get<Doubt>(doors(rig.car().facts(), rig.clock.now_ms())) == Doubt::kMissing);
  rig.break_connection();
  CHECK(rig.becomes_true_soon([&] { return rig.value(vss::kGear) == "126"; }));
  CHECK(std::get<Doubt>(doors(rig.car().facts(), rig.clock.now_ms())) == Doubt::kMissing);
}

TEST_CASE("a server that talks nonsense could not be asked: no command is refused by it") {
  for (const std::string& nonsense :
       {std::string("{"), std::string(R"({"action":"dance"})"), std::string(2, '\xff')}) {
    Rig rig;
    rig.server.with([&](auto& m) {
      m.greeting =
          websocket_frame({WebSocketMessage::Kind::kText, nonsense}, WebSocketEnd::kServer);
    });
    const std::vector<std::function<Result<void>()>> commands = {
        [&] { return rig.car().activate_function("f", "/f", ""); },
        [&] { return rig.car().deactivate_function("f"); },
        [&] { return rig.car().boot_software(BootStep::kTrial, "/s"); },
        [&] { return rig.car().check_software("/s"); },
        [&] { return rig.car().restart(); },
        [&] { return rig.car().reload_maps("/m"); },
    };
    int tries = 0;
    for (const auto& command : commands) {
      rig.leap(60'000);  // the next connection
      CHECK(is_unavailable(command()));
      CHECK(rig.server.connections() == ++tries);
    }
    CHECK(rig.server.sets().empty());
  }
}

TEST_CASE("a command's answer is read where its changes are not told") {
  Rig rig;
  rig.server.with([&](auto& m) {
    m.refuses_changes = true;
    m.on_set = [&](const VissRequest& request) {
      rig.server.with([&](auto& manner) {
        manner.values["Vehicle.Layby.Command.Answer"] = answer_text(request);
      });
      return std::optional(taken(request));
    };
  });
  REQUIRE(rig.is_seen(vss::kGear, "126"));
  CHECK(rig.car().activate_function("f", "/f", ""));  // while events come all the time
}

TEST_CASE("a command that the car took is not set again when the connection breaks") {
  Rig rig;
  int times = 0;
  rig.server.with([&](auto& m) {
    m.on_set = [&](const VissRequest& request) {
      // It has taken the first one, and breaks down before the car has done it.
      if (++times == 1) rig.server.with([&](auto& manner) { manner.flood = "\xff\xff"; });
      return std::optional(taken(request));
    };
  });
  REQUIRE(rig.is_seen(vss::kGear, "126"));
  CHECK(is_unavailable(rig.car().reload_maps("/m")));
  REQUIRE(rig.server.sets().size() == 1);
  const std::string said = answer_text(rig.server.sets().front());
  rig.server.with([&](auto& m) {
    m.flood.clear();
    m.values["Vehicle.Layby.Command.Answer"] = said;
  });
  rig.leap(60'000);
  CHECK(rig.car().reload_maps("/m"));
  CHECK(rig.server.sets().size() == 1);
}

TEST_CASE("a command keeps its id until it is answered, and another one has another") {
  Rig rig;
  rig.command_seconds_max = 1;
  REQUIRE(rig.is_seen(vss::kGear, "126"));
  CHECK(is_unavailable(rig.car().reload_maps("/m")));  // taken, and never answered
  rig.leap(5'000);
  CHECK(is_unavailable(rig.car().reload_maps("/m")));
  CHECK(is_unavailable(rig.car().reload_maps("/other")));
  const auto sets = rig.server.sets();
  REQUIRE(sets.size() == 3);
  CHECK(sets[0].value == sets[1].value);
  CHECK(answer_text(sets[1]) != answer_text(sets[2]));
  CHECK(rig.value(vss::kGear) == "126");  // the connection is none the worse for it
}

TEST_CASE("a flood that never ends does not hold the agent") {
  const std::string ping =
      websocket_frame({WebSocketMessage::Kind::kPing, "x"}, WebSocketEnd::kServer);
  const std::string pong =
      websocket_frame({WebSocketMessage::Kind::kPong, "x"}, WebSocketEnd::kServer);
  const std::string text = websocket_frame(
      {WebSocketMessage::Kind::kText, R"({"action":"subscription","subscriptionId":"none"})"},
      WebSocketEnd::kServer);
  const std::string fragments = std::string("\x01\x00", 2) + std::string(4096, '\0');
  for (const std::string& flood : {ping, pong, text, fragments}) {
    Rig rig;
    REQUIRE(rig.is_seen(vss::kGear, "126"));
    rig.server.with([&](auto& m) { m.flood = flood; });
    // Each look returns: else this test does not end.
    for (int i = 0; i < 5; ++i) rig.car().facts();
    rig.server.with([&](auto& m) { m.flood.clear(); });
  }
}

TEST_CASE("a server that stands still stays old, however often one connects to it") {
  Rig rig;
  rig.server.with([&](auto& m) { m.frozen_ms = 1'800'000'000'000; });
  REQUIRE(rig.becomes_true([&] { return rig.is_locked(); }));
  rig.leap(20'000);
  int times = 0;
  CHECK(rig.becomes_true([&] {
    rig.leap(300);
    times += rig.is_locked() ? 1 : 0;
    return rig.server.connections() > 3;
  }));
  CHECK(times == 0);
}

TEST_CASE("a server whose clock was set back is believed again once it is seen to run") {
  Rig rig;
  REQUIRE(rig.becomes_true([&] { return rig.is_locked(); }));
  rig.server.with([](auto& m) { m.ahead_ms -= 3'600'000; });
  CHECK(rig.becomes_true([&] { return !rig.is_locked(); }));
  CHECK(rig.becomes_true([&] {
    if (rig.server.connections() == 1) rig.leap_both(1'000);
    return rig.is_locked();
  }));
  CHECK(rig.server.connections() > 1);
}

TEST_CASE("events that cease, and an answer that never comes, end the connection") {
  {
    Rig rig;
    REQUIRE(rig.is_seen(vss::kGear, "126"));
    rig.server.with([](auto& m) { m.has_events = false; });
    CHECK(rig.becomes_true_soon([&] {
      rig.car().facts();
      return rig.server.connections() > 1;
    }));
  }
  {
    Rig rig;
    rig.server.with([](auto& m) { m.mute = std::string(vss::kRegion); });
    CHECK(rig.is_seen(vss::kGear, "126"));  // what was answered counts
    CHECK(rig.becomes_true_soon([&] {
      rig.car().facts();
      return rig.server.connections() > 1;
    }));
  }
}

TEST_CASE("a screen that nobody answers for takes nothing from the signals") {
  Rig rig;
  rig.server.with([](auto& m) { m.takes_screens = false; });
  REQUIRE(rig.is_seen(vss::kGear, "126"));
  CHECK(rig.car().show({.language = "de", .lines = {"Guten Tag"}}));
  for (int i = 0; i < 100; ++i) {
    rig.leap_both(300);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    rig.car().facts();
  }
  CHECK(rig.is_seen(vss::kGear, "126"));
  CHECK(rig.server.connections() == 1);
}

TEST_CASE("one path stands for several signals") {
  Rig rig;
  rig.server.with([](auto& m) { m.values["Vehicle.Cabin.Lock"] = "LOCKED"; });
  rig.change = [](VissOptions& options) {
    for (VissSignal& signal : options.signals) {
      if (!signal.name.ends_with(".IsLocked")) continue;
      signal.paths = {"Vehicle.Cabin.Lock"};
      signal.values = {{"LOCKED", "true"}, {"UNLOCKED", "false"}};
    }
  };
  rig.car().want_signals({"Vehicle.Cabin.Lock"});
  CHECK(rig.becomes_true([&] { return rig.is_locked(); }));
  CHECK(rig.is_seen("Vehicle.Cabin.Lock", "LOCKED"));  // as a package's condition names it
  rig.server.with([](auto& m) { m.values["Vehicle.Cabin.Lock"] = "UNLOCKED"; });
  CHECK(rig.becomes_true([&] { return !rig.is_locked(); }));
  rig.car().want_signals({});
  CHECK(rig.is_seen("Vehicle.Cabin.Lock", "-"));
  CHECK(rig.is_seen("Vehicle.Cabin.Door.Row1.DriverSide.IsLocked", "false"));
}

TEST_CASE("what the server does not subscribe to is read, and does not come and go") {
  Rig rig;
  rig.server.with([](auto& m) { m.refuses_intervals = m.refuses_changes = true; });
  REQUIRE(rig.is_seen(vss::kGear, "126"));
  int missed = 0;
  for (int i = 0; i < 100; ++i) {
    rig.leap_both(100);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    missed += rig.value(vss::kGear) == "-" ? 1 : 0;
  }
  CHECK(missed == 0);
  rig.server.with([](auto& m) { m.values[std::string(vss::kGear)] = "127"; });
  CHECK(rig.becomes_true_soon([&] { return rig.value(vss::kGear) == "127"; }));
}

TEST_CASE("an answer to another question than was asked ends the connection") {
  Rig rig;
  rig.server.with([](auto& m) { m.answers_wrongly = true; });
  CHECK(rig.car().facts().signals().empty());
  CHECK(rig.car().descriptor() == -1);
  rig.server.with([](auto& m) { m.answers_wrongly = false; });
  rig.leap(60'000);
  CHECK(rig.is_seen(vss::kGear, "126"));
}

TEST_CASE("a token that has expired is read again, and used on a connection of its own") {
  // As VISS v2.0 names it, and as the editions after it do.
  const std::string reason = GENERATE("token_expired", "expired_token", "invalid_token");
  Rig rig;
  rig.server.with([&](auto& m) { m.token_reason = reason; });
  std::string token = "first";
  rig.change = [&](VissOptions& options) {
    options.token = [&token] { return Result<std::string>(token); };
  };
  rig.server.with([](auto& m) { m.token = "first"; });
  REQUIRE(rig.is_seen(vss::kGear, "126"));
  rig.server.with([](auto& m) { m.token = "second"; });
  CHECK(rig.becomes_true_soon([&] { return rig.value(vss::kGear) == "-"; }));
  // The server's thread gets the time to answer each probe.
  for (int i = 0; i < 40; ++i) {
    rig.leap_both(500);
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    rig.car().facts();
  }
  CHECK(rig.server.connections() == 1);  // nothing is won by another one
  token = "second";
  CHECK(rig.becomes_true_soon([&] { return rig.value(vss::kGear) == "126"; }));
  CHECK(rig.server.connections() == 2);
  // The same where it is a command that the server refuses for it.
  rig.server.with([](auto& m) { m.token = "third"; });
  token = "third";
  CHECK(is_unavailable(rig.car().reload_maps("/m")));
  rig.leap(60'000);
  rig.server.with([&](auto& m) {
    m.on_set = [&](const VissRequest& request) {
      rig.server.with([&](auto& manner) {
        manner.values["Vehicle.Layby.Command.Answer"] = answer_text(request);
      });
      return std::optional(taken(request));
    };
  });
  CHECK(rig.car().reload_maps("/m"));
  CHECK(rig.server.sets().back().authorization == "third");
}

TEST_CASE("a token that cannot be read is no connection, and said") {
  Rig rig;
  rig.change = [](VissOptions& options) {
    options.token = []() -> Result<std::string> {
      return fail(ErrorCode::kNotFound, "/run/token is not there");
    };
  };
  CHECK(rig.car().facts().signals().empty());
  CHECK(rig.server.connections() == 0);
  CHECK(rig.car().link().error.find("/run/token") != std::string::npos);
}

TEST_CASE("who ends the agent does not wait for the car's answer") {
  Rig rig;
  std::atomic<bool> is_over = false;
  rig.change = [&](VissOptions& options) {
    options.interrupted = [&is_over] { return is_over.load(); };
  };
  REQUIRE(rig.is_seen(vss::kGear, "126"));  // the car takes the command, and says nothing
  const SystemClock clock;
  const std::int64_t begun_ms = clock.monotonic_ms();
  std::thread ender([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    is_over = true;
  });
  CHECK(is_unavailable(rig.car().reload_maps("/m")));
  ender.join();
  CHECK(clock.monotonic_ms() - begun_ms < 20'000);  // of 120 seconds
  CHECK(is_unavailable(rig.car().activate_function("f", "/f", "")));
  REQUIRE(rig.server.sets().size() == 1);  // nothing is begun any more
}

TEST_CASE("a command that the server forbids is not asked again for ten minutes") {
  for (const int number : {403, 406}) {
    Rig rig;
    rig.server.with([&](auto& m) {
      m.on_set = [number](const VissRequest& request) {
        VissAnswer said = taken(request);
        said.error = VissError{number, "user_forbidden", "No."};
        return std::optional(said);
      };
    });
    for (int i = 0; i < 5; ++i) {
      const auto done = rig.car().reload_maps("/m");
      CHECK(is_unavailable(done));
      CHECK(done.error().message().find(std::to_string(number)) != std::string::npos);
    }
    CHECK(rig.server.sets().size() == 1);
    CHECK(is_unavailable(rig.car().reload_maps("/other")));
    CHECK(rig.server.sets().size() == 2);
    rig.leap(600'000);
    CHECK(is_unavailable(rig.car().reload_maps("/m")));
    CHECK(rig.server.sets().size() == 3);
  }
}

TEST_CASE("a path has one subscription to its changes, whatever becomes of its interval") {
  Rig rig;
  const std::string gear(vss::kGear);
  REQUIRE(rig.is_seen(vss::kGear, "126"));
  REQUIRE(rig.becomes_true([&] { return rig.server.changes(gear) == 1; }));
  for (int i = 0; i < 3; ++i) {
    rig.server.with([](auto& m) { m.ends_intervals = true; });
    CHECK(rig.becomes_true([&] { return rig.value(vss::kGear) == "-"; }));
    CHECK(rig.becomes_true_soon([&] { return rig.value(vss::kGear) == "126"; }));
  }
  CHECK(rig.server.connections() == 1);
  CHECK(rig.server.changes(gear) == 1);
}

TEST_CASE("a server that keeps the time of the last change is believed for as long as is said") {
  const std::int64_t age_ms_max = GENERATE(0, 30'000, 120'000);
  Rig rig;
  rig.server.with([](auto& m) { m.value_age_ms = 60'000; });
  rig.change = [&](VissOptions& options) {
    for (VissSignal& signal : options.signals) signal.age_ms_max = age_ms_max;
  };
  REQUIRE(rig.is_seen(vss::kGear, "126"));
  CHECK(rig.is_locked() == (age_ms_max > 60'000));
  rig.server.with([](auto& m) { m.value_age_ms = 180'000; });
  CHECK(rig.becomes_true([&] { return !rig.is_locked(); }));
}

TEST_CASE("whether the car is reached is told at each change, with the error and the next try") {
  Rig rig;
  std::vector<VehicleLink> told;
  rig.change = [&](VissOptions& options) {
    options.socket.unix_path += ".none";
    options.link_changed = [&told](const VehicleLink& link) { told.push_back(link); };
  };
  for (int i = 0; i < 5; ++i) {
    CHECK(rig.car().facts().signals().empty());
    rig.leap(60'000);
  }
  REQUIRE(told.size() == 1);  // and not at each try
  CHECK(!told[0].is_connected);
  CHECK(told[0].error.find("viss.sock.none") != std::string::npos);
  CHECK(told[0].since != 0);
  const VehicleLink& link = rig.car().link();
  CHECK(link.next_try > told[0].next_try);

  Rig other;
  other.change = [&](VissOptions& options) {
    options.link_changed = [&told](const VehicleLink& changed) { told.push_back(changed); };
  };
  REQUIRE(other.is_seen(vss::kGear, "126"));
  REQUIRE(told.size() == 2);
  CHECK(told[1].is_connected);
  CHECK(told[1].next_try == 0);
  other.break_connection();
  REQUIRE(told.size() >= 4);
  CHECK(told[2].error.find("WebSocket") != std::string::npos);
  CHECK(told[3].is_connected);
}
