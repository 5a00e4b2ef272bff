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

// A function's package, as it was published.
Result<Image> published_package(CarAffairs& affairs, const manifest::ImageName& name) {
  std::optional<Image> found = TRY(image(reader(affairs.change()), name.text()));
  if (!found || !found->entry.facts.licence_key)
    return fail(ErrorCode::kCorrupt, "{} is no function's package", name.text());
  return std::move(*found);
}

// Of a function's order: the package whose key the car obeys. What it is only offered it does not
// know yet.
const manifest::ImageName& obeyed_package(const Order& order) {
  LAYBY_ASSERT(!order.images.empty());
  const bool is_other = order.exchange && order.exchange->obeyed;
  return is_other ? *order.exchange->obeyed : order.images.front().name;
}

bool has_key_of(const Services& services, const Image& package) {
  return licence_signer(services.keys, *package.entry.facts.licence_key) != nullptr;
}

std::vector<manifest::ImageName> names_of(const Order& order) {
  std::vector<manifest::ImageName> names;
  for (const OrderedImage& image : order.images) names.push_back(image.name);
  return names;
}

std::int64_t grace_seconds(const Order& order) {
  return static_cast<std::int64_t>(order.term->grace_days) * kDaySeconds;
}

// Signed by the key that this package names. Empty where the car is not paired.
Result<std::string> next_licence(CarAffairs& affairs, Order& order, manifest::LicenceState state,
                                 const manifest::ImageName& package_name) {
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
  const Image package = TRY(published_package(affairs, package_name));
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
    licence = TRY(
        next_licence(affairs, order, manifest::LicenceState::kActive, order.images.front().name));
  }
  return desire_install(affairs, order, names_of(order), licence);
}

Result<void> switch_off(CarAffairs& affairs, Order& order) {
  if (order.licence_counter == 0) return drop_desired(affairs, order.id);
  const std::string revoking =
      TRY(next_licence(affairs, order, manifest::LicenceState::kRevoked, obeyed_package(order)));
  if (revoking.empty()) {
    order.revoked = true;  // with its pairing the car has lost what opens its licences
    return drop_desired(affairs, order.id);
  }
  return desire_deactivation(affairs, order, revoking);
}

namespace {

// With the licence that goes with it.
Result<void> desire_package(CarAffairs& affairs, Order& order, const manifest::ImageName& package) {
  const std::string licence =
      TRY(next_licence(affairs, order, manifest::LicenceState::kActive, package));
  if (licence.empty()) return drop_desired(affairs, order.id);
  return desire_install(affairs, order, {package}, licence);
}

// A car that fails again and again must not make the order ever larger.
constexpr std::size_t kExchangeLicencesMax = 16;

Result<void> desire_exchange(CarAffairs& affairs, Order& order) {
  TRY_VOID(desire_package(affairs, order, order.exchange->release.name));
  std::vector<std::uint64_t>& licences = order.exchange->licences;
  if (licences.size() == kExchangeLicencesMax) licences.erase(licences.begin());
  licences.push_back(order.licence_counter);
  return {};
}

Result<bool> is_exchange_pending(CarAffairs& affairs, const Order& order) {
  const std::vector<std::string> waiting = TRY(images_to_install(affairs, order.id));
  return order.exchange && !waiting.empty() &&
         waiting.front() == order.exchange->release.name.text();
}

}  // namespace

Result<void> relicense(CarAffairs& affairs, Order& order) {
  const manifest::ImageName obeyed = obeyed_package(order);
  if (TRY(is_exchange_pending(affairs, order))) {
    // The term must not hang on an installation that may fail: the exchange is offered again when
    // the car has this licence.
    const Image package = TRY(published_package(affairs, obeyed));
    if (!has_key_of(affairs.services(), package)) return desire_exchange(affairs, order);
  } else if (!TRY(images_to_install(affairs, order.id)).empty()) {
    return reinstall(affairs, order);
  }
  const std::string licence =
      TRY(next_licence(affairs, order, manifest::LicenceState::kActive, obeyed));
  if (licence.empty()) return drop_desired(affairs, order.id);
  return desire_licence(affairs, order, licence);
}

Result<void> reinstall(CarAffairs& affairs, Order& order) {
  return desire_package(affairs, order, obeyed_package(order));
}

