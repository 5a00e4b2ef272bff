// The agent on D-Bus: a daemon of its own, an owner's client, a car that says times itself.
#include "agent/bus_vehicle.h"

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <future>
#include <map>
#include <thread>

#include "base/deleter.h"
#include "base/disk.h"
#include "base/time_text.h"
#include "tests/temp_dir.h"

using namespace layby;
using namespace layby::agent;
using namespace layby::tests;

extern char** environ;

namespace {

constexpr const char* kName = "org.layby.Agent1";
constexpr const char* kPath = "/org/layby/Agent1";
constexpr UnixSeconds kNow = 1'795'000'000;
const std::string kAt(vss::kActivateAt);

using Bus = std::unique_ptr<sd_bus, Deleter<sd_bus_flush_close_unref>>;
using Message = std::unique_ptr<sd_bus_message, Deleter<sd_bus_message_unref>>;

// A car that says what it says, and has nothing to do.
class Car final : public Vehicle {
 public:
  explicit Car(const Clock& clock) : clock_(clock) {}

  std::map<std::string, std::string> signals;
  int wakes_with = -1;  // a descriptor

  const Facts& facts() override {
    facts_.clear();
    for (const auto& [name, value] : signals) facts_.set(name, {value, clock_.now() * 1000});
    return facts_;
  }
  int descriptor() const override { return wakes_with; }
  Result<void> activate_function(const std::string&, const std::string&,
                                 const std::string&) override {
    return {};
  }
  Result<void> deactivate_function(const std::string&) override { return {}; }
  Result<void> boot_software(BootStep, const std::string&) override { return {}; }
  Result<void> check_software(const std::string&) override { return {}; }
  Result<void> reload_maps(const std::string&) override { return {}; }
  Result<void> show(const Screen&) override { return {}; }

 private:
  const Clock& clock_;
  Facts facts_;
};

class BusDaemon {
 public:
  explicit BusDaemon(const TempDir& dir) : socket_(dir / "bus"), config_(dir / "bus.conf") {
    RealDisk disk;
    const std::string config =
        "<busconfig><type>session</type><listen>unix:path=" + socket_ +
        "</listen><auth>EXTERNAL</auth><policy context=\"default\">"
        "<allow send_destination=\"*\"/><allow receive_sender=\"*\"/><allow own=\"*\"/>"
        "</policy></busconfig>";
    REQUIRE(replace_file(disk, config_, as_bytes(config)));
    start();
  }
  ~BusDaemon() { stop(); }

