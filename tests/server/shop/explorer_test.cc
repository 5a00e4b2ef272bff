// Every history of an order that a handful of actors can bring about, walked through: exactly one
// of {activated and billed, cancelled and given back} comes out, whatever meets whatever (P1.5,
// P1.6; LESSONS "a cancel races the installation and both win").
//
// A state of the world is the store, the car and the clock. From each state that was not seen
// before, every operation is tried plain, with each other operation slipped in between its reads
// and its commit, and with a crash before and after its commit. What makes two states the same is
// a summary of everything that decides what can come next.
#include <catch2/catch.hpp>
#include <deque>
#include <set>

#include "server/shop/sweep.h"
#include "tests/server/shop/map_store.h"
#include "tests/server/shop/shop_world.h"

using namespace layby;
using namespace layby::tests;
using manifest::Json;
using State = manifest::OrderState;

namespace {

enum class Op {
  kCancel,
  kWithdraw,
  kCarWorks,    // the car sees what is wanted and does one step, saying nothing yet
  kCarFails,    // what it was doing fails for good
  kCarCheats,   // it switches on what it has a licence for, whatever it says of the order
  kCarReports,  // a new report
  kCarRepeats,  // its last report again
  kSweepAtEnd,  // 28 days after the order
  kEarlySweep,  // a day before that
};
constexpr Op kOps[] = {Op::kCancel,     Op::kWithdraw,   Op::kCarWorks,
                       Op::kCarFails,   Op::kCarCheats,  Op::kCarReports,
                       Op::kCarRepeats, Op::kSweepAtEnd, Op::kEarlySweep};

// What the car is and has; SimCar's other members never change here.
struct CarState {
  std::uint64_t counter;
  std::map<manifest::Slot, manifest::InstalledImage> installed;
  std::map<manifest::FunctionId, manifest::FunctionReport> functions;
  std::map<std::string, manifest::OrderReport> orders;
  Bytes last;
};

struct Snapshot {
  MapStore::Pairs pairs;
  CarState car;
  UnixSeconds now;
};

// A clock that goes back with the world.
class FreeClock final : public Clock {
 public:
  UnixSeconds now() const override { return now_; }
  std::int64_t monotonic_ms() const override { return now_ * 1000; }
  void set(UnixSeconds now) { now_ = now; }

 private:
  UnixSeconds now_ = 1'795'327'200;  // 2026-11-22T06:00:00Z
};

class Explorer {
 public:
  Explorer() : store_(map_), world_(&store_, &clock_) {
    // A withdrawal is possible throughout: the product's window is longer than the 28 days.
    world_.sell("adaptive-cruise", {{"withdrawal_days", 60}});
    const Answered order = world_.order_function("adaptive-cruise", world_.owner_token);
    REQUIRE(order.status == 201);
    order_ = order.body["id"];
    ordered_ = clock_.now();
  }

  void explore() {
    std::deque<Snapshot> open{take()};
    seen_.insert(summary());
    while (!open.empty()) {
      const Snapshot from = open.front();
      open.pop_front();
      for (const Op op : kOps) {
        for (int variant = 0; variant < kPlain + 1; ++variant) {
          restore(from);
          run(op, variant);
          ++steps_;
          check_invariants();
          if (seen_.insert(summary()).second) open.push_back(take());
        }
      }
    }
  }

  std::size_t states() const { return seen_.size(); }
  std::size_t steps() const { return steps_; }
  const std::set<std::string>& ends() const { return ends_; }

 private:
  // Variants: one for each operation that slips in, two crashes, and the plain one.
  static constexpr int kSlips = static_cast<int>(std::size(kOps));
  static constexpr int kCrashBefore = kSlips;
  static constexpr int kCrashAfter = kSlips + 1;
  static constexpr int kPlain = kSlips + 2;

  void run(Op op, int variant) {
    if (variant < kSlips)
      store_.before_commit = [this, variant] { act(kOps[variant]); };
    else if (variant == kCrashBefore)
      store_.crash = MeddlingStore::Crash::kBefore;
    else if (variant == kCrashAfter)
      store_.crash = MeddlingStore::Crash::kAfter;
    act(op);
    store_.before_commit = nullptr;
    store_.crash = MeddlingStore::Crash::kNone;
  }

  void act(Op op) {
    SimCar& car = world_.car;
    switch (op) {
      case Op::kCancel: world_.post("/v1/orders/" + order_ + "/cancel", world_.owner_token); return;
      case Op::kWithdraw:
        world_.post("/v1/orders/" + order_ + "/withdraw", world_.owner_token);
        return;
      case Op::kCarWorks: work(); return;
      case Op::kCarFails: {
        const auto found = car.orders.find(order_);
        if (found != car.orders.end() && found->second.state == State::kDownloaded)
          car.say(order_, State::kFailed);
        return;
      }
      case Op::kCarCheats: {
        const auto licence = car.open(order_);
        if (!licence || (*licence)->state != manifest::LicenceState::kActive) return;
        car.functions[(*licence)->function] = {
            (*licence)->counter, manifest::FunctionState::kActive, {}};
        return;
      }
      case Op::kCarReports:
        last_ = car.new_manifest();
        car.post(last_);
        return;
      case Op::kCarRepeats:
        if (!last_.empty()) car.post(last_);
        return;
      case Op::kSweepAtEnd: sweep_at(ordered_ + 28 * kDaySeconds); return;
      case Op::kEarlySweep: sweep_at(ordered_ + 27 * kDaySeconds); return;
    }
  }

