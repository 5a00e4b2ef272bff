// `layby offline-package`: what a partner carries into the workshop (P3.1, P5.3).
#pragma once

#include <string>
#include <vector>

#include "server/cli/session.h"

namespace layby::cli {

struct OfflinePackageOptions {
  std::string vin;
  std::string out;
  std::vector<std::string> regions;  // to be ordered first; none: what is ordered already
  std::string payloads = "all";      // or "deltas"
  std::uint64_t seconds_max = 600;   // to wait until the payloads of the order are made
  std::string idempotency_key;       // of the order; empty: a fresh one
};

// Orders the regions for delivery offline, if there are any, fetches the package and checks it: at
// `out` lies a whole one or what lay there before.
Result<void> make_offline_package(Session& session, const OfflinePackageOptions& options);

}  // namespace layby::cli
