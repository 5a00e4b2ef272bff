#include "server/rollout/rollout.h"

#include <algorithm>
#include <set>

#include "base/time_text.h"
#include "manifest/json_value.h"
#include "server/fleet/auth.h"
#include "server/fleet/consent.h"
#include "server/fleet/json_answer.h"
#include "server/release/image.h"
#include "server/rollout/rollout_walk.h"
#include "server/shop/obsolete_order.h"
#include "server/shop/order_change.h"
#include "server/shop/ordering.h"

namespace layby::server {

using manifest::Json;

namespace {

constexpr std::string_view kPrefix = "ro/";

std::string rollout_key(std::string_view id) {
  return std::string(kPrefix) + std::string(id);
}

std::string_view to_string(Rollout::State state) {
  return state == Rollout::State::kRunning ? "running" : "paused";
}

Result<Rollout::State> parse_state(std::string_view text) {
  if (text == "running") return Rollout::State::kRunning;
  if (text == "paused") return Rollout::State::kPaused;
  return fail(ErrorCode::kBadFormat, "\"state\": \"running\" or \"paused\"");
}

// `image` beside `images` where there is one: that is what a rollout had at first.
Json rollout_json(const Rollout& rollout) {
  Json json{{"id", rollout.id},
            {"images", rollout.images},
            {"state", std::string(to_string(rollout.state))},
            {"since", format_utc(rollout.since)}};
  if (rollout.images.size() == 1) json["image"] = rollout.images.front();
  return json;
}

Result<std::vector<std::string>> image_names(const Json& json) {
  if (manifest::find_field(json, "images") == nullptr)
    return std::vector<std::string>(1, TRY(manifest::text_field(json, "image")));
  return texts_field(json, "images", kRolloutImagesMax, 200);
}

Result<Rollout> decode_rollout(const KeyValue& entry) {
  const Json json = TRY(parse_stored(entry.key, entry.value));
  auto plain_id = TRY(manifest::text_field(json, "id"));
  auto images = TRY(image_names(json));
  auto state = TRY(manifest::text_field(json, "state").and_then(parse_state));
  auto since = TRY(manifest::time_field(json, "since"));
  return Rollout{.id = std::move(plain_id),
                 .images = std::move(images),
                 .state = std::move(state),
                 .since = std::move(since)};
}

// Of several ECUs with one slot, one may be ahead of the others, and takes nothing older. Of one
// that has not spoken since it came into the car nobody knows.
bool may_take(const Image& image, const CarEcu& ecu, const VehicleState& state) {
  if (!image.entry.facts.slot.is_secondary()) return true;
  const auto said = state.secondaries.find(ecu.serial);
  if (said == state.secondaries.end()) return false;
  return !said->second.installed ||
         said->second.installed->release_counter <= image.entry.facts.release_counter;
}

bool fits(const Image& image, const Car& car, const VehicleState& state) {
  const manifest::Slot& slot = image.entry.facts.slot;
  const auto& ids = image.entry.hardware_ids;
  const auto ecus = car.ecus_of(slot);
  const auto held = state.installed.find(slot);
  // A car that does not say which software it has is not sent any.
  return image.listing == Listing::kListed && held != state.installed.end() &&
         held->second.release_counter <= image.entry.facts.release_counter &&
         std::ranges::any_of(ecus,
                             [&](const CarEcu* ecu) {
                               return std::ranges::find(ids, ecu->hardware_id) != ids.end();
                             }) &&
         std::ranges::all_of(ecus, [&](const CarEcu* ecu) { return may_take(image, *ecu, state); });
}

// Whether the car's past with this image speaks against offering it again with this rollout. What
// failed speaks against what has all of it: which image of a set was to blame nobody knows. It does
// not once an ECU that it was for is another one.
Result<bool> is_settled(CarAffairs& affairs, const Image& image, const Rollout& rollout) {
  const manifest::Vin& vin = affairs.car().vin;
  const auto id = TRY(affairs.change().get(settled_software_key(vin, image.entry.sha256)));
  if (!id) return false;
  const Order order = TRY(load_order(affairs.change(), vin, *id));
  if (order.phase != OrderPhase::kFailed) return true;
  const bool has_all = std::ranges::all_of(order.images, [&](const OrderedImage& ordered) {
    return std::ranges::find(rollout.images, ordered.name.text()) != rollout.images.end();
  });
  return has_all && !is_for_newer_ecu(order, affairs.car());
}

// What a rollout means for a car: the images that it is to get, all at once.
using ImageSet = std::vector<Image>;

// Empty where the rollout is not for this car, or the car has it all. A set of which one image does
// not fit is not for this car: nobody has tried the rest of it without that one.
Result<ImageSet> wanted_of(CarAffairs& affairs, const Rollout& rollout, const VehicleState& state) {
  ImageSet wanted;
  bool any_newer = false;
  for (const std::string& name : rollout.images) {
    std::optional<Image> candidate = TRY(image(affairs.services().store, name));
    if (!candidate || !fits(*candidate, affairs.car(), state)) return ImageSet{};
    if (TRY(is_settled(affairs, *candidate, rollout))) return ImageSet{};
    const manifest::ImageEntry& entry = candidate->entry;
    if (state.runs(entry.facts.slot, entry.sha256, affairs.car())) continue;
    any_newer = any_newer || is_newer(*candidate, &state);
    wanted.push_back(std::move(*candidate));
  }
  return any_newer ? wanted : ImageSet{};
}

std::uint64_t newest_counter(const ImageSet& set) {
  std::uint64_t newest = 0;
  for (const Image& image : set) newest = std::max(newest, image.entry.facts.release_counter);
  return newest;
}

// Newest first, so that of two for one slot the newer one takes it.
Result<std::vector<ImageSet>> wanted_sets(CarAffairs& affairs, const VehicleState& state) {
  std::vector<ImageSet> sets;
  for (const Rollout& rollout : TRY(load_rollouts(affairs.change()))) {
    if (rollout.state != Rollout::State::kRunning) continue;
    ImageSet set = TRY(wanted_of(affairs, rollout, state));
    if (!set.empty()) sets.push_back(std::move(set));
  }
  std::ranges::stable_sort(sets, std::ranges::greater{}, newest_counter);
  return sets;
}

// Software under way is how it should be. That there is no room for it is said: nobody else would
// notice that a car gets no updates any more.
bool has_room(CarAffairs& affairs, const std::vector<Order>& orders, const ImageSet& set) {
  for (const Image& image : set) {
    const auto fine = check_not_under_way(orders, image.entry.facts.slot);
    if (fine) continue;
    if (const auto& error = fine.error().error())
      affairs.services().log(LogLevel::kError, "software not offered",
                             {{"vin", affairs.car().vin.text()}, {"error", error->message()}});
    return false;
  }
  return true;
}

// A set is for different slots, and a car does not switch its primary and the others at one
// instant.
Result<void> check_set(const std::vector<Image>& images) {
  std::set<manifest::Slot> slots;
  for (const Image& image : images) {
    const manifest::Slot& slot = image.entry.facts.slot;
    if (!slots.insert(slot).second)
      return fail(ErrorCode::kInvalidArgument, "\"images\": two for the slot {}", slot.text());
  }
  if (images.size() > 1 && slots.contains(manifest::Slot::software()))
    return fail(ErrorCode::kInvalidArgument,
                "\"images\": the primary's software is rolled out by itself");
  return {};
}

// It would reach nobody, and nobody would be told why. To pause it is always possible.
Result<void> check_listed(const std::vector<Image>& images, Rollout::State state) {
  for (const Image& image : images)
    if (state == Rollout::State::kRunning && image.listing != Listing::kListed)
      return fail(ErrorCode::kConflict, "{} is withdrawn", image.entry.name.text());
  return {};
}

Result<std::vector<Image>> load_images(const Store& store, const std::vector<std::string>& names) {
  std::vector<Image> images;
  for (const std::string& name : names) {
    std::optional<Image> found = TRY(image(store, name));
    if (!found) return fail(ErrorCode::kNotFound, "no image {}", name);
    images.push_back(std::move(*found));
  }
  return images;
}

Result<Rollout> read_rollout(const Request& request, UnixSeconds now) {
  const Json body = TRY(json_body(request));
  TRY_VOID(check_fields(body, {"image", "images", "state"}));
  if (manifest::find_field(body, "image") && manifest::find_field(body, "images"))
    return fail(ErrorCode::kBadFormat, "\"image\" or \"images\", not both");
  const std::string& id = request.path_values.at("id");
  auto images = TRY(image_names(body));
  if (images.empty()) return fail(ErrorCode::kBadFormat, "\"images\": at least one");
  for (const std::string& text : images)
    if (TRY(manifest::ImageName::parse(text)).kind() != manifest::ImageKind::kSoftware)
      return fail(ErrorCode::kInvalidArgument, "{}: rollouts are for software", text);
  auto plain_id = TRY(manifest::parse_plain_name(id, "rollout"));
  auto state = TRY(manifest::text_field(body, "state").and_then(parse_state));
  return Rollout{.id = std::move(plain_id),
                 .images = std::move(images),
                 .state = std::move(state),
                 .since = now};
}

}  // namespace

Result<std::vector<Rollout>> load_rollouts(Change& change) {
  std::vector<Rollout> rollouts;
  for (const KeyValue& entry : TRY(change.scan(kPrefix, after_prefix(kPrefix), kRolloutsMax)))
    rollouts.push_back(TRY(decode_rollout(entry)));
  return rollouts;
}

Result<void> offer_software(CarAffairs& affairs, const VehicleState& state) {
  const manifest::Vin vin = affairs.car().vin;
  const std::optional<Consent> consent = TRY(load_software_consent(affairs.change(), vin));
  if (!consent || consent->state != Consent::State::kGiven) return {};
  std::vector<Order> orders = TRY(load_orders(affairs.change(), vin));
  for (const ImageSet& set : TRY(wanted_sets(affairs, state))) {
    if (!has_room(affairs, orders, set)) continue;
    Order order = make_order(affairs, manifest::ImageKind::kSoftware, "system");
    for (const Image& image : set)
      order.images.push_back(
          {.name = image.entry.name, .sha256 = image.entry.sha256, .slot = image.entry.facts.slot});
    orders.push_back(TRY(place_order(affairs, std::move(order))));
  }
  return {};
}

Response put_rollout(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    TRY_VOID(require_role(services, request, Role::kOperator));
    const Rollout rollout = TRY(read_rollout(request, services.clock.now()));
    const std::vector<Image> images = TRY(load_images(services.store, rollout.images));
    TRY_VOID(check_set(images));
    TRY_VOID(check_listed(images, rollout.state));
    Answer<Response> answer =
        commit_with_retry(services.store, [&](Change& change) -> Answer<Response> {
          const std::vector<Rollout> known = TRY(load_rollouts(change));
          const bool is_new = std::none_of(known.begin(), known.end(), [&](const Rollout& other) {
            return other.id == rollout.id;
          });
          if (is_new && known.size() == kRolloutsMax)
            return fail(ErrorCode::kTooLarge, "at most {} rollouts", kRolloutsMax);
          change.put(rollout_key(rollout.id), to_stored(rollout_json(rollout)));
          if (rollout.state == Rollout::State::kRunning) begin_walk(change, rollout.id);
          return json_response(is_new ? 201 : 200, rollout_json(rollout));
        });
    if (answer) services.wake_sweeper();
    return answer;
  }());
}

Response get_rollouts(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    TRY_VOID(require_role(services, request, Role::kOperator));
    Change change(services.store);
    Json list = Json::array();
    for (const Rollout& rollout : TRY(load_rollouts(change))) list.push_back(rollout_json(rollout));
    return json_response(200, {{"rollouts", std::move(list)}});
  }());
}

}  // namespace layby::server
