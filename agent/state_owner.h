// Whose the state directory is. Its files are for one user alone (0600): where another one has
// made some of them, who runs could not read them, and would take the car for one without keys.
#pragma once

#include <string>

#include "base/result.h"

namespace layby::agent {

// Whether this process may read everything in `directory`; kIo if not, with the first file that it
// may not, whose that is, and what to do. What is not there is no error. `lost+found` and what
// links point to do not count.
Result<void> check_state_access(const std::string& directory);

// For commands that write into `directory` and end: kInvalidArgument where root, who may do
// everything, would leave files behind that the directory's owner cannot read.
Result<void> check_state_owner(const std::string& directory);

}  // namespace layby::agent
