// The roots of both repositories and the first, empty targets: what offline keys sign once, before
// the server first starts.
#pragma once

#include <memory>
#include <vector>

#include "base/clock.h"
#include "crypto/keys.h"
#include "server/director/online_keys.h"
#include "server/release/image_repository.h"

namespace layby::server {

constexpr UnixSeconds kRootLifeSeconds = 2 * 365 * kDaySeconds;
constexpr UnixSeconds kImageTargetsLifeSeconds = 365 * kDaySeconds;

struct OfflineKeys {
  std::vector<std::unique_ptr<crypto::MemorySigner>> image_root;     // as many as the threshold
  std::vector<std::unique_ptr<crypto::MemorySigner>> director_root;  // or more
  std::unique_ptr<crypto::MemorySigner> image_targets;
};

// `root_keys` new keys for each of the two roots, at least one, and the targets key.
OfflineKeys generate_offline_keys(std::size_t root_keys);

// Version 1 of each, with consistent snapshots. `root_threshold` signatures are demanded of each
// following root; all root keys sign the first. kInvalidArgument unless 1 <= threshold <= keys.
Result<FirstDocuments> make_first_documents(const OfflineKeys& offline, const OnlineKeys& online,
                                            std::uint64_t root_threshold, UnixSeconds now);

}  // namespace layby::server
