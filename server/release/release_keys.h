// Where the release room keeps its things in the Store, and which prefix means what.
//
//   i/state                                 versions of the Image repository that are published
//   i/root/<N>  i/snapshot/<N>  i/targets/<N>   the documents, byte for byte
//   i/delegated/<role>/<N>                  those of delegated roles; role names are plain names
//   i/timestamp                             the timestamp, with its ETag and when to sign it anew
//   i/image/<name>                          an image, for ever: names are never reused
//   i/director-root/<N>                     root of the Directors of all cars
//   i/director-state                        version of the last one; absent: 1
//   i/release/<slot>/<hardware>/<2^64-1-counter>   name of the image; 20 digits, newest first
//   i/wants/<name>\0<VIN>                  Director metadata of this car depends on this image
//   w/<image>/<order>                       an order waits for the whole-image payload
//   p/<image sha256>/<base sha256 | full>   a payload that can be downloaded
//   j/<id>                                  a job, kept when it is over
//   jq/<id>                                 the same job while it is queued or running
//
// Job ids sort in the order in which the jobs came.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "crypto/digest.h"

namespace layby::server {

inline constexpr std::string_view kImageStateKey = "i/state";
inline constexpr std::string_view kDirectorStateKey = "i/director-state";
inline constexpr std::string_view kImageTimestampKey = "i/timestamp";
inline constexpr std::string_view kJobPrefix = "j/";
inline constexpr std::string_view kJobQueuePrefix = "jq/";

std::string image_root_key(std::uint64_t version);
std::string image_snapshot_key(std::uint64_t version);
std::string image_targets_key(std::uint64_t version);
std::string delegated_key(std::string_view role, std::uint64_t version);
std::string image_key(std::string_view name);

std::string director_root_key(std::uint64_t version);

// All releases of a slot for a hardware, newest first; with a counter: one.
std::string release_prefix(std::string_view slot, std::string_view hardware);
std::string release_key(std::string_view slot, std::string_view hardware, std::uint64_t counter);

// Written by the shop, value the VIN. Image names hold slashes, the id is what follows the last
// one.
std::string order_waits_prefix(std::string_view image);

std::string wants_prefix(std::string_view image_name);
std::string wants_key(std::string_view image_name, std::string_view vin);

std::string payload_prefix(const crypto::Digest256& image);
std::string payload_key(const crypto::Digest256& image,
                        const std::optional<crypto::Digest256>& base);

std::string job_key(std::string_view id);
std::string job_queue_key(std::string_view id);
// `snapshot` is the version that the publication made: each makes one.
std::string job_id(std::uint64_t snapshot, std::size_t index);

}  // namespace layby::server
