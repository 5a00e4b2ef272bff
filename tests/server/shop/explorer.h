// Walks through the histories of an order, to a depth. explorer_test.cc says which.
//
// A state of the world is the store, the car and the clock. From each state that was not seen
// before, every operation is tried plain, with each other operation slipped in between its reads
// and its commit, and with a crash before and after its commit. What makes two states the same is
// a summary of everything that decides what can come next.
#pragma once

#include <catch2/catch.hpp>
#include <deque>
#include <set>

#include "base/time_text.h"
#include "crypto/certificate.h"
#include "server/fleet/car_affairs.h"
#include "server/fleet/ownership.h"
#include "server/release/image.h"
#include "server/release/release_keys.h"
#include "server/shop/order_state.h"
#include "server/shop/sweep.h"
#include "server/store/change.h"
#include "tests/server/shop/map_store.h"
#include "tests/server/shop/shop_world.h"

namespace layby::tests {

using manifest::Json;
using State = manifest::OrderState;
using server::OrderCause;
using server::OrderPhase;

enum class Op {
  kCancel,
  kWithdraw,
  kSwitchRenewal,  // to what it is not
  kRenewByHand,
  kStolen,
  kFound,
  kHandOver,
  kNewOwner,         // the second account has paired the car
  kConsent,          // withdraws what was given for software
  kPayload,          // the package is published
  kImage,            // is withdrawn
  kNewEcu,           // the one that the software is for is exchanged; the old one may have it
  kOrderAgain,       // another product of the same function, once
  kNewKeys,          // the car is paired anew, once
  kCarWorks,         // the car sees what is wanted and does one step, saying nothing yet
  kCarWorksOnAgain,  // the same for the second order
  kCarFails,         // what it was doing fails for good
  kCarRollsBack,     // what it was activating
  kCarCheats,        // it switches on what it has a licence for, whatever it says of the order
  kCarReports,       // a new report
  kCarRepeats,       // its last report again
  kTimePasses,       // to the next thing that is due, and the sweep is late
  kSweep,
};

// Whether the car goes through each state of an order, or straight to what it comes to.
enum class Car { kBrief, kDetailed };

struct Scenario {
  Json product;  // null: software, by a rollout
  std::vector<Op> ops;
  std::size_t depth;
  std::size_t periods_max = 1;  // time stands still once the order has so many
  Car car = Car::kBrief;
  ShopWorld::Payload payload = ShopWorld::Payload::kReady;
  std::size_t states_min = 50;  // fewer: something is in the way
};

// What all scenarios together have been through.
inline std::set<OrderPhase> phases_seen;
inline std::set<std::pair<OrderPhase, OrderCause>> moves_seen;

// What the car is and has; SimCar's other members never change here.
struct CarState {
  std::uint64_t counter;
  std::map<manifest::Slot, manifest::InstalledImage> installed;
  std::map<manifest::FunctionId, manifest::FunctionReport> functions;
  std::map<std::string, manifest::OrderReport> orders;
  Bytes last;
  crypto::SealKeyPair seal_keys;
  server::PeerCertificate certificate;
};

struct Snapshot {
  MapStore::Pairs pairs;
  CarState car;
  UnixSeconds now;
  std::size_t depth;
  std::string second;
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
    order_ = scenario.product.is_null() ? offer_software() : order_function();
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

  std::string order_function() {
    const Json product = scenario_.product;
    world_.sell("cruise", product);
    // What can be bought beside it once it is over.
    Json again = product;
    again["image"] = "functions/cruise/1.0.pkg";
    world_.sell("cruise-again", again);
    hide_payload("functions/cruise/1.0.pkg");
    const Answered order = world_.order_function("cruise", world_.owner_token);
    INFO(order.text);
    REQUIRE(order.status == 201);
    return order.body["id"];
  }

  // Until Op::kPayload.
  void hide_payload(const std::string& image) {
    if (scenario_.payload == ShopWorld::Payload::kReady) return;
    payload_key_ = server::payload_key(ShopWorld::digest_of(image), std::nullopt);
    payload_ = map_.pairs.at(payload_key_);
    map_.pairs.erase(payload_key_);
  }

  std::string offer_software() {
    world_.publish(kSoftware, 2);
    hide_payload(kSoftware);
    REQUIRE(world_
                .put("/v1/rollouts/next", world_.operator_token,
                     {{"image", kSoftware}, {"state", "running"}})
                .status == 201);
    REQUIRE(world_.put(kConsent, world_.owner_token, {{"language", "de"}, {"text_version", "1"}})
                .status == 200);
    const Answered list =
        world_.get("/v1/cars/" + std::string(kVin) + "/orders", world_.operator_token);
    REQUIRE(list.body["orders"].size() == 1);
    return list.body["orders"][0]["id"];
  }

