#include "server/rollout/rollout_walk.h"

#include "server/director/online_keys.h"
#include "server/release/image.h"
#include "server/shop/order_licence.h"

namespace layby::server {

namespace {

// `row/<rollout>` -> the last VIN that was done, empty at the beginning.
constexpr std::string_view kWalks = "row/";
constexpr std::string_view kCars = "v/";
constexpr std::string_view kLicenceKeyWalk = "*licence-key";  // no rollout is called so
constexpr std::size_t kWalksMax = kRolloutsMax + 1;
constexpr std::size_t kCarsBetweenMarks = 100;

// The first car behind `vin`: one read, however much lies between.
Result<std::optional<manifest::Vin>> next_car(const Store& store, const std::string& vin) {
  const std::string begin =
      vin.empty() ? std::string(kCars) : after_prefix(std::string(kCars) + vin + "/");
  const std::vector<KeyValue> next = TRY(store.scan(begin, after_prefix(kCars), 1));
  if (next.empty()) return std::nullopt;
  const std::string& key = next.front().key;
  return TRY(manifest::Vin::parse(
      std::string_view(key).substr(kCars.size(), key.find('/', kCars.size()) - kCars.size())));
}

Result<void> offer_to(const Services& services, const manifest::Vin& vin) {
  return commit_with_retry(services.store, [&](Change& change) -> Result<void> {
    const std::optional<VehicleState> state = TRY(load_vehicle_state(change, vin));
    if (!state) return {};
    CarAffairs affairs = TRY(CarAffairs::begin(services, change, vin, "system"));
    TRY_VOID(exchange_licence_keys(affairs, *state));
    return offer_software(affairs, *state);
  });
}

// Only while the walk is the one that was read: a rollout that is started anew begins anew.
Result<void> mark(const Services& services, KeyValue& walk, std::optional<std::string> at) {
  const Result<void> done =
      services.store.commit({.expectations = {{walk.key, walk.value}}, .writes = {{walk.key, at}}});
  if (done && at) walk.value = *at;
  return done;
}

Result<Walks> continue_walk(const Services& services, KeyValue walk, std::size_t cars_max) {
  std::string last = walk.value;
  for (std::size_t done = 0; done < cars_max; ++done) {
    const std::optional<manifest::Vin> vin = TRY(next_car(services.store, last));
    if (!vin) {
      TRY_VOID(mark(services, walk, std::nullopt));
      return Walks::kDone;
    }
    last = vin->text();
    if (const Result<void> offered = offer_to(services, *vin); !offered)
      services.log(LogLevel::kError, "rollout passed over a car",
                   {{"vin", last}, {"error", offered.error().message()}});
    if ((done + 1) % kCarsBetweenMarks == 0) TRY_VOID(mark(services, walk, last));
  }
  TRY_VOID(mark(services, walk, last));
  return Walks::kMoreToDo;
}

}  // namespace

void begin_walk(Change& change, std::string_view rollout) {
  change.put(std::string(kWalks) + std::string(rollout), "");
}

Result<void> begin_licence_key_walk(const Services& services) {
  return commit_with_retry(services.store, [&](Change& change) -> Result<void> {
    begin_walk(change, kLicenceKeyWalk);
    return {};
  });
}

Result<void> begin_licence_key_walk_for(const Services& services, std::string_view image_name) {
  const std::optional<Image> next = TRY(image(services.store, image_name));
  if (!next || !next->entry.facts.licence_key) return {};
  const manifest::ImageFacts& facts = next->entry.facts;
  // Each of them: the first that named it may never have had a payload.
  bool begins = facts.licence_key == next_licence_key(services.keys);
  for (const manifest::HardwareId& hardware : next->entry.hardware_ids) {
    const auto before = TRY(earlier_releases(reader(services.store), scanner(services.store),
                                             facts.slot, hardware, facts.release_counter, 1));
    begins =
        begins || (!before.empty() && before.front().entry.facts.licence_key != facts.licence_key);
  }
  if (!begins) return {};
  TRY_VOID(begin_licence_key_walk(services));
  services.wake_sweeper();
  return {};
}

Result<Walks> continue_walks(const Services& services, std::size_t cars_max) {
  Walks all = Walks::kDone;
  for (KeyValue& walk : TRY(services.store.scan(kWalks, after_prefix(kWalks), kWalksMax))) {
    const Result<Walks> one = continue_walk(services, std::move(walk), cars_max);
    // A conflict: the rollout was started anew meanwhile, and so is its walk.
    if (!one && one.error().code() != ErrorCode::kConflict) return one;
    if (!one || *one == Walks::kMoreToDo) all = Walks::kMoreToDo;
  }
  return all;
}

}  // namespace layby::server
