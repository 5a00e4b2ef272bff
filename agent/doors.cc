#include "agent/doors.h"

#include <algorithm>

#include "agent/facts.h"

namespace layby::agent {

bool is_of_door(std::string_view name) {
  if (!name.starts_with(vss::kDoorPrefix)) return false;
  name.remove_prefix(vss::kDoorPrefix.size());
  return std::count(name.begin(), name.end(), '.') == 2 &&
         (name.ends_with(".IsOpen") || name.ends_with(".IsLocked"));
}

}  // namespace layby::agent
