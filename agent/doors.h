// Which signals are those of the car's doors.
#pragma once

#include <string_view>

namespace layby::agent {

// Vehicle.Cabin.Door.ROW.SIDE.IsOpen and .IsLocked; a door has windows and shades too, which are no
// doors.
bool is_of_door(std::string_view name);

}  // namespace layby::agent