  std::string address() const { return "unix:path=" + socket_; }
  void start() {
    ::unlink(socket_.c_str());
    std::string name = "dbus-daemon", config = "--config-file=" + config_, nofork = "--nofork";
    char* arguments[] = {name.data(), config.data(), nofork.data(), nullptr};
    REQUIRE(::posix_spawnp(&pid_, name.c_str(), nullptr, nullptr, arguments, environ) == 0);
    while (!takes_connections()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  void stop() {
    if (pid_ <= 0) return;
    signal(SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  void signal(int number) const { ::kill(pid_, number); }

 private:
  bool takes_connections() const {
    sd_bus* made = nullptr;
    if (sd_bus_new(&made) < 0) return false;
    const Bus bus(made);
    sd_bus_set_address(made, address().c_str());
    return sd_bus_start(made) >= 0;
  }

  const std::string socket_, config_;
  pid_t pid_ = -1;
};

struct Rig {
  Rig() { inner.signals[kAt] = ""; }

  BusVehicle& car() {
    if (!car_) {
      auto opened = BusVehicle::open(inner, clock, daemon.address(),
                                     [this](const std::string& text) { log.push_back(text); });
      REQUIRE(opened.has_value());
      car_ = std::move(*opened);
    }
    return *car_;
  }
  // The owner's time, as the agent is told it.
  std::string time() {
    const auto& signals = car().facts().signals();
    const auto found = signals.find(kAt);
    return found == signals.end() ? "-" : found->second.value;
  }
  // What a client does, while the car looks at the bus.
  template <typename Ask>
  auto ask(Ask ask) {
    car();
    auto answer = std::async(std::launch::async, [&] { return ask(connect().get()); });
    while (answer.wait_for(std::chrono::milliseconds(2)) != std::future_status::ready)
      car().facts();
    return answer.get();
  }
  Bus connect() const {
    sd_bus* made = nullptr;
    if (sd_bus_new(&made) < 0) return nullptr;
    Bus bus(made);
    sd_bus_set_address(made, daemon.address().c_str());
    sd_bus_set_bus_client(made, 1);
    return sd_bus_start(made) < 0 ? nullptr : std::move(bus);
  }
  bool call(const char* method, const std::string& text) {
    return ask([&](sd_bus* bus) {
      return sd_bus_call_method(bus, kName, kPath, kName, method, nullptr, nullptr, "s",
                                text.c_str()) >= 0;
    });
  }
  std::string property(const char* name) {
    return ask([&](sd_bus* bus) -> std::string {
      char* text = nullptr;
      if (sd_bus_get_property_string(bus, kName, kPath, kName, name, nullptr, &text) < 0)
        return "no answer";
      std::string out(text);
      ::free(text);
      return out;
    });
  }
  // The release notes of the first update.
  std::string notes() {
    return ask([&](sd_bus* bus) -> std::string {
      sd_bus_message* reply = nullptr;
      if (sd_bus_get_property(bus, kName, kPath, kName, "Updates", nullptr, &reply,
                              "a(sssuiasss)") < 0)
        return "no answer";
      const Message owned(reply);
      const char* notes = "";
      if (sd_bus_message_enter_container(reply, 'a', "(sssuiasss)") <= 0 ||
          sd_bus_message_enter_container(reply, 'r', "sssuiasss") <= 0 ||
          sd_bus_message_skip(reply, "sssuiass") < 0 ||
          sd_bus_message_read_basic(reply, 's', &notes) <= 0)
        return "no notes";
      return notes;
    });
  }
  bool answers() { return property("ActivateAt") != "no answer"; }
  static Screen screen(const std::string& notes) {
    return {.language = "en",
            .lines = {notes},
            .updates = {{.order = "ord_1", .title = notes, .state = "waiting", .notes = notes}},
            .functions = {notes}};
  }

  TempDir dir;
  ManualClock clock{kNow};
  Car inner{clock};
  BusDaemon daemon{dir};
  std::vector<std::string> log;

 private:
  std::unique_ptr<BusVehicle> car_;
};

// Counts the signals about one property.
class Listener {
 public:
  Listener(Rig& rig, const std::string& word) : word_(word), bus_(rig.connect()) {
    REQUIRE(sd_bus_match_signal(bus_.get(), nullptr, nullptr, kPath,
                                "org.freedesktop.DBus.Properties", "PropertiesChanged", take,
                                this) >= 0);
  }
  int heard() {
    for (int i = 0; i < 100; ++i) {
      while (sd_bus_process(bus_.get(), nullptr) > 0) {
      }
      sd_bus_wait(bus_.get(), 2'000);
    }
    return count_;
  }

 private:
  static int take(sd_bus_message* message, void* self, sd_bus_error*) {
    const char* name = "";
    sd_bus_message_skip(message, "s");
    sd_bus_message_enter_container(message, 'a', "{sv}");
    sd_bus_message_enter_container(message, 'e', "sv");
    sd_bus_message_read_basic(message, 's', &name);
    auto& listener = *static_cast<Listener*>(self);
    listener.count_ += name == listener.word_ ? 1 : 0;
    return 0;
  }

  const std::string word_;
  Bus bus_;
  int count_ = 0;
};

}  // namespace

TEST_CASE("of the owner's times on D-Bus and in the car the last one counts (P4.2)") {
  Rig rig;
  const std::string in_car = format_utc(kNow + 7'200), on_bus = format_utc(kNow + 3'600);
  rig.inner.signals[kAt] = in_car;
  CHECK(rig.time() == in_car);
  Listener listener(rig, "ActivateAt");
  REQUIRE(rig.call("InstallAt", on_bus));
  CHECK(rig.property("ActivateAt") == on_bus);
  CHECK(rig.time() == on_bus);
  CHECK(listener.heard() == 1);
  SECTION("the car says another one") {
    rig.inner.signals[kAt] = format_utc(kNow + 10'000);
    CHECK(rig.time() == format_utc(kNow + 10'000));
    CHECK(rig.property("ActivateAt").empty());
    CHECK(listener.heard() == 2);
    rig.inner.signals[kAt] = in_car;
    CHECK(rig.time() == in_car);
  }
  SECTION("the car takes its time back") {
    rig.inner.signals[kAt] = "";
    CHECK(rig.time().empty());
    CHECK(rig.property("ActivateAt").empty());
  }
  SECTION("the car cannot be heard for a while") {
    rig.inner.signals.erase(kAt);
    CHECK(rig.time() == on_bus);
    rig.inner.signals[kAt] = in_car;
    CHECK(rig.time() == on_bus);
  }
  SECTION("the time is over: what the car said before does not come back") {
    rig.clock.advance(3'600);
    CHECK(rig.time().empty());
    CHECK(rig.property("ActivateAt").empty());
    CHECK(listener.heard() == 2);
    rig.inner.signals[kAt] = format_utc(kNow + 10'000);
    CHECK(rig.time() == format_utc(kNow + 10'000));
  }
  SECTION("the owner wants none") {
    REQUIRE(rig.call("InstallAt", ""));
    CHECK(rig.time().empty());
    CHECK(rig.property("ActivateAt").empty());
  }
}

TEST_CASE("InstallAt takes what Postpone takes: ninety days; the past means now (P4.2)") {
  Rig rig;
  constexpr UnixSeconds kMax = 90 * 86'400;
  CHECK(rig.call("InstallAt", format_utc(kNow + kMax)));
  CHECK(rig.time() == format_utc(kNow + kMax));
  CHECK(!rig.call("InstallAt", format_utc(kNow + kMax + 1)));
  CHECK(!rig.call("InstallAt", "9999-12-31T23:59:59Z"));
  CHECK(rig.time() == format_utc(kNow + kMax));
  CHECK(rig.call("InstallAt", "0000-01-01T00:00:00Z"));
  CHECK(rig.time().empty());
  CHECK(rig.property("ActivateAt").empty());
}

TEST_CASE("what sd-bus takes for no text is replaced, and the bus stays (P4.3)") {
  Rig rig;
  const std::string other = "\uFFFD";
  const std::pair<std::string, std::string> texts[] = {
      {"a\xEF\xBF\xBFz", "a" + other + "z"},                      // U+FFFF
      {"a\xEF\xB7\x90\xEF\xB7\xAFz", "a" + other + other + "z"},  // U+FDD0, U+FDEF
      {"a\xF0\x9F\xBF\xBEz", "a" + other + "z"},                  // U+1FFFE
      {"a\xF4\x8F\xBF\xBFz", "a" + other + "z"},                  // U+10FFFF
      {"a\xFFz", "a" + other + "z"},
      {std::string("a\0z", 3), "a" + other + "z"},
      {"Größe \u2192 \uFFFD \U0001F697 \uFDCF\uFDF0",
       "Größe \u2192 \uFFFD \U0001F697 \uFDCF\uFDF0"},
      {"\xF0\xAF\xBF\xBD", "\xF0\xAF\xBF\xBD"},  // U+2FFFD, the last one that is a character there
  };
  for (const auto& [text, wanted] : texts) {
    REQUIRE(rig.car().show(Rig::screen(text)));
    CHECK(rig.notes() == wanted);
  }
  CHECK(rig.log.empty());
}

TEST_CASE("a bus that goes away is told of, looked for after pauses, and used again") {
  Rig rig;
  REQUIRE(rig.answers());
  rig.daemon.stop();
  for (int i = 0; i < 100; ++i) rig.car().facts();
  REQUIRE(rig.log.size() == 1);
  CHECK(rig.log.back().find("gone") != std::string::npos);
  CHECK(rig.car().show(Rig::screen("meanwhile")));
  rig.daemon.start();
  rig.clock.advance(120);
  for (int i = 0; i < 1'000 && !rig.answers(); ++i) {
  }
  CHECK(rig.notes() == "meanwhile");
  REQUIRE(rig.log.size() == 2);
  CHECK(rig.log.back().find("there again") != std::string::npos);
  CHECK(rig.call("InstallAt", format_utc(rig.clock.now() + 60)));
}

TEST_CASE("who waits for the car is woken to look for the bus again") {
  Rig rig;
  int inner[2];
  REQUIRE(::pipe(inner) == 0);
  rig.inner.wakes_with = inner[0];
  REQUIRE(rig.answers());
  rig.daemon.stop();
  for (int i = 0; i < 100; ++i) rig.car().facts();
  pollfd entry{rig.car().descriptor(), POLLIN, 0};
  CHECK(::poll(&entry, 1, 0) == 0);
  CHECK(::poll(&entry, 1, 20'000) == 1);
  ::close(inner[0]);
  ::close(inner[1]);
}

TEST_CASE("a bus daemon that does not read holds nothing up") {
  Rig rig;
  REQUIRE(rig.answers());
  rig.daemon.signal(SIGSTOP);
  for (int i = 0; i < 400; ++i) {
    REQUIRE(rig.car().show(Rig::screen(std::string(30'000, static_cast<char>('a' + i % 26)))));
    rig.car().facts();
  }
  CHECK(!rig.log.empty());  // what waits is not kept without end
  rig.daemon.signal(SIGCONT);
  for (int i = 0; i < 100 && !rig.answers(); ++i) rig.clock.advance(1);
  CHECK(rig.answers());
}
