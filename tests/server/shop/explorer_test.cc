// Every history of an order that owner, thief, car, time and crashes can bring about, walked
// through to a depth: exactly one of {activated and billed, cancelled and given back} for each
// order and period, whatever meets whatever (P1.5, P1.6, P1.8, P1.10, P1.12; LESSONS "a cancel
// races the installation and both win").
//
// A state of the world is the store, the car and the clock. From each state that was not seen
// before, every operation is tried plain, with each other operation slipped in between its reads
// and its commit, and with a crash before and after its commit. What makes two states the same is
// a summary of everything that decides what can come next.
#include <catch2/catch.hpp>
#include <deque>
#include <set>

#include "base/time_text.h"
#include "server/shop/owner_change.h"
#include "server/shop/sweep.h"
#include "server/store/change.h"
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
  kSwitchRenewal,  // to what it is not
  kRenewByHand,
  kStolen,
  kFound,
  kHandOver,
  kCarWorks,    // the car sees what is wanted and does one step, saying nothing yet
  kCarFails,    // what it was doing fails for good
  kCarCheats,   // it switches on what it has a licence for, whatever it says of the order
  kCarReports,  // a new report
  kCarRepeats,  // its last report again
  kTimePasses,  // to the next thing that is due, and the sweep is late
  kSweep,
};

struct Scenario {
  Json product;
  std::vector<Op> ops;
  std::size_t depth;
  std::size_t periods_max = 1;  // time stands still once the order has so many
};

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
  std::size_t depth;
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

// What became of the money of one period.
struct PeriodEvents {
  std::size_t authorised = 0, billed = 0, returned = 0, refunded = 0;
  bool settled() const { return billed + returned == 1; }
};

class Explorer {
 public:
  explicit Explorer(const Scenario& scenario)
      : scenario_(scenario), store_(map_), world_(&store_, &clock_) {
    world_.sell("adaptive-cruise", scenario.product);
    const Answered order = world_.order_function("adaptive-cruise", world_.owner_token);
    REQUIRE(order.status == 201);
    order_ = order.body["id"];
    path_ = "/v1/orders/" + order_;
  }

  void explore() {
    std::deque<Snapshot> open{take(0)};
    seen_.insert(summary());
    while (!open.empty()) {
      const Snapshot from = std::move(open.front());
      open.pop_front();
      for (const Op op : scenario_.ops) {
        for (int variant = 0; variant <= kSlips + slips(); ++variant) {
          restore(from);
          const std::size_t commits = store_.commits;
          run(op, variant);
          ++steps_;
          check_invariants();
          if (seen_.insert(summary()).second && from.depth + 1 < scenario_.depth)
            open.push_back(take(from.depth + 1));
          // Nothing was written: there is nothing to slip in before, and nothing to crash.
          if (variant == kPlain && store_.commits == commits) break;
        }
      }
    }
  }

  std::size_t states() const { return seen_.size(); }
  std::size_t steps() const { return steps_; }
  const std::set<std::string>& ends() const { return ends_; }

 private:
  // Variants: the plain one, two crashes, and one for each operation that slips in.
  static constexpr int kPlain = 0;
  static constexpr int kCrashBefore = 1;
  static constexpr int kCrashAfter = 2;
  static constexpr int kSlips = 2;
  int slips() const { return static_cast<int>(scenario_.ops.size()); }

  void run(Op op, int variant) {
    if (variant == kCrashBefore) store_.crash = MeddlingStore::Crash::kBefore;
    if (variant == kCrashAfter) store_.crash = MeddlingStore::Crash::kAfter;
    if (variant > kSlips) {
      const Op other = scenario_.ops[static_cast<std::size_t>(variant - kSlips - 1)];
      store_.before_commit = [this, other] { act(other); };
    }
    act(op);
    store_.before_commit = nullptr;
    store_.crash = MeddlingStore::Crash::kNone;
  }

