// The two slots of the head unit's software: files in the state directory, or links to block
// devices (`provision --software-slot-a`), which have a size of their own.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/disk.h"

namespace layby::agent {

// Two names of one file or device, as far as links at their end tell. Both begin with /.
bool is_same_file(Disk& disk, const std::string& a, const std::string& b);

// What a slot on a block device can hold; nothing for a file.
std::optional<std::uint64_t> device_bytes(Disk& disk, const std::string& path);

// The image in a slot: all of a file, the first `length` bytes of a device. kWrongImage for a
// device that is smaller.
Result<std::unique_ptr<ReadAt>> open_software(Disk& disk, const std::string& path,
                                              std::uint64_t length);

}  // namespace layby::agent
