#include "server/director/director_plan.h"

#include <algorithm>
#include <set>

#include "manifest/json_value.h"
#include "server/director/director_keys.h"
#include "server/fleet/json_answer.h"
#include "server/fleet/vehicle_state.h"
#include "server/release/image.h"
#include "server/release/release_keys.h"

namespace layby::server {

namespace {

using manifest::Json;

constexpr std::size_t kOrdersMax = 64;   // in one car's metadata; the car takes no more
constexpr std::size_t kImagesMax = 100;  // of one order: as many regions as a partner may stage

Result<manifest::OrderAction> parse_action(std::string_view text) {
  for (const manifest::OrderAction action :
       {manifest::OrderAction::kInstall, manifest::OrderAction::kLicence,
        manifest::OrderAction::kDeactivate})
    if (manifest::to_string(action) == text) return action;
  return fail(ErrorCode::kCorrupt, "unknown action \"{}\"", text);
}

Result<manifest::Order> read_order(const Json& json) {
  auto id = TRY(manifest::OrderId::parse(TRY(manifest::text_field(json, "id"))));
  const auto action = TRY(parse_action(TRY(manifest::text_field(json, "action"))));
  manifest::Order order{.id = std::move(id), .action = action, .images = {}, .licence = {}};
  if (manifest::find_field(json, "delivery"))
    order.delivery = TRY(manifest::text_field(json, "delivery").and_then(manifest::parse_delivery));
  order.images = TRY(texts_field(json, "images", kImagesMax, 200));
  if (manifest::find_field(json, "licence") != nullptr) {
    const std::string licence = TRY(manifest::text_field(json, "licence"));
    order.licence = TRY(from_base64(licence));
  }
  return order;
}

Result<std::vector<manifest::Order>> read_desired(Change& change, const manifest::Vin& vin) {
  std::vector<manifest::Order> orders;
  const std::string key = desired_key(vin.text());
  const std::optional<std::string> record = TRY(change.get(key));
  if (!record) return orders;
  const Json desired = TRY(parse_stored(key, *record));
  const Json* list = TRY(manifest::array_field(desired, "orders"));
  for (const Json& json : *list) {
    Result<manifest::Order> order = read_order(json);
    if (!order) return fail(ErrorCode::kCorrupt, "{}: {}", key, order.error().message());
    orders.push_back(std::move(*order));
  }
  return orders;
}

// Places in a car that orders have taken already.
using Taken = std::set<std::pair<manifest::EcuSerial, manifest::Slot>>;

struct Assignment {
  std::optional<manifest::AssignedImage> image;
  std::string reason;  // why there is none
};

// A car that has not spoken yet has no re-encoder, as far as anybody knows.
Result<manifest::ReEncoders> re_encoders_of(Change& change, const Car& car) {
  const std::optional<VehicleState> state = TRY(load_vehicle_state(change, car.vin));
  return state ? state->re_encoders : manifest::ReEncoders{};
}

Result<Assignment> assign(Change& change, const Car& car, const std::string& name, Taken& taken) {
  const auto held = [&](std::string_view reason) {
    return Assignment{.image = std::nullopt, .reason = fmt::format("{}: {}", name, reason)};
  };
  const std::optional<Image> image = TRY(server::image(reader(change), name));
  if (!image) return held("unknown image");
  if (image->listing == Listing::kWithdrawn) return held("withdrawn");
  // Read by itself, so that its absence is an expectation too: the job that makes it then finds
  // either our mark (see update_wants) or makes our commit fail.
  const crypto::Digest256& digest = image->entry.sha256;
  if (!TRY(change.get(payload_key(digest, std::nullopt)))) return held("no payload yet");
  auto payloads = TRY(payloads_of(scanner(change), digest));
  const auto needs_nothing = [](const auto& payload) { return payload.needs.empty(); };
  if (!std::ranges::all_of(payloads, needs_nothing)) {
    const manifest::ReEncoders available = TRY(re_encoders_of(change, car));
    std::erase_if(payloads,
                  [&](const auto& payload) { return !manifest::covers(available, payload.needs); });
  }
  manifest::AssignedImage assigned{
      .name = name, .image_target = image->target, .ecus = {}, .payloads = std::move(payloads)};
  const auto& hardware_ids = image->entry.hardware_ids;
  for (const CarEcu* ecu : car.ecus_of(image->entry.facts.slot)) {
    if (std::ranges::find(hardware_ids, ecu->hardware_id) == hardware_ids.end()) continue;
    if (!taken.emplace(ecu->serial, image->entry.facts.slot).second)
      return held("waits for an earlier order for the same slot");
    assigned.ecus.emplace(ecu->serial, ecu->hardware_id);
  }
  if (assigned.ecus.empty()) return held("fits no ECU of the car");
  return Assignment{.image = std::move(assigned), .reason = {}};
}

}  // namespace

Result<DirectorPlan> plan_for(Change& change, const Car& car) {
  DirectorPlan plan;
  Taken taken;
  std::set<std::string> wants;
  for (manifest::Order& order : TRY(read_desired(change, car.vin))) {
    wants.insert(order.images.begin(), order.images.end());
    std::string reason;
    if (plan.orders.size() >= kOrdersMax) reason = "too many orders at once";
    const bool installs = order.action == manifest::OrderAction::kInstall;
    if (installs == order.images.empty()) reason = "the action does not go with its images";
    Taken with_this = taken;
    std::vector<manifest::AssignedImage> images;
    for (const std::string& name : order.images) {
      if (!reason.empty()) break;
      Assignment assignment = TRY(assign(change, car, name, with_this));
      reason = std::move(assignment.reason);
      if (assignment.image) images.push_back(std::move(*assignment.image));
    }
    if (!reason.empty()) {
      plan.held.push_back({order.id.text(), std::move(reason)});
      continue;
    }
    taken = std::move(with_this);
    std::ranges::move(images, std::back_inserter(plan.images));
    plan.orders.push_back(std::move(order));
  }
  plan.wants.assign(wants.begin(), wants.end());
  return plan;
}

}  // namespace layby::server