  void act(Op op) {
    SimCar& car = world_.car;
    const std::string stolen = "/v1/cars/" + std::string(kVin) + "/stolen";
    switch (op) {
      case Op::kCancel: world_.post(path_ + "/cancel", world_.owner_token); return;
      case Op::kWithdraw: world_.post(path_ + "/withdraw", world_.owner_token); return;
      case Op::kSwitchRenewal:
        world_.put(path_ + "/renewal", world_.owner_token,
                   {{"auto", !order().value("auto_renew", false)}});
        return;
      case Op::kRenewByHand:
        world_.post(path_ + "/renew", world_.owner_token, nullptr,
                    "renew-" + std::to_string(++world_.keys_made));
        return;
      case Op::kStolen: world_.post(stolen, world_.operator_token); return;
      case Op::kFound: world_.call(server::Method::kDelete, stolen, world_.operator_token); return;
      case Op::kHandOver: hand_over(); return;
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
        car.functions[(*licence)->function] = {(*licence)->counter,
                                               manifest::FunctionState::kActive, (*licence)->until};
        return;
      }
      case Op::kCarReports:
        last_ = car.new_manifest();
        car.post(last_);
        return;
      case Op::kCarRepeats:
        if (!last_.empty()) car.post(last_);
        return;
      case Op::kTimePasses: pass_time(); return;
      case Op::kSweep:
        // A crash is the test's; what is left is done the next time.
        (void)server::sweep_due(world_.services, clock_.now());
        return;
    }
  }

  void pass_time() {
    const Json now = order();
    if (!now["inner"].contains("indexed")) return;
    if (now.contains("periods") && now["periods"].size() > scenario_.periods_max) return;
    clock_.set(std::max(clock_.now(), *parse_utc(now["inner"]["indexed"].get<std::string>())));
  }

  void hand_over() {
    const auto vin = *manifest::Vin::parse(kVin);
    (void)server::commit_with_retry(
        world_.services.store, [&](server::Change& change) -> Result<void> {
          auto affairs = TRY(server::CarAffairs::begin(world_.services, change, vin, "system"));
          TRY_VOID(server::owner_leaves(affairs, world_.owner));
          affairs.car().pairing->owner = world_.second;
          server::save_car(change, affairs.car());
          return {};
        });
  }

  // One step of an honest car: what has failed is over, what is no longer wanted is dropped, a
  // licence that has lapsed is refused.
  void work() {
    SimCar& car = world_.car;
    const auto said = car.orders.find(order_);
    const Json wanted = car.desired();
    if (wanted.empty()) {
      if (said != car.orders.end()) car.orders.erase(said);
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
    if (manifest::state_at(*licence, clock_.now()) == manifest::FunctionState::kExpired) {
      if (entry["action"] == "install") car.say(order_, State::kFailed);
      return;
    }
    if (entry["action"] == "install") car.install(entry["images"][0], 1);
    car.functions[licence->function] = {licence->counter, manifest::FunctionState::kActive,
                                        licence->until};
    car.say(order_, State::kActive);
  }

  Json order() {
    const auto text =
        world_.services.store.get("v/" + std::string(kVin) + "/order/" + order_).value();
    return manifest::parse_strict(as_bytes(*text), {.bytes_max = kMiB}).value();
  }

  std::map<int, PeriodEvents> money() {
    std::map<int, PeriodEvents> periods;
    for (auto at = map_.pairs.lower_bound("e/"); at != map_.pairs.end() && at->first < "e0"; ++at) {
      if (at->second.find("\"type\":\"message\"") != std::string::npos) continue;
      const Json event = manifest::parse_strict(as_bytes(at->second), {.bytes_max = kMiB}).value();
      PeriodEvents& period = periods[event["data"]["period"].get<int>()];
      if (event["type"] == "authorisation") ++period.authorised;
      if (event["type"] == "billing") ++period.billed;
      if (event["type"] == "refund")
        ++(event["data"]["of"] == "billing" ? period.refunded : period.returned);
    }
    return periods;
  }

  void check_money(const std::string& state) {
    const bool given_back = state == "cancelled" || state == "failed" || state == "cancelling" ||
                            state == "deactivating" || state == "refunded";
    const bool over = given_back || state == "expired" || state == "ended";
    for (const auto& [number, period] : money()) {
      INFO("period " << number << ": billed " << period.billed << ", returned " << period.returned
                     << ", refunded " << period.refunded);
      REQUIRE(period.authorised == 1);
      REQUIRE(period.billed + period.returned <= 1);
      REQUIRE(period.refunded <= period.billed);
      if (over) REQUIRE(period.settled());
      if (given_back) REQUIRE(period.refunded == period.billed);
      if (state == "cancelled" || state == "failed") REQUIRE(period.billed == 0);
      if (state == "active" || state == "expired" || state == "ended") {
        REQUIRE(period.refunded == 0);
        if (number == 1) REQUIRE(period.billed == 1);
      }
      if (state == "staged" || state == "downloading" || state == "downloaded")
        REQUIRE(period.billed + period.returned == 0);
    }
  }

  void check_invariants() {
    const Json now = order();
    const std::string state = now["state"];
    INFO("state " << state);
    check_money(state);
    const bool final_state =
        state == "cancelled" || state == "failed" || state == "refunded" || state == "ended";
    const bool leaving = state == "cancelling" || state == "deactivating" || state == "expired";
    // At most one deadline, where the order says it is; none for what is over.
    const std::size_t deadlines = world_.deadlines_of(order_);
    REQUIRE(deadlines == (now["inner"].contains("indexed") ? 1 : 0));
    if (final_state || leaving) REQUIRE(deadlines == 0);
    const Json wanted = world_.car.desired();
    if (final_state && state != "failed") REQUIRE(wanted.empty());
    if (leaving) REQUIRE(wanted.empty() == now["inner"]["held"].get<bool>());
    // A function that runs in the car was paid for, or is about to be, or is to be switched off.
    const auto& functions = world_.car.functions;
    const bool runs =
        !functions.empty() && functions.begin()->second.state == manifest::FunctionState::kActive;
    const bool revoking = state == "failed" && !wanted.empty();
    if (revoking) REQUIRE(wanted[0]["action"] == "deactivate");
    if (runs) REQUIRE((state == "active" || state == "downloaded" || leaving || revoking));
    if (final_state) {
      std::string end = state;
      for (const auto& [number, period] : money())
        end += fmt::format(" {}{}{}", period.billed > 0 ? "b" : "", period.returned > 0 ? "r" : "",
                           period.refunded > 0 ? "R" : "");
      ends_.insert(end);
    }
    if (steps_ % 29 == 0) world_.check_audit();
  }

  // Everything that decides what can come next.
  std::string summary() {
    const Json now = order();
    const Json& inner = now["inner"];
    const SimCar& car = world_.car;
    const auto said = car.orders.find(order_);
    std::string text = now["state"].get<std::string>();
    for (const Json& period : now["periods"]) text += "|" + period["money"].get<std::string>();
    text += said == car.orders.end() ? "|-"
                                     : fmt::format("|{}", manifest::to_string(said->second.state));
    const auto counter = inner["licence_counter"].get<std::uint64_t>();
    for (const auto& [id, function] : car.functions)
      text +=
          fmt::format("|{} {}", counter - function.counter, manifest::to_string(function.state));
    text += fmt::format("|{}|{}|{}|{}", now.value("auto_renew", false),
                        now.value("renewable", false), inner["held"].get<bool>(), last_.empty());
    const auto ahead = [&](const Json& time) {
      return fmt::format("|{}", *parse_utc(time.get<std::string>()) - clock_.now());
    };
    if (inner.contains("indexed")) text += ahead(inner["indexed"]);
    // What else the clock will bring: the window's end, then the term's.
    const bool waits = now["state"] == "staged" || now["state"] == "downloading";
    if (waits) text += ahead(now["download_by"]);
    if (now["state"] == "active" && now["periods"].back().contains("until"))
      text += ahead(now["periods"].back()["until"]);
    const Json wanted = car.desired();
    text += "|" + (wanted.empty() ? std::string("-") : wanted[0]["action"].get<std::string>());
    const auto report =
        world_.services.store.get("v/" + std::string(kVin) + "/report").value().value();
    const Json heard = manifest::parse_strict(as_bytes(report), {.bytes_max = kMiB}).value();
    // Whether the server has heard the car's last word.
    return text + (heard["acknowledged"] == car.counter ? "|heard" : "|unheard");
  }

  Snapshot take(std::size_t depth) {
    const SimCar& car = world_.car;
    return {map_.pairs,
            {car.counter, car.installed, car.functions, car.orders, last_},
            clock_.now(),
            depth};
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

  const Scenario& scenario_;
  FreeClock clock_;
  MapStore map_;
  MeddlingStore store_;
  ReadyWorld world_;
  std::string order_;
  std::string path_;
  Bytes last_;
  std::set<std::string> seen_;
  std::set<std::string> ends_;
  std::size_t steps_ = 0;
};

std::set<std::string> explore(const Scenario& scenario, std::size_t states_min) {
  Explorer explorer(scenario);
  explorer.explore();
  WARN(explorer.states() << " states, " << explorer.steps() << " steps");
  CHECK(explorer.states() > states_min);
  return explorer.ends();
}

}  // namespace

