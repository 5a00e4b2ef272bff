// Jobs: what is to be done, in the background, for an image that was published. The queue lies in
// the Store; who works it off is payload_worker.h.
//
// Of one image the deltas are made first and the whole image last. An image is offered to cars from
// the moment on at which its whole-image payload is there, so every car sees all the payloads that
// there will be, and no metadata that was signed has to be signed again for a delta that came late.
// What is to be announced (kAnnounce) goes before everything that has to be made.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "crypto/digest.h"
#include "delta/profile.h"
#include "server/store/change.h"

namespace layby::server {

enum class JobKind {
  kDelta,     // a payload from an earlier release
  kFull,      // the payload without a base; makes the image available
  kAnnounce,  // the image was withdrawn, or listed again: cars that want it get new metadata
};
std::string_view to_string(JobKind kind);  // "delta", "full", "announce"

enum class JobState { kQueued, kRunning, kDone, kFailed };
std::string_view to_string(JobState state);  // "queued", "running", "done", "failed"

constexpr std::uint64_t kJobAttemptsMax = 3;

struct JobBase {
  std::string image;
  crypto::Digest256 sha256{};
};

struct PayloadJob {
  std::string id;  // ids sort in the order in which the jobs came
  JobKind kind = JobKind::kFull;
  std::string image;
  crypto::Digest256 image_sha256{};
  std::uint64_t image_bytes = 0;
  std::optional<JobBase> base;                      // kDelta only
  delta::Profile profile = delta::Profile::kSmall;  // of a delta
  JobState state = JobState::kQueued;
  std::uint64_t attempts = 0;  // counted before each is begun
  std::string error;           // of the last attempt that failed
  UnixSeconds queued = 0;
  UnixSeconds not_before = 0;  // waits that long after a failure
  std::optional<UnixSeconds> started;
  std::optional<UnixSeconds> finished;
  std::uint64_t payload_bytes = 0;  // of what it made
  std::uint64_t wall_ms = 0;        // of the last attempt
  std::uint64_t cpu_ms = 0;         // of the whole process meanwhile
};

// As in GET /v1/payload-jobs, and in the Store.
std::string encode_job(const PayloadJob& job);
Result<PayloadJob> decode_job(std::string_view id, std::string_view record);

// Writes the record, and the queue entry or its absence as the state demands.
void save_job(Change& change, const PayloadJob& job);

// kNotFound.
Result<PayloadJob> load_job(Change& change, std::string_view id);

// Queues a job anew that has failed for good, with all its attempts. kConflict in another state.
Result<PayloadJob> retry_job(Store& store, std::string_view id, UnixSeconds now);

// Jobs after `after` in the order of their ids.
Result<std::vector<PayloadJob>> list_jobs(const Store& store, std::string_view after,
                                          std::size_t limit);

// Queued and running jobs, in order.
Result<std::vector<PayloadJob>> open_jobs(const Store& store, std::size_t limit);

}  // namespace layby::server
