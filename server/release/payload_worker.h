// Works off the payload jobs. One worker at a time per store: `laybyd serve` gives it a thread.
#pragma once

#include <optional>
#include <stop_token>

#include "base/result.h"
#include "delta/encoder.h"
#include "server/release/payload_job.h"
#include "server/services.h"

namespace layby::server {

// Call once before the first run_one_job: what was running when the process ended is queued again,
// or has failed if that was its last attempt.
Result<void> requeue_interrupted_jobs(const Services& services);

// What making a payload may take.
struct PayloadLimits {
  std::uint64_t memory_bytes_max = delta::kEncoderMemoryBytes;
  std::uint64_t free_bytes_min = 0;  // its temporary files leave so much where payloads are stored
};

struct JobRun {
  std::optional<PayloadJob> job;     // as it is now; nothing if none was due
  std::optional<UnixSeconds> again;  // without a job: when the next one is due; nothing if none is
};

// Takes the first job that is due, those of superseded images last, and does it: encodes, moves the
// payload into the payload store, writes its facts, and for a whole image calls
// `services.image_available` once the metadata of the cars that want it is outdated. Every step can
// be repeated: killed anywhere and run again, a job ends with the same one payload. A failure of
// the job is in its record, not in the result. Temporary files are where the payload store has its
// own. When `stop` is requested the job goes back into the queue, the attempt not counted. An error
// of the result is the store's.
Result<JobRun> run_one_job(const Services& services, std::stop_token stop,
                           const PayloadLimits& limits = {});

// Outdates the cached metadata of all cars whose desired orders name the image: the next poll signs
// it anew. Can be repeated.
Result<void> outdate_metadata(Store& store, std::string_view image);

}  // namespace layby::server
