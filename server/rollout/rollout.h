// Rollouts of software: which cars are offered an image. A car belongs to a rollout by rule, and
// that is decided when the car comes, so that a late car misses nothing.
#pragma once

#include <string>
#include <vector>

#include "server/fleet/car_affairs.h"
#include "server/fleet/refusal.h"
#include "server/fleet/vehicle_state.h"
#include "server/http/message.h"

namespace layby::server {

struct Rollout {
  enum class State { kRunning, kPaused };
  std::string id;
  std::vector<std::string> images;  // of one car: together or not at all
  State state = State::kPaused;
  UnixSeconds since = 0;
};

constexpr std::size_t kRolloutsMax = 1000;
constexpr std::size_t kRolloutImagesMax = 16;  // more ECUs than are updated at once

// In the order of their ids.
Result<std::vector<Rollout>> load_rollouts(Change& change);

// Places a software order for each running rollout that fits: every image of it is listed and made
// for a control unit of the car, none is older than what the car reports to have in its slot and
// one is newer, each ECU that it is for has spoken, the consent is given (P2.1), no order for any
// of the slots is under way, and no image of it has been declined by the car's owner or has failed
// in this car, with all that it failed with, in the ECUs that the car has now. What the car runs
// already is left out of the order. Of several for one slot the one with the newest image. Pausing
// takes effect at once: the rollouts are read in the same change.
Result<void> offer_software(CarAffairs& affairs, const VehicleState& state);

// PUT /v1/rollouts/{id}, GET /v1/rollouts
Response put_rollout(const Services& services, const Request& request);
Response get_rollouts(const Services& services, const Request& request);

}  // namespace layby::server
