// Names of others as parts of URLs and as file names (RFC 3986).
#pragma once

#include <string>
#include <string_view>

namespace layby::manifest {

// All of `name` as one segment of a path: everything but letters, digits and `-._~` is
// percent-encoded, so also `/`. The names `.` and `..` come out as they are: put something around.
std::string percent_encoded(std::string_view name);

// The same as a file name that stands for itself: `.` and `..` are encoded too.
std::string percent_encoded_file_name(std::string_view name);

// A target's path behind a base URL. `/` keeps its meaning, and so does what is percent-encoded
// already; what no URL may hold, or what would end the path (`?`, `#`), is encoded.
std::string url_path(std::string_view target_path);

}  // namespace layby::manifest