  void sweep_at(UnixSeconds at) {
    clock_.set(std::max(clock_.now(), at));
    // A crash is the test's; what is left is done the next time.
    (void)server::sweep_due(world_.services, clock_.now());
  }

  // One step of an honest car: what has failed is over, what is no longer wanted is dropped.
  void work() {
    SimCar& car = world_.car;
    const auto said = car.orders.find(order_);
    const Json wanted = car.desired();
    if (wanted.empty()) {
      if (said != car.orders.end() && said->second.state != State::kActive) car.orders.erase(said);
      return;
    }
    const Json& entry = wanted[0];
    if (entry["action"] == "deactivate") {
      const auto licence = *car.open(order_);
      car.functions[licence->function] = {licence->counter, manifest::FunctionState::kRevoked, {}};
      car.say(order_, State::kDeactivated);
      return;
    }
    if (said != car.orders.end() && said->second.state == State::kFailed) return;
    if (!entry.contains("licence")) {
      car.say(order_, State::kDownloaded);
      return;
    }
    const auto licence = *car.open(order_);
    car.install(entry["images"][0], 1);
    car.functions[licence->function] = {licence->counter, manifest::FunctionState::kActive, {}};
    car.say(order_, State::kActive);
  }

  Json order() {
    const auto text =
        world_.services.store.get("v/" + std::string(kVin) + "/order/" + order_).value();
    return manifest::parse_strict(as_bytes(*text), {.bytes_max = kMiB}).value();
  }

  std::size_t count(const std::string& type) { return world_.events(type, order_).size(); }

  void check_invariants() {
    const std::string state = order()["state"];
    const std::size_t billed = count("billing");
    const std::size_t returned = count("refund");
    INFO("state " << state << ", billed " << billed << ", given back " << returned);
    REQUIRE(count("authorisation") == 1);
    REQUIRE(billed <= 1);
    REQUIRE(returned <= 1);
    const bool wanted = !world_.car.desired().empty();
    // What a failed order still wants is that its licence is revoked.
    const bool revoking = state == "failed" && wanted;
    if (revoking) REQUIRE(world_.car.desired()[0]["action"] == "deactivate");
    const bool over = state == "active" || state == "cancelled" || state == "ended" ||
                      (state == "failed" && !revoking);
    REQUIRE(wanted != over);
    if (state == "active") REQUIRE((billed == 1 && returned == 0));
    if (state == "cancelled" || state == "failed") REQUIRE((billed == 0 && returned == 1));
    if (state == "withdrawn" || state == "ended") REQUIRE(returned == 1);
    if (state == "staged" || state == "downloading" || state == "downloaded")
      REQUIRE((billed == 0 && returned == 0));
    // A function that runs in the car was paid for, or is about to be, or is to be switched off.
    const bool runs = !world_.car.functions.empty() && world_.car.functions.begin()->second.state ==
                                                           manifest::FunctionState::kActive;
    if (runs)
      REQUIRE((state == "active" || state == "downloaded" || state == "withdrawn" || revoking));
    if (over)
      ends_.insert(state + (billed == 1 ? " billed" : "") + (returned == 1 ? " given back" : ""));
    if (steps_ % 97 == 0) world_.check_audit();
  }

  // Everything that decides what can come next.
  std::string summary() {
    const Json now = order();
    const SimCar& car = world_.car;
    const auto said = car.orders.find(order_);
    std::string text = now["state"].get<std::string>() + "|" + now["money"].get<std::string>();
    text += fmt::format("|{}", now["inner"]["licence_counter"].get<int>());
    text += said == car.orders.end() ? "|-"
                                     : fmt::format("|{}", manifest::to_string(said->second.state));
    for (const auto& [id, function] : car.functions)
      text += fmt::format("|{} {}", function.counter, manifest::to_string(function.state));
    text += fmt::format("|{}", (clock_.now() - ordered_) / kDaySeconds);
    text += fmt::format("|{}|{}", car.desired().size(), last_.empty());
    const auto report =
        world_.services.store.get("v/" + std::string(kVin) + "/report").value().value();
    const Json heard = manifest::parse_strict(as_bytes(report), {.bytes_max = kMiB}).value();
    // Whether the server has heard the car's last word, and what it was of the function.
    text += heard["acknowledged"] == car.counter ? "|heard" : "|unheard";
    return text + heard["functions"].dump();
  }

  Snapshot take() {
    const SimCar& car = world_.car;
    return {
        map_.pairs, {car.counter, car.installed, car.functions, car.orders, last_}, clock_.now()};
  }

  void restore(const Snapshot& snapshot) {
    map_.pairs = snapshot.pairs;
    SimCar& car = world_.car;
    car.counter = snapshot.car.counter;
    car.installed = snapshot.car.installed;
    car.functions = snapshot.car.functions;
    car.orders = snapshot.car.orders;
    last_ = snapshot.car.last;
    clock_.set(snapshot.now);
  }

  FreeClock clock_;
  MapStore map_;
  MeddlingStore store_;
  ReadyWorld world_;
  std::string order_;
  UnixSeconds ordered_ = 0;
  Bytes last_;
  std::set<std::string> seen_;
  std::set<std::string> ends_;
  std::size_t steps_ = 0;
};

}  // namespace

TEST_CASE("P1.5, P1.6: every history ends activated and billed, or cancelled and given back") {
  Explorer explorer;
  explorer.explore();
  WARN(explorer.states() << " states, " << explorer.steps() << " steps");
  CHECK(explorer.states() > 50);
  // All the ends that there should be, and no other.
  CHECK(explorer.ends() == std::set<std::string>{"active billed", "cancelled given back",
                                                 "failed given back", "ended given back",
                                                 "ended billed given back"});
}