  static inline const std::string kSoftware = "software/hu-4/2.0.img";
  static inline const std::string kConsent =
      "/v1/cars/" + std::string(kVin) + "/consents/software-updates";

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
      case Op::kHandOver:
        world_.post("/v1/cars/" + std::string(kVin) + "/hand-over", world_.owner_token);
        return;
      case Op::kNewOwner: new_owner(); return;
      case Op::kConsent: world_.call(server::Method::kDelete, kConsent, world_.owner_token); return;
      case Op::kPayload: publish_payload(); return;
      case Op::kImage: withdraw_image(); return;
      case Op::kNewEcu: exchange_ecu(); return;
      case Op::kOrderAgain: {
        if (!second_.empty()) return;
        const Answered again = world_.order_function("cruise-again", world_.owner_token);
        if (again.status == 201) second_ = again.body["id"];
        return;
      }
      case Op::kNewKeys: new_keys(); return;
      case Op::kCarWorks: work_on(order_); return;
      case Op::kCarWorksOnAgain:
        if (!second_.empty()) work_on(second_);
        return;
      case Op::kCarFails: {
        const auto found = car.orders.find(order_);
        if (found == car.orders.end() || runs()) return;
        const State said = found->second.state;
        if (said == State::kDownloaded || said == State::kActivating || said == State::kWaiting)
          car.say(order_, State::kFailed);
        return;
      }
      case Op::kCarRollsBack: roll_back(); return;
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

  void roll_back() {
    SimCar& car = world_.car;
    const auto found = car.orders.find(order_);
    if (found == car.orders.end() || runs()) return;
    if (found->second.state == State::kActivating)
      car.say(order_, State::kRollingBack);
    else if (found->second.state == State::kRollingBack)
      car.say(order_, State::kWaiting);
  }

  void pass_time() {
    const Json now = order();
    if (!now["inner"].contains("indexed")) return;
    if (now.contains("periods") && now["periods"].size() > scenario_.periods_max) return;
    clock_.set(std::max(clock_.now(), *parse_utc(now["inner"]["indexed"].get<std::string>())));
  }

  void new_owner() {
    const auto vin = *manifest::Vin::parse(kVin);
    (void)server::commit_with_retry(
        world_.services.store, [&](server::Change& change) -> Result<void> {
          auto affairs = TRY(server::CarAffairs::begin(world_.services, change, vin, "system"));
          if (affairs.car().pairing->owner.empty()) server::begin_ownership(affairs, world_.second);
          return {};
        });
  }

  void publish_payload() {
    if (!map_.pairs.emplace(payload_key_, payload_).second) return;
    (void)server::stage_waiting_orders(world_.services, order()["images"][0].get<std::string>());
  }

  void withdraw_image() {
    const std::string name = order()["images"][0];
    const std::string key = server::image_key(name);
    server::Image image = server::decode_image(name, map_.pairs.at(key)).value();
    if (image.listing == server::Listing::kWithdrawn) return;
    image.listing = server::Listing::kWithdrawn;
    map_.pairs[key] = server::encode_image(image);
  }

  server::Car stored_car() const {
    return server::decode_car(map_.pairs.at("v/" + std::string(kVin) + "/car")).value();
  }

  bool is_ecu_new() { return stored_car().ecus[0].since > *parse_utc(ordered()); }

  std::string ordered() { return order()["ordered"]; }

  void exchange_ecu() {
    server::Car car = stored_car();
    car.ecus[0].since = *parse_utc(ordered()) + 1;
    map_.pairs[server::car_key(car.vin)] = server::encode_car(car);
  }

  // Where the answer is lost, the car has its old certificate and comes again.
  void new_keys() {
    SimCar& car = world_.car;
    if (car.seal_keys.public_key != first_keys_.public_key) return;
    const Answered code = world_.post("/v1/pairing-codes", world_.owner_token);
    if (code.status != 201) return;
    const crypto::SealKeyPair before = car.seal_keys;
    car.seal_keys = crypto::generate_seal_keys();
    const Answered paired = world_.call(server::Method::kPost, "/v1/pair", "",
                                        car.pair_request(code.body["code"]), "", &car.certificate);
    if (paired.status != 200) {
      car.seal_keys = before;
      return;
    }
    const auto facts = crypto::read_certificate(paired.body["certificate"].get<std::string>());
    car.certificate = {.common_name = facts->common_name, .fingerprint = facts->fingerprint};
  }

  bool runs() const {
    const auto& functions = world_.car.functions;
    return !functions.empty() &&
           functions.begin()->second.state == manifest::FunctionState::kActive;
  }