// Ends name, for each period, b: billed, r: returned, R: refunded.

TEST_CASE("P1.5, P1.6, P1.7: every history of an unlimited order, with crashes and races") {
  const Scenario scenario{.product = {{"withdrawal_days", 60}},
                          .ops = {Op::kCancel, Op::kWithdraw, Op::kCarWorks, Op::kCarFails,
                                  Op::kCarReports, Op::kCarRepeats, Op::kTimePasses, Op::kSweep},
                          .depth = 1000};  // to the end: nothing new comes after some steps
  CHECK(explore(scenario, 60) ==
        std::set<std::string>{"cancelled r", "failed r", "refunded r", "refunded bR"});
}

TEST_CASE("P1.5, P1.8: every history of a subscription, with crashes and races") {
  const Scenario scenario{
      .product = {{"term", {{"kind", "subscription"}}}, {"withdrawal_days", 40}},
      .ops = {Op::kWithdraw, Op::kSwitchRenewal, Op::kCarWorks, Op::kCarReports, Op::kTimePasses,
              Op::kSweep},
      .depth = 8,
      .periods_max = 2};
  const std::set<std::string> ends = explore(scenario, 100);
  for (const char* end : {"cancelled r", "refunded r", "refunded bR"}) {
    INFO(end);
    CHECK(ends.contains(end));
  }
}

TEST_CASE("P1.5, P1.8: every history of a term of two days that is renewed or ends") {
  const Scenario scenario{
      .product = {{"term", {{"kind", "fixed"}, {"days", 2}}}},
      .ops = {Op::kSwitchRenewal, Op::kCarWorks, Op::kCarReports, Op::kTimePasses, Op::kSweep},
      .depth = 10,
      .periods_max = 2};
  const std::set<std::string> ends = explore(scenario, 100);
  for (const char* end : {"cancelled r", "ended b"}) {
    INFO(end);
    CHECK(ends.contains(end));
  }
}

TEST_CASE(
    "P1.10, P1.12: every history of a tracker in a car that is stolen, found and handed over") {
  const Scenario scenario{
      .product = {{"term", {{"kind", "fixed"}, {"days", 5}}}, {"protects", true}},
      .ops = {Op::kCancel, Op::kRenewByHand, Op::kStolen, Op::kFound, Op::kHandOver, Op::kCarWorks,
              Op::kCarReports, Op::kTimePasses, Op::kSweep},
      .depth = 6};
  const std::set<std::string> ends = explore(scenario, 100);
  CHECK(ends.contains("cancelled r"));
}
