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
  std::string image;
  State state = State::kPaused;
  UnixSeconds since = 0;
};

constexpr std::size_t kRolloutsMax = 1000;

// In the order of their ids.
Result<std::vector<Rollout>> load_rollouts(Change& change);

// Places a software order if a running rollout has an image that fits: made for a control unit of
// the car, newer than what the car reports to have, the consent is given (P2.1), no software order
// is under way, and the same image has not failed in this car or been declined by its owner. The
// newest of several. Pausing takes effect at once: the rollouts are read in the same change.
Result<void> offer_software(CarAffairs& affairs, const VehicleState& state);

// PUT /v1/rollouts/{id}, GET /v1/rollouts
Response put_rollout(const Services& services, const Request& request);
Response get_rollouts(const Services& services, const Request& request);

}  // namespace layby::server
