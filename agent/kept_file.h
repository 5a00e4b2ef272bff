// Small files without which the car is no car: who it is, its keys, its roots of trust. Each is
// kept twice, so that one damaged or unreadable file does not end it.
//
// Beside `path` lies its copy, `path` and ".copy": BLAKE2b-256 of the bytes, then the bytes. The
// copy is written first and is never older; it counts as long as it is whole.
#pragma once

#include <string>

#include "base/disk.h"

namespace layby::agent {

// Errors as read_file, about `path`, if neither of the two can serve.
Result<Bytes> read_kept(Disk& disk, const std::string& path, std::uint64_t bytes_max);

// After a power cut or an error `path` is read as the old bytes or the new.
Result<void> write_kept(Disk& disk, const std::string& path, ByteSpan bytes);

// Both, the copy first: after a power cut or an error `path` is read as the old bytes, or not at
// all. Nothing if there is none.
Result<void> remove_kept(Disk& disk, const std::string& path);

}  // namespace layby::agent
