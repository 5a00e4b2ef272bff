#include "server/rollout/rollout.h"

#include <algorithm>

#include "base/time_text.h"
#include "manifest/json_value.h"
#include "server/fleet/auth.h"
#include "server/fleet/consent.h"
#include "server/fleet/json_answer.h"
#include "server/release/image.h"
#include "server/rollout/rollout_walk.h"
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

Json rollout_json(const Rollout& rollout) {
  return {{"id", rollout.id},
          {"image", rollout.image},
          {"state", std::string(to_string(rollout.state))},
          {"since", format_utc(rollout.since)}};
}

Result<Rollout> decode_rollout(const KeyValue& entry) {
  const Json json = TRY(parse_stored(entry.key, entry.value));
  auto plain_id = TRY(manifest::text_field(json, "id"));
  auto image = TRY(manifest::text_field(json, "image"));
  auto state = TRY(manifest::text_field(json, "state").and_then(parse_state));
  auto since = TRY(manifest::time_field(json, "since"));
  return Rollout{.id = std::move(plain_id),
                 .image = std::move(image),
                 .state = std::move(state),
                 .since = std::move(since)};
}

bool fits(const Image& image, const Car& car, const VehicleState& state) {
  const auto& ids = image.entry.hardware_ids;
  // A car that does not say which software it has is not sent any.
  return image.listing == Listing::kListed && state.installed.contains(image.entry.facts.slot) &&
         is_newer(image, &state) && std::any_of(ids.begin(), ids.end(), [&](const auto& id) {
           return car.has_hardware_id(id);
         });
}

// Whether the car's past with this image speaks against offering it again.
Result<bool> is_settled(CarAffairs& affairs, const Image& image) {
  const std::string key = settled_software_key(affairs.car().vin, image.entry.sha256);
  return TRY(affairs.change().get(key)).has_value();
}

Result<std::optional<Image>> choose_image(CarAffairs& affairs, const VehicleState& state) {
  std::optional<Image> chosen;
  for (const Rollout& rollout : TRY(load_rollouts(affairs.change()))) {
    if (rollout.state != Rollout::State::kRunning) continue;
    std::optional<Image> candidate = TRY(image(affairs.services().store, rollout.image));
    if (!candidate || !fits(*candidate, affairs.car(), state)) continue;
    if (TRY(is_settled(affairs, *candidate))) continue;
    if (!chosen || chosen->entry.facts.release_counter < candidate->entry.facts.release_counter)
      chosen = std::move(candidate);
  }
  return chosen;
}

Result<Rollout> read_rollout(const Request& request, UnixSeconds now) {
  const Json body = TRY(json_body(request));
  TRY_VOID(check_fields(body, {"image", "state"}));
  const std::string& id = request.path_values.at("id");
  const manifest::ImageName name =
      TRY(manifest::text_field(body, "image").and_then(manifest::ImageName::parse));
  if (name.kind() != manifest::ImageKind::kSoftware)
    return fail(ErrorCode::kInvalidArgument, "\"image\": rollouts are for software");
  auto plain_id = TRY(manifest::parse_plain_name(id, "rollout"));
  auto state = TRY(manifest::text_field(body, "state").and_then(parse_state));
  return Rollout{
      .id = std::move(plain_id), .image = name.text(), .state = std::move(state), .since = now};
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
  const std::vector<Order> orders = TRY(load_orders(affairs.change(), vin));
  const std::optional<Image> chosen = TRY(choose_image(affairs, state));
  if (!chosen) return {};
  if (const auto fine = check_not_under_way(orders, manifest::Slot::software()); !fine) {
    // Software under way is how it should be. That there is no room for it is said: nobody else
    // would notice that a car gets no updates any more.
    if (const auto& error = fine.error().error())
      affairs.services().log(LogLevel::kError, "software not offered",
                             {{"vin", vin.text()}, {"error", error->message()}});
    return {};
  }
  Order order = make_order(affairs, manifest::ImageKind::kSoftware, "system");
  order.images = {{.name = chosen->entry.name, .sha256 = chosen->entry.sha256}};
  TRY_VOID(place_order(affairs, std::move(order)));
  return {};
}

Response put_rollout(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    TRY_VOID(require_role(services, request, Role::kOperator));
    const Rollout rollout = TRY(read_rollout(request, services.clock.now()));
    if (!TRY(image(services.store, rollout.image)))
      return fail(ErrorCode::kNotFound, "no image {}", rollout.image);
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
