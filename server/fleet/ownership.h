// Whose a car is: what happens when its owner leaves and when one comes (P1.10).
#pragma once

#include "server/fleet/car_affairs.h"
#include "server/fleet/refusal.h"

namespace layby::server {

// The owner and all secondary users lose access with this commit; invitations and the consent end,
// orders are treated as services.owner_leaves says. The car goes on speaking by its certificate and
// belongs to nobody until somebody pairs it. Saves the car; nothing where it has no owner.
Result<void> end_ownership(CarAffairs& affairs);

// The car must be paired and have no owner. What was recorded in the time of another one is not for
// this one. Saves the car.
void begin_ownership(CarAffairs& affairs, const std::string& account);

// Takes a secondary user's access away, with the record of it. kNotFound.
Result<void> remove_user(CarAffairs& affairs, const std::string& account);

// POST /v1/cars/{vin}/hand-over
Response post_hand_over(const Services& services, const Request& request);

}  // namespace layby::server
