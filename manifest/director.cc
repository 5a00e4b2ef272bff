#include "manifest/director.h"

#include <algorithm>
#include <set>

#include "base/assert.h"
#include "base/limits.h"
#include "manifest/json_value.h"
#include "manifest/target_search.h"

namespace layby::manifest {
namespace {

constexpr std::size_t kOrdersMax = 64;
constexpr std::size_t kOrderImagesMax = 128;  // a partner orders up to 100 regions at once (P3.1)
constexpr std::size_t kPayloadsMax = 64;      // of one image: as many bases as anybody keeps
// The largest image in chunks that do not compress. What a car downloads is bounded by it before
// the offline keys have a say.
constexpr std::uint64_t kPayloadBytesMax =
    kImageBytesMax + kPayloadHeadBytesMax + kPayloadChunksMax * 64 * kKiB;

Json payload_json(const Payload& payload) {
  Json object{{"sha256", to_hex(payload.sha256)},
              {"length", payload.length},
              {"head", {{"sha256", to_hex(payload.head_sha256)}, {"length", payload.head_length}}}};
  if (payload.base) object["base"] = to_hex(*payload.base);
  if (!payload.needs.empty()) object["needs"] = payload.needs;
  return object;
}

Json order_json(const Order& order) {
  Json object{
      {"id", order.id.text()}, {"action", to_string(order.action)}, {"images", Json::array()}};
  for (const std::string& image : order.images) object["images"].push_back(image);
  if (!order.licence.empty()) object["licence"] = to_base64(order.licence);
  if (order.delivery != Delivery::kOverTheAir) object["delivery"] = to_string(order.delivery);
  return object;
}

std::string wire_of(const Json& value) {
  auto text = to_wire(value);
  LAYBY_ASSERT(text);
  return std::move(*text);
}

Target director_target(const AssignedImage& image) {
  LAYBY_ASSERT(read_image_entry(image.name, image.image_target));
  auto image_custom = parse_strict(as_bytes(image.image_target.custom),
                                   {.bytes_max = image.image_target.custom.size()});
  LAYBY_ASSERT(image_custom);
  Json ecus = Json::object();
  for (const auto& [serial, hardware] : image.ecus)
    ecus[serial.text()] = Json{{"hardwareId", hardware.text()}};
  Json payloads = Json::array();
  for (const Payload& payload : image.payloads) payloads.push_back(payload_json(payload));
  const Json custom{{"ecuIdentifiers", std::move(ecus)},
                    {"mustMatch", (*image_custom)["mustMatch"]},
                    {"payloads", std::move(payloads)}};
  Target target = image.image_target;
  target.custom = wire_of(custom);
  return target;
}

// ---- Reading --------------------------------------------------------------------------------

// What a name says in metadata is that metadata's fault, not a caller's argument.
template <typename T>
Result<T> as_format_error(Result<T> parsed) {
  if (!parsed && parsed.error().code() == ErrorCode::kInvalidArgument)
    return fail(ErrorCode::kBadFormat, "{}", parsed.error().message());
  return parsed;
}

Result<Payload> read_payload(const Json& object) {
  Payload payload;
  if (find_field(object, "base")) payload.base = TRY(digest_field(object, "base"));
  payload.sha256 = TRY(digest_field(object, "sha256"));
  payload.length = TRY(uint_field(object, "length", kPayloadBytesMax));
  const Json* head = TRY(object_field(object, "head"));
  payload.head_sha256 = TRY(digest_field(*head, "sha256"));
  payload.head_length = TRY(uint_field(*head, "length", kPayloadHeadBytesMax));
  if (payload.head_length > payload.length)
    return fail(ErrorCode::kBadFormat, "the head is longer than the payload");
  payload.needs = TRY(re_encoders_field(object, "needs"));
  return payload;
}

Result<std::vector<Payload>> read_payloads(const Json& custom) {
  const Json* array = TRY(array_field(custom, "payloads"));
  if (array->size() > kPayloadsMax)
    return fail(ErrorCode::kBadFormat, "more than {} payloads", kPayloadsMax);
  std::vector<Payload> payloads;
  for (const Json& object : *array)
    payloads.push_back(TRY_CONTEXT(read_payload(object), "payloads"));
  return payloads;
}

Result<std::map<EcuSerial, HardwareId>> read_ecus(const Json& custom) {
  const Json* object = TRY(object_field(custom, "ecuIdentifiers"));
  std::map<EcuSerial, HardwareId> ecus;
  for (const auto& [serial, entry] : object->get_ref<const Json::object_t&>())
    ecus.emplace(TRY(as_format_error(EcuSerial::parse(serial))),
                 TRY(as_format_error(HardwareId::parse(TRY(text_field(entry, "hardwareId"))))));
  if (ecus.empty()) return fail(ErrorCode::kBadFormat, "\"ecuIdentifiers\" is empty");
  return ecus;
}

// The Director's view of an image next to the Image repository's.
struct ImageClaim {
  std::map<EcuSerial, HardwareId> ecus;
  std::string must_match;
  std::vector<Payload> payloads;
};

Result<ImageClaim> read_claim(const Target& target) {
  const Json custom =
      TRY(parse_strict(as_bytes(target.custom), {.bytes_max = target.custom.size()}));
  ImageClaim claim;
  claim.ecus = TRY(read_ecus(custom));
  claim.must_match = TRY(to_canonical(*TRY(object_field(custom, "mustMatch"))));
  claim.payloads = TRY(read_payloads(custom));
  return claim;
}

// Whom an image is for, before anybody asks what it is.
Result<void> check_assigned(const std::string& name, const ImageClaim& claim, const CarFacts& car) {
  for (const auto& [serial, hardware] : claim.ecus) {
    const auto ecu = car.ecus.find(serial);
    if (ecu == car.ecus.end())
      return fail(ErrorCode::kWrongEcu, "{}: this car has no ECU {}", name, serial.text());
    if (ecu->second != hardware)
      return fail(ErrorCode::kWrongEcu, "{}: the ECU {} is {}, not {}", name, serial.text(),
                  ecu->second.text(), hardware.text());
  }
  return {};
}

// Length, every hash that either names, and mustMatch (Uptane: the images that the two repositories
// describe must be the same).
Result<void> check_agreement(const std::string& name, const Target& director, const Target& image,
                             const ImageClaim& claim, const ImageEntry& entry) {
  const auto disagree = [&](std::string_view what) {
    return fail(ErrorCode::kRepositoriesDisagree, "{}: Director and Image repository differ in {}",
                name, what);
  };
  if (director.length != image.length) return disagree("length");
  if (director.hashes != image.hashes) return disagree("hashes");
  if (claim.must_match != entry.must_match) return disagree("mustMatch");
  return {};
}

// What the primary installs is for the primary alone, maps and functions too: it is its hardware
// that they must fit, and what it has that they must not be older than.
bool is_slot_of(const Slot& slot, const EcuSerial& ecu, const CarFacts& car) {
  if (!car.primary) return true;
  return slot.is_secondary() == (ecu != *car.primary);
}

// For each of its ECUs what the Image repository says to that ECU: roles may differ by hardware.
// The first one's entry; of what all had to agree in, each says the same.
Result<ImageEntry> verify_image(const std::string& name, const Target& director,
                                const ImageClaim& claim, const TrustedRepository& image,
                                const CarFacts& car) {
  std::optional<ImageEntry> verified;
  for (const auto& [serial, hardware] : claim.ecus) {
    const Target* at = TRY(find_image(image, name, hardware));
    ImageEntry entry = TRY(read_image_entry(name, *at));
    TRY_VOID(check_agreement(name, director, *at, claim, entry));
    if (std::ranges::find(entry.hardware_ids, hardware) == entry.hardware_ids.end())
      return fail(ErrorCode::kWrongEcu, "{}: not made for the hardware {}", name, hardware.text());
    if (!is_slot_of(entry.facts.slot, serial, car))
      return fail(ErrorCode::kWrongEcu, "{}: {} is no slot of the ECU {}", name,
                  entry.facts.slot.text(), serial.text());
    if (!verified) verified = std::move(entry);
  }
  LAYBY_ASSERT(verified);  // read_claim takes none without an ECU
  return std::move(*verified);
}

Result<void> check_release_counter(const ImageEntry& entry, const CarFacts& car) {
  const auto installed = car.release_counters.find(entry.facts.slot);
  if (installed != car.release_counters.end() && entry.facts.release_counter < installed->second)
    return fail(ErrorCode::kImageRollback, "{}: release counter {}, installed is {}",
                entry.name.text(), entry.facts.release_counter, installed->second);
  return {};
}

using PlannedImages = std::map<std::string, PlannedImage>;

Result<PlannedImages> verify_images(const Targets& director, const TrustedRepository& image,
                                    const CarFacts& car) {
  PlannedImages planned;
  std::set<std::pair<EcuSerial, Slot>> assigned;
  for (const auto& [name, target] : director.targets) {
    const ImageClaim claim = TRY_CONTEXT(read_claim(target), name);
    TRY_VOID(check_assigned(name, claim, car));
    ImageEntry entry = TRY(verify_image(name, target, claim, image, car));
    TRY_VOID(check_release_counter(entry, car));
    std::vector<EcuSerial> ecus;
    for (const auto& [serial, hardware] : claim.ecus) {
      if (!assigned.emplace(serial, entry.facts.slot).second)
        return fail(ErrorCode::kWrongEcu, "{}: the ECU {} is given two images for {}", name,
                    serial.text(), entry.facts.slot.text());
      ecus.push_back(serial);
    }
    planned.emplace(name, PlannedImage{std::move(entry), std::move(ecus), claim.payloads});
  }
  return planned;
}

std::optional<Error> refusal_of(const PlannedImage& image) {
  auto readable = check_conditions(image.entry.facts);
  if (readable) return std::nullopt;
  return std::move(readable.error()).with_context(image.entry.name.text());
}

// Takes the order's images out of `images`: each belongs to one order.
Result<PlannedOrder> read_order(const Json& object, PlannedImages& images) {
  OrderId id = TRY(as_format_error(OrderId::parse(TRY(text_field(object, "id")))));
  PlannedOrder order{.id = std::move(id),
                     .action = OrderAction::kInstall,
                     .images = {},
                     .licence = {},
                     .refusal = std::nullopt,
                     .delivery = Delivery::kOverTheAir};
  const std::string action = TRY(text_field(object, "action"));
  if (action == to_string(OrderAction::kLicence))
    order.action = OrderAction::kLicence;
  else if (action == to_string(OrderAction::kDeactivate))
    order.action = OrderAction::kDeactivate;
  else if (action != to_string(OrderAction::kInstall))
    order.refusal = Error(ErrorCode::kUnsupported, fmt::format("unknown action \"{}\"", action));
  if (find_field(object, "delivery")) {
    const std::string text = TRY(text_field(object, "delivery"));
    if (const auto delivery = parse_delivery(text))
      order.delivery = *delivery;
    else
      order.refusal = Error(ErrorCode::kUnsupported, fmt::format("unknown delivery \"{}\"", text));
  }

  const Json* names = TRY(array_field(object, "images"));
  if (names->size() > kOrderImagesMax)
    return fail(ErrorCode::kBadFormat, "{}: {} images, at most {} are allowed", order.id.text(),
                names->size(), kOrderImagesMax);
  for (const Json& name : *names) {
    if (!name.is_string()) return fail(ErrorCode::kBadFormat, "\"images\": a text each");
    auto image = images.extract(name.get_ref<const std::string&>());
    if (!image)
      return fail(ErrorCode::kBadFormat, "{}: not among the targets, or ordered twice",
                  name.get_ref<const std::string&>());
    if (!order.refusal) order.refusal = refusal_of(image.mapped());
    order.images.push_back(std::move(image.mapped()));
  }
  if (find_field(object, "licence")) {
    order.licence = TRY_CONTEXT(from_base64(TRY(text_field(object, "licence"))), "licence");
    if (order.licence.empty() || order.licence.size() > kLicenceBytesMax)
      return fail(ErrorCode::kBadFormat, "a licence of {} bytes", order.licence.size());
  }
  if (order.refusal) return order;
  const bool installs = order.action == OrderAction::kInstall;
  if (installs == order.images.empty() || (!installs && order.licence.empty()))
    return fail(ErrorCode::kBadFormat, "{}: {} has {} images and {} licence", order.id.text(),
                action, order.images.size(), order.licence.empty() ? "no" : "a");
  return order;
}

// Of targets that are for this car, and that delegate nothing.
Result<Json> read_director_custom(const Targets& director, const Vin& vin) {
  if (director.custom.empty())
    return fail(ErrorCode::kWrongVehicle, "the Director's targets name no car");
  Json custom = TRY(parse_strict(as_bytes(director.custom), {.bytes_max = director.custom.size()}));
  const std::string named = TRY_CONTEXT(text_field(custom, "vin"), "Director");
  if (named != vin.text())
    return fail(ErrorCode::kWrongVehicle, "the Director's targets are for {}, this is {}", named,
                vin.text());
  if (director.delegations)
    return fail(ErrorCode::kBadFormat, "the Director's targets delegate, which Uptane forbids");
  return custom;
}

Result<std::vector<PlannedOrder>> read_orders(const Json& custom, PlannedImages images) {
  const Json* array = TRY(array_field(custom, "orders"));
  if (array->size() > kOrdersMax)
    return fail(ErrorCode::kBadFormat, "more than {} orders", kOrdersMax);
  std::vector<PlannedOrder> orders;
  std::set<OrderId> ids;
  for (const Json& object : *array) {
    orders.push_back(TRY_CONTEXT(read_order(object, images), "orders"));
    if (!ids.insert(orders.back().id).second)
      return fail(ErrorCode::kBadFormat, "the order {} stands twice", orders.back().id.text());
  }
  // Only what somebody ordered is installed (extraneous dependencies).
  if (!images.empty())
    return fail(ErrorCode::kBadFormat, "{}: belongs to no order", images.begin()->first);
  return orders;
}

}  // namespace

std::string director_custom(const Vin& vin) {
  return wire_of(Json{{"vin", vin.text()}});
}

std::string_view to_string(OrderAction action) {
  switch (action) {
    case OrderAction::kInstall: return "install";
    case OrderAction::kLicence: return "licence";
    case OrderAction::kDeactivate: return "deactivate";
  }
  LAYBY_ASSERT(false);
}

std::string_view to_string(Delivery delivery) {
  switch (delivery) {
    case Delivery::kOverTheAir: return "over-the-air";
    case Delivery::kOffline: return "offline";
  }
  LAYBY_ASSERT(false);
}

Result<Delivery> parse_delivery(std::string_view text) {
  for (const Delivery delivery : {Delivery::kOverTheAir, Delivery::kOffline})
    if (to_string(delivery) == text) return delivery;
  return fail(ErrorCode::kInvalidArgument, "unknown delivery \"{}\"", text);
}

Targets make_director_targets(const DirectorContent& content) {
  Targets targets;
  targets.version = content.version;
  targets.expires = content.expires;
  for (const AssignedImage& image : content.images) {
    const bool fresh = targets.targets.emplace(image.name, director_target(image)).second;
    LAYBY_ASSERT(fresh);
  }
  Json orders = Json::array();
  std::set<std::string> named;
  for (const Order& order : content.orders) {
    for (const std::string& image : order.images)
      LAYBY_ASSERT(targets.targets.contains(image) && named.insert(image).second);
    orders.push_back(order_json(order));
  }
  LAYBY_ASSERT(named.size() == targets.targets.size());
  targets.custom = wire_of(Json{{"vin", content.vin.text()}, {"orders", std::move(orders)}});
  return targets;
}

Result<std::vector<AssignedTarget>> assigned_targets(const TrustedRepository& director,
                                                     const CarFacts& car) {
  LAYBY_ASSERT(director.targets());
  const Targets& targets = **director.targets();
  TRY(read_director_custom(targets, car.vin));
  std::set<AssignedTarget> assigned;
  for (const auto& [name, target] : targets.targets) {
    const ImageClaim claim = TRY_CONTEXT(read_claim(target), name);
    TRY_VOID(check_assigned(name, claim, car));
    for (const auto& [serial, hardware] : claim.ecus) assigned.insert({name, hardware});
  }
  return std::vector<AssignedTarget>(assigned.begin(), assigned.end());
}

Result<VerifiedPlan> verify_plan(const TrustedRepository& director, const TrustedRepository& image,
                                 const CarFacts& car, UnixSeconds now) {
  if (auto current = director.check_current(now); !current)
    return fail(std::move(current.error()).with_context("Director"));
  const Targets& targets = **director.targets();
  const Json custom = TRY(read_director_custom(targets, car.vin));
  PlannedImages images;
  if (!targets.targets.empty()) {
    if (auto current = image.check_current(now); !current)
      return fail(std::move(current.error()).with_context("Image repository"));
    images = TRY(verify_images(targets, image, car));
  }
  VerifiedPlan plan;
  plan.orders_ = TRY_CONTEXT(read_orders(custom, std::move(images)), "Director");
  plan.director_version_ = targets.version;
  return plan;
}

}  // namespace layby::manifest
