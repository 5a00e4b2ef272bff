// What one car is to be told, before it is signed: the shop's `desired` list, joined with the car's
// ECUs and the images' facts.
#pragma once

#include <string>
#include <vector>

#include "manifest/director.h"
#include "server/fleet/car.h"
#include "server/store/change.h"

namespace layby::server {

// An order that the car is not told of yet, and why. It comes through by itself once the reason is
// gone.
struct HeldOrder {
  std::string order;
  std::string reason;
};

struct DirectorPlan {
  std::vector<manifest::Order> orders;
  std::vector<manifest::AssignedImage> images;
  std::vector<std::string> wants;  // every image that an order names, sorted; held orders included
  std::vector<HeldOrder> held;
};

// Orders that a car can carry out now, in their order. Held back, so that one order does not spoil
// all the others for the car's verification: an order with an image that is unknown, withdrawn or
// has no payload yet; that fits none of the car's ECUs; or whose place an earlier order takes.
// Everything that it reads becomes an expectation of `change`. kCorrupt for a `desired` that cannot
// be read.
Result<DirectorPlan> plan_for(Change& change, const Car& car);

}  // namespace layby::server
