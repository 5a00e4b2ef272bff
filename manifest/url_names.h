// Names of others as parts of URLs and as file names (RFC 3986).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace layby::manifest {

// All of `name` as one segment of a path: everything but letters, digits and `-._~` is
// percent-encoded, so also `/`. The names `.` and `..` come out as they are: put something around.
std::string percent_encoded(std::string_view name);

// What percent_encoded makes this of; nothing where it makes it of no name.
std::optional<std::string> percent_decoded(std::string_view encoded);

// The longest name of a file that file systems take (NAME_MAX of Linux).
inline constexpr std::size_t kFileNameBytesMax = 255;

// The file in which the metadata of a delegated role is kept: `ROLE.json`. kInvalidArgument where
// that is too long a name, or the one of the temporary file beside it (replace_file) is.
Result<std::string> delegated_file_name(std::string_view role);

// The same as a file name that stands for itself: `.` and `..` are encoded too.
std::string percent_encoded_file_name(std::string_view name);

// A target's path behind a base URL. `/` keeps its meaning, and so does what is percent-encoded
// already; what no URL may hold, or what would end the path (`?`, `#`), is encoded.
std::string url_path(std::string_view target_path);

}  // namespace layby::manifest
