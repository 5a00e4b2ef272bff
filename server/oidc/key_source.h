// Where the provider's keys come from.
#pragma once

#include <functional>
#include <string>

#include "base/disk.h"
#include "base/result.h"

namespace layby::server {

// The text of the key set as it is now.
using FetchKeys = std::function<Result<std::string>()>;

// `disk` must outlive it.
FetchKeys keys_from_file(Disk& disk, std::string path);

// `url` begins with https://, or with http:// and a loopback address; anything else is
// kInvalidArgument when it is fetched. `ca_file`: PEM; empty: the machine's authorities. No
// redirects, 5 seconds at most.
FetchKeys keys_from_url(std::string url, std::string ca_file);

}  // namespace layby::server