  // What is wanted of the car for this order; null for nothing.
  Json wanted_for(const std::string& id) {
    for (const Json& entry : world_.car.desired())
      if (entry["id"] == id) return entry;
    return nullptr;
  }

  // One step of an honest car for an order: what has failed is over, what is no longer wanted is
  // dropped, a licence that has lapsed is refused.
  void work_on(const std::string& id) {
    SimCar& car = world_.car;
    const auto found = car.orders.find(id);
    const std::optional<State> said =
        found == car.orders.end() ? std::nullopt : std::optional(found->second.state);
    const Json entry = wanted_for(id);
    if (entry.is_null()) {
      if (said) car.orders.erase(found);
      return;
    }
    if (entry["action"] == "deactivate") {
      deactivate(id, said);
      return;
    }
    if (said == State::kFailed) return;
    const bool detailed = scenario_.car == Car::kDetailed;
    const bool software = scenario_.product.is_null();
    if (detailed && !said) {
      car.say(id, State::kDownloading);
      return;
    }
    if (!entry.contains("licence") && (!software || !said || said == State::kDownloading)) {
      car.say(id, State::kDownloaded);
      return;
    }
    if (!software) {
      const auto licence = car.open(id);
      if (!licence) return;  // sealed to keys that it had before
      if ((*licence)->until && *(*licence)->until <= clock_.now()) {
        if (entry["action"] == "install") car.say(id, State::kFailed);
        return;
      }
    }
    if (detailed && entry["action"] == "install" && said != State::kActivating) {
      car.say(id, State::kActivating);
      return;
    }
    if (entry["action"] == "install" && !is_ecu_new()) car.install(entry["images"][0], 2);
    if (!software) car.take_licence(id);
    car.say(id, State::kActive);
  }

  void deactivate(const std::string& id, std::optional<State> said) {
    SimCar& car = world_.car;
    const auto licence = car.open(id);
    if (!licence) return;
    if (scenario_.car == Car::kDetailed && said != State::kWaiting) {
      car.say(id, State::kWaiting);
      return;
    }
    car.functions[(*licence)->function] = {
        (*licence)->counter, manifest::FunctionState::kRevoked, {}};
    car.say(id, State::kDeactivated);
  }

  Json order() { return order(order_); }
  Json order(const std::string& id) {
    const std::string car = "v/" + std::string(kVin);
    auto found = map_.pairs.find(car + "/order/" + id);
    if (found == map_.pairs.end()) found = map_.pairs.find(car + "/past/" + id);
    REQUIRE(found != map_.pairs.end());
    return manifest::parse_strict(as_bytes(found->second), {.bytes_max = kMiB}).value();
  }

  std::map<int, PeriodEvents> money() {
    std::map<int, PeriodEvents> periods;
    for (auto at = map_.pairs.lower_bound("e/"); at != map_.pairs.end() && at->first < "e0"; ++at) {
      if (at->second.find("\"type\":\"message\"") != std::string::npos) continue;
      const Json event = manifest::parse_strict(as_bytes(at->second), {.bytes_max = kMiB}).value();
      if (event["order"] != order_) continue;
      REQUIRE(event["account"] == world_.owner);
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
      if (state == "ordered" || state == "staged" || state == "downloading" ||
          state == "downloaded" || state == "activating")
        REQUIRE(period.billed + period.returned == 0);
    }
  }

  // Nothing of a time in which the car was somebody else's is billed to who has left (P1.10).
  void check_left(const Json& now) {
    bool left = false;
    UnixSeconds left_at = 0;
    for (auto at = map_.pairs.lower_bound("e/"); at != map_.pairs.end() && at->first < "e0"; ++at) {
      const bool leaves = at->second.find("\"handed-over\"") != std::string::npos;
      const bool bills = left && at->second.find("\"type\":\"billing\"") != std::string::npos;
      if (!leaves && !bills) continue;
      const Json event = manifest::parse_strict(as_bytes(at->second), {.bytes_max = kMiB}).value();
      if (leaves) {
        left = true;
        left_at = *parse_utc(event["at"].get<std::string>());
      } else if (event["data"]["period"] > 1) {
        const auto period = event["data"]["period"].get<std::size_t>();
        REQUIRE(period <= now["periods"].size());
        REQUIRE(*parse_utc(now["periods"][period - 1]["from"].get<std::string>()) <= left_at);
      }
    }
  }

