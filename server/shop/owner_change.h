// What becomes of a car's orders when its owner leaves (P1.10, P2.7).
#pragma once

#include <string_view>

#include "server/fleet/car_affairs.h"

namespace layby::server {

// `account` owns the car no more: handed over, paired to somebody else, or deleted. In the commit
// of `affairs`: what is not downloaded is cancelled, a function that was downloaded and not
// activated is taken back, both with their money; what is active or just being activated stays, a
// term runs on until it ends. No renewal is carried out any more, and one whose period has not
// begun is given back. Fine when said twice.
Result<void> owner_leaves(CarAffairs& affairs, std::string_view account);

}  // namespace layby::server
