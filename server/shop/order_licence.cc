#include "server/shop/order_licence.h"

#include <algorithm>

#include "base/assert.h"
#include "manifest/json_value.h"
#include "server/director/licence_issuer.h"
#include "server/director/online_keys.h"
#include "server/fleet/json_answer.h"
#include "server/release/image.h"
#include "server/shop/desired.h"
#include "server/shop/order_change.h"

namespace layby::server {

using manifest::Json;

namespace {

std::string licence_record_key(const manifest::Vin& vin, const manifest::FunctionId& function) {
  return car_prefix(vin) + "licence/" + function.text();
}

struct LicenceRecord {
  std::uint64_t counter = 0;
  std::string order;  // that it was for
};

Result<LicenceRecord> load_record(Change& change, const std::string& key) {
  const std::optional<std::string> text = TRY(change.get(key));
  if (!text) return LicenceRecord{};
  const Json json = TRY(parse_stored(key, *text));
  auto counter = TRY(manifest::uint_field(json, "counter"));
  auto order = TRY(manifest::text_field(json, "order"));
  return LicenceRecord{.counter = counter, .order = std::move(order)};
}

// The function has a newer order now: what is left to do in the car for the one before is done by
// the newer licence.
Result<void> supersede(CarAffairs& affairs, const std::string& id) {
  Order before = TRY(load_order(affairs.change(), affairs.car().vin, id));
  TRY_VOID(apply_cause(affairs, before, OrderCause::kSuperseded, Json::object()));
  if (!is_final(before.phase)) return {};
  before.revoked = true;
  save_order(affairs, before);
  return drop_desired(affairs, before.id);
}

// Of a function's order: its package, as it was published.
Result<Image> package_of(CarAffairs& affairs, const Order& order) {
  LAYBY_ASSERT(!order.images.empty());
  const std::string& name = order.images.front().name.text();
  std::optional<Image> found = TRY(image(reader(affairs.change()), name));
  if (!found || !found->entry.facts.licence_key)
    return fail(ErrorCode::kCorrupt, "{} is no function's package", name);
  return std::move(*found);
}

std::int64_t grace_seconds(const Order& order) {
  return static_cast<std::int64_t>(order.term->grace_days) * kDaySeconds;
}

// Empty where the car is not paired.
Result<std::string> next_licence(CarAffairs& affairs, Order& order, manifest::LicenceState state) {
  const Car& car = affairs.car();
  LAYBY_ASSERT(order.function && order.term);
  const std::string key = licence_record_key(order.vin, *order.function);
  LicenceRecord record = TRY(load_record(affairs.change(), key));
  if (!record.order.empty() && record.order != order.id.text())
    TRY_VOID(supersede(affairs, record.order));
  order.licence_counter = ++record.counter;
  if (order.licence_first == 0) order.licence_first = order.licence_counter;
  order.licence_issued = affairs.now();
  affairs.change().put(key,
                       to_stored({{"counter", order.licence_counter}, {"order", order.id.text()}}));
  if (!car.pairing) {
    order.licence_for.clear();
    return std::string();
  }
  const manifest::Licence licence{.vin = car.vin,
                                  .function = *order.function,
                                  .order = order.id,
                                  .counter = order.licence_counter,
                                  .state = state,
                                  .issued = affairs.now(),
                                  .until = order.active_until,
                                  .grace_seconds = order.active_until ? grace_seconds(order) : 0};
  order.licence_for = to_hex(car.pairing->seal_key);
  const Image package = TRY(package_of(affairs, order));
  return issue_licence(affairs.services(), licence, *package.entry.facts.licence_key,
                       car.pairing->seal_key);
}

}  // namespace

Result<void> offer(CarAffairs& affairs, Order& order) {
  std::string licence;
  if (order.function && order.downloaded) {
    // Until the activation says when the term begins, it begins with the newest licence.
    order.active_until = order.term->from == Term::From::kAcceptance
                             ? contract_end(order)
                             : term_end(*order.term, order.zone, affairs.now());
    licence = TRY(next_licence(affairs, order, manifest::LicenceState::kActive));
  }
  return desire_install(affairs, order, licence);
}

Result<void> switch_off(CarAffairs& affairs, Order& order) {
  if (order.licence_counter == 0) return drop_desired(affairs, order.id);
  const std::string revoking = TRY(next_licence(affairs, order, manifest::LicenceState::kRevoked));
  if (revoking.empty()) {
    order.revoked = true;  // with its pairing the car has lost what opens its licences
    return drop_desired(affairs, order.id);
  }
  return desire_deactivation(affairs, order, revoking);
}

Result<void> relicense(CarAffairs& affairs, Order& order) {
  const bool package = TRY(is_to_install(affairs, order.id));
  const std::string licence = TRY(next_licence(affairs, order, manifest::LicenceState::kActive));
  if (licence.empty()) return drop_desired(affairs, order.id);
  if (package) return desire_install(affairs, order, licence);
  return desire_licence(affairs, order, licence);
}

Result<void> reinstall(CarAffairs& affairs, Order& order) {
  const std::string licence = TRY(next_licence(affairs, order, manifest::LicenceState::kActive));
  if (licence.empty()) return drop_desired(affairs, order.id);
  return desire_install(affairs, order, licence);
}

namespace {

// The newest release of the package's function for one of the car's ECUs that obeys another of our
// keys, and that the car can have now.
Result<std::optional<Image>> release_under_other_key(CarAffairs& affairs, const Image& package) {
  const Services& services = affairs.services();
  const manifest::ImageFacts& facts = package.entry.facts;
  for (const CarEcu* ecu : affairs.car().ecus_of(facts.slot)) {
    std::optional<Image> newest = TRY(newest_image(services.store, facts.slot, ecu->hardware_id));
    if (!newest || newest->entry.facts.release_counter <= facts.release_counter) continue;
    const manifest::PublicKey& key = *newest->entry.facts.licence_key;
    if (key == *facts.licence_key || licence_signer(services.keys, key) == nullptr) continue;
    if (TRY(availability(services.store, newest->entry.name.text())) == Availability::kAvailable)
      return newest;
  }
  return std::nullopt;
}

}  // namespace

Result<KeyIs> exchange_licence_key(CarAffairs& affairs, Order& order) {
  if (order.phase != OrderPhase::kActive || !order.function) return KeyIs::kAsBefore;
  const Image package = TRY(package_of(affairs, order));
  const std::optional<Image> next = TRY(release_under_other_key(affairs, package));
  if (!next) return KeyIs::kAsBefore;
  order.images = {{.name = next->entry.name, .sha256 = next->entry.sha256}};
  TRY_VOID(reinstall(affairs, order));
  affairs.record("licence-key-exchanged", order.id.text(),
                 {{"image", next->entry.name.text()}, {"counter", order.licence_counter}});
  return KeyIs::kExchanged;
}

Result<void> exchange_licence_keys(CarAffairs& affairs) {
  for (Order& order : TRY(load_orders(affairs.change(), affairs.car().vin)))
    if (TRY(exchange_licence_key(affairs, order)) == KeyIs::kExchanged) save_order(affairs, order);
  return {};
}

Result<std::optional<std::string>> newest_licensed(Change& change, const manifest::Vin& vin,
                                                   const manifest::FunctionId& function) {
  LicenceRecord record = TRY(load_record(change, licence_record_key(vin, function)));
  if (record.order.empty()) return std::nullopt;
  return std::move(record.order);
}

namespace {

// A control unit that was wiped or exchanged comes back without what was installed in it.
bool has_lost_package(const Order& order, const VehicleState& state) {
  return std::any_of(order.images.begin(), order.images.end(), [&](const OrderedImage& image) {
    return !state.installed.contains(image.slot);
  });
}

}  // namespace

Result<Sealed> renew_seal(CarAffairs& affairs, Order& order, const VehicleState& state) {
  const auto& pairing = affairs.car().pairing;
  if (order.licence_counter == 0 || !pairing || order.licence_for == to_hex(pairing->seal_key))
    return Sealed::kAsBefore;
  const bool revoking = order.phase == OrderPhase::kFailed && TRY(is_desired(affairs, order.id));
  if (revoking || (is_leaving(order.phase) && !order.held))
    TRY_VOID(switch_off(affairs, order));
  else if (is_coming(order.phase))
    TRY_VOID(offer(affairs, order));
  else if (order.phase == OrderPhase::kActive)
    TRY_VOID(has_lost_package(order, state) ? reinstall(affairs, order)
                                            : relicense(affairs, order));
  else
    return Sealed::kAsBefore;
  affairs.record("licence-sealed-anew", order.id.text(), {{"counter", order.licence_counter}});
  return Sealed::kAnew;
}

}  // namespace layby::server