  // Which cells of the table the order has been through; the first steps of its history stay.
  void note_history(const Json& now) {
    std::optional<OrderPhase> before;
    for (const Json& step : now["history"]) {
      const OrderPhase phase = server::parse_order_phase(step["state"].get<std::string>()).value();
      phases_seen.insert(phase);
      if (before) {
        for (std::size_t c = 0; c < server::kOrderCauses; ++c)
          if (to_string(static_cast<OrderCause>(c)) == step["cause"].get<std::string>())
            moves_seen.insert({*before, static_cast<OrderCause>(c)});
      }
      before = phase;
    }
  }

  void check_invariants() {
    const Json now = order();
    note_history(now);
    check_left(now);
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
    const Json wanted = wanted_for(order_);
    if (final_state && state != "failed") REQUIRE(wanted.is_null());
    if (leaving) REQUIRE(wanted.is_null() == now["inner"]["held"].get<bool>());
    // A function that runs in the car was paid for, or is about to be, or is to be switched off.
    const bool revoking = state == "failed" && !wanted.is_null();
    if (revoking) REQUIRE(wanted["action"] == "deactivate");
    const bool pays = state == "active" || state == "downloaded" || state == "activating";
    if (runs()) REQUIRE((pays || leaving || revoking || !second_.empty()));
    // An order is where it belongs, so that what is over is looked through by nobody.
    const bool over = final_state && !revoking;
    REQUIRE(map_.pairs.contains("v/" + std::string(kVin) + "/past/" + order_) == over);
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
    if (now.contains("periods"))
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
    const bool waits =
        now["state"] == "ordered" || now["state"] == "staged" || now["state"] == "downloading";
    if (waits) text += ahead(now["download_by"]);
    if (now["state"] == "active" && now.contains("periods") &&
        now["periods"].back().contains("until"))
      text += ahead(now["periods"].back()["until"]);
    const Json wanted = wanted_for(order_);
    text += "|" + (wanted.is_null() ? std::string("-") : wanted["action"].get<std::string>());
    text += summary_of_rest(now);
    // Whether the server has heard the car's last word; with new keys it has heard nothing.
    const auto report = map_.pairs.find("v/" + std::string(kVin) + "/report");
    if (report == map_.pairs.end()) return text + "|nothing heard";
    const Json heard =
        manifest::parse_strict(as_bytes(report->second), {.bytes_max = kMiB}).value();
    return text + (heard["acknowledged"] == car.counter ? "|heard" : "|unheard");
  }

  // What only some scenarios have.
  std::string summary_of_rest(const Json& now) {
    const SimCar& car = world_.car;
    const std::string& stored = map_.pairs.at("v/" + std::string(kVin) + "/car");
    const auto owns = [&](const std::string& account) {
      return stored.find("\"owner\":\"" + account + "\"") != std::string::npos;
    };
    std::string text = owns(world_.owner) ? "|first" : owns(world_.second) ? "|second" : "|nobody";
    if (car.seal_keys.public_key != first_keys_.public_key) text += "|new keys";
    const std::string image = map_.pairs.at(server::image_key(now["images"][0].get<std::string>()));
    text += std::to_string(std::hash<std::string>{}(image) % 1000);  // listed or withdrawn
    if (is_ecu_new()) text += "|new ECU";
    if (second_.empty()) return text;
    const auto said = car.orders.find(second_);
    text += "|" + order(second_)["state"].get<std::string>();
    return text + (said == car.orders.end() ? "|-" : std::string(to_string(said->second.state)));
  }

  Snapshot take(std::size_t depth) {
    const SimCar& car = world_.car;
    return {map_.pairs,
            {car.counter, car.installed, car.functions, car.orders, last_, car.seal_keys,
             car.certificate},
            clock_.now(),
            depth,
            second_};
  }

  void restore(const Snapshot& snapshot) {
    map_.pairs = snapshot.pairs;
    SimCar& car = world_.car;
    car.counter = snapshot.car.counter;
    car.installed = snapshot.car.installed;
    car.functions = snapshot.car.functions;
    car.orders = snapshot.car.orders;
    car.seal_keys = snapshot.car.seal_keys;
    car.certificate = snapshot.car.certificate;
    second_ = snapshot.second;
    last_ = snapshot.car.last;
    clock_.set(snapshot.now);
  }

  const Scenario& scenario_;
  FreeClock clock_;
  MapStore map_;
  MeddlingStore store_;
  ReadyWorld world_;
  const crypto::SealKeyPair first_keys_ = world_.car.seal_keys;
  std::string order_;
  std::string path_;
  std::string second_;  // of the same function; empty until it is ordered
  std::string payload_key_, payload_;
  Bytes last_;
  std::set<std::string> seen_;
  std::set<std::string> ends_;
  std::size_t steps_ = 0;
};

}  // namespace layby::tests