namespace {

// The newest release of the package's function for one of the car's ECUs that obeys another of our
// keys, and that the car can have now. Never one that names the key that is being replaced.
Result<std::optional<Image>> release_under_other_key(CarAffairs& affairs, const Image& package) {
  const Services& services = affairs.services();
  const manifest::ImageFacts& facts = package.entry.facts;
  const manifest::PublicKey wanted =
      next_licence_key(services.keys).value_or(manifest::PublicKey::of(*services.keys.licence));
  if (facts.licence_key == wanted) return std::nullopt;
  for (const CarEcu* ecu : affairs.car().ecus_of(facts.slot)) {
    std::optional<Image> newest = TRY(newest_image(services.store, facts.slot, ecu->hardware_id));
    if (!newest || newest->entry.facts.release_counter <= facts.release_counter) continue;
    if (newest->entry.facts.licence_key != wanted) continue;
    if (TRY(availability(services.store, newest->entry.name.text())) == Availability::kAvailable)
      return newest;
  }
  return std::nullopt;
}

// A licence under the key that the car obeys has not come to it yet: the package would take the
// licence's place.
Result<bool> waits_for_licence(CarAffairs& affairs, const Order& order, const VehicleState& state) {
  if (!TRY(is_desired(affairs, order.id))) return false;
  if (!TRY(images_to_install(affairs, order.id)).empty()) return false;
  const auto said = state.functions.find(*order.function);
  return said != state.functions.end() && said->second.counter < order.licence_counter;
}

// The car has what it had: it gets a licence under that key, as it may have missed one.
Result<OrderIs> recall_unless_available(CarAffairs& affairs, Order& order) {
  const Services& services = affairs.services();
  const std::string& release = order.exchange->release.name.text();
  if (TRY(availability(services.store, release)) == Availability::kAvailable)
    return OrderIs::kAsBefore;
  TRY_VOID(drop_desired(affairs, order.id));
  const Image package = TRY(published_package(affairs, obeyed_package(order)));
  if (has_key_of(services, package)) TRY_VOID(relicense(affairs, order));
  affairs.record("licence-key-recalled", order.id.text(), {{"image", release}});
  return OrderIs::kChanged;
}

Result<void> point_exchange_to(CarAffairs& affairs, Order& order, const Image& next) {
  const OrderedImage release{.name = next.entry.name, .sha256 = next.entry.sha256};
  if (!order.exchange) order.exchange = KeyExchange{.release = release};
  const Image before = TRY(published_package(affairs, order.exchange->release.name));
  if (before.entry.facts.licence_key != next.entry.facts.licence_key)
    order.exchange->licences.clear();
  order.exchange->release = release;
  return {};
}

}  // namespace

Result<OrderIs> exchange_licence_key(CarAffairs& affairs, Order& order, const VehicleState& state) {
  if (order.phase != OrderPhase::kActive || !order.function) return OrderIs::kAsBefore;
  const Image package = TRY(published_package(affairs, order.images.front().name));
  const std::optional<Image> next = TRY(release_under_other_key(affairs, package));
  const bool is_pending = TRY(is_exchange_pending(affairs, order));
  if (!next) return is_pending ? recall_unless_available(affairs, order) : OrderIs::kAsBefore;
  const bool is_offered = is_pending && order.exchange->release.name == next->entry.name;
  if (is_offered || TRY(waits_for_licence(affairs, order, state))) return OrderIs::kAsBefore;
  TRY_VOID(point_exchange_to(affairs, order, *next));
  TRY_VOID(desire_exchange(affairs, order));
  affairs.record("licence-key-exchanged", order.id.text(),
                 {{"image", next->entry.name.text()}, {"counter", order.licence_counter}});
  return OrderIs::kChanged;
}

Result<void> exchange_licence_keys(CarAffairs& affairs, const VehicleState& state) {
  for (Order& order : TRY(load_orders(affairs.change(), affairs.car().vin)))
    if (TRY(exchange_licence_key(affairs, order, state)) == OrderIs::kChanged)
      save_order(affairs, order);
  return {};
}

namespace {

OrderIs take_shown_key(CarAffairs& affairs, Order& order, const VehicleState& state) {
  KeyExchange& exchange = *order.exchange;
  if (state.runs(exchange.release.slot, exchange.release.sha256, affairs.car())) {
    order.images = {exchange.release};
    order.exchange.reset();
    order.error.reset();
    return OrderIs::kChanged;
  }
  const auto said = state.functions.find(*order.function);
  const bool has_its_licence =
      said != state.functions.end() &&
      std::ranges::find(exchange.licences, said->second.counter) != exchange.licences.end();
  if (!has_its_licence || exchange.obeyed == exchange.release.name) return OrderIs::kAsBefore;
  exchange.obeyed = exchange.release.name;
  return OrderIs::kChanged;
}

Result<bool> is_to_switch_off(CarAffairs& affairs, const Order& order) {
  if (order.phase == OrderPhase::kFailed) return is_desired(affairs, order.id);
  return is_leaving(order.phase) && !order.held;
}

}  // namespace

Result<OrderIs> note_exchange(CarAffairs& affairs, Order& order, const VehicleState& state) {
  if (!order.exchange || is_coming(order.phase) || is_over(order)) return OrderIs::kAsBefore;
  if (take_shown_key(affairs, order, state) == OrderIs::kAsBefore) return OrderIs::kAsBefore;
  // What is on its way under the key of before would be refused.
  const bool has_licence_coming =
      TRY(is_desired(affairs, order.id)) && TRY(images_to_install(affairs, order.id)).empty();
  if (TRY(is_to_switch_off(affairs, order)))
    TRY_VOID(switch_off(affairs, order));
  else if (order.phase == OrderPhase::kActive && has_licence_coming)
    TRY_VOID(relicense(affairs, order));
  return OrderIs::kChanged;
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
  if (TRY(is_to_switch_off(affairs, order)))
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
