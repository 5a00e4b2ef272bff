// Where a car's Director metadata lies in the Store, with everything else of the car.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace layby::server {

// Whoever changes what the car is to do, or its keys or ECUs, deletes this in the same commit: the
// next poll then signs anew.
inline std::string director_timestamp_key(std::string_view vin) {
  return fmt::format("v/{}/director/timestamp", vin);
}
// Written by the shop: what the car is to do.
inline std::string desired_key(std::string_view vin) {
  return fmt::format("v/{}/desired", vin);
}
inline std::string director_state_key(std::string_view vin) {
  return fmt::format("v/{}/director/state", vin);
}
inline std::string director_snapshot_key(std::string_view vin, std::uint64_t version) {
  return fmt::format("v/{}/director/snapshot/{}", vin, version);
}
inline std::string director_targets_key(std::string_view vin, std::uint64_t version) {
  return fmt::format("v/{}/director/targets/{}", vin, version);
}

}  // namespace layby::server
