#include "server/release/payload_worker.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <set>

#include "base/assert.h"
#include "delta/encoder.h"
#include "manifest/director.h"
#include "server/director/director_keys.h"
#include "server/release/image.h"
#include "server/release/release_keys.h"

namespace layby::server {

namespace {

constexpr std::size_t kOpenJobsMax = 10'000;  // looked at for the next one that is due
constexpr UnixSeconds kBackoffSeconds = 60;   // after the first failure; five times that after each

// The encoder uses several threads: what the whole process has used, requests that were answered
// meanwhile included.
std::uint64_t process_cpu_ms() {
  timespec now{};
  const int status = clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  LAYBY_ASSERT(status == 0);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000 +
         static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000;
}

struct NextJob {
  std::optional<PayloadJob> due;
  std::optional<UnixSeconds> again;
};

// Somebody is going to want it soon: it is the newest of its slot for some hardware, or an order
// waits for it.
Result<bool> is_wanted(const Store& store, const std::string& name) {
  const std::string waits = order_waits_prefix(name);
  if (!TRY(store.scan(waits, after_prefix(waits), 1)).empty()) return true;
  const std::optional<Image> made = TRY(image(store, name));
  if (!made) return false;
  for (const manifest::HardwareId& hardware : made->entry.hardware_ids) {
    const auto newest = TRY(newest_image(store, made->entry.facts.slot, hardware));
    if (newest && newest->entry.name == made->entry.name) return true;
  }
  return false;
}

// Announcements before all else: they take no time, and no car is to wait for the encoder to learn
// that an image is withdrawn. Then the first job that is due of an image that is wanted; if there
// is none, the first that is due. The whole image waits for the deltas of the image, also for one
// that is to be tried again later.
Result<NextJob> next_job(const Services& services) {
  const UnixSeconds now = services.clock.now();
  NextJob next;
  std::set<std::string> delayed;
  std::set<std::string> unwanted;
  std::vector<PayloadJob> jobs = TRY(open_jobs(services.store, kOpenJobsMax));
  const auto announce = std::ranges::find_if(jobs, [&](const PayloadJob& job) {
    return job.kind == JobKind::kAnnounce && job.state == JobState::kQueued &&
           job.not_before <= now;
  });
  if (announce != jobs.end()) {
    next.due = std::move(*announce);
    return next;
  }
  for (PayloadJob& job : jobs) {
    if (job.state != JobState::kQueued) continue;
    const bool waits_for_deltas = job.kind == JobKind::kFull && delayed.contains(job.image);
    if (job.not_before > now || waits_for_deltas) {
      delayed.insert(job.image);
      next.again = std::min(next.again.value_or(job.not_before), job.not_before);
      continue;
    }
    if (unwanted.contains(job.image)) continue;
    if (TRY(is_wanted(services.store, job.image))) {
      next.due = std::move(job);
      return next;
    }
    unwanted.insert(job.image);
    if (!next.due) next.due = std::move(job);
  }
  return next;
}

// Counts the attempt before it begins.
Result<PayloadJob> claim(const Services& services, const std::string& id) {
  return commit_with_retry(services.store, [&](Change& change) -> Result<PayloadJob> {
    PayloadJob job = TRY(load_job(change, id));
    if (job.state != JobState::kQueued)
      return fail(ErrorCode::kConflict, "job {} is {}: is there a second worker?", id,
                  to_string(job.state));
    job.state = JobState::kRunning;
    ++job.attempts;
    job.started = services.clock.now();
    save_job(change, job);
    return job;
  });
}

void record_failure(PayloadJob& job, std::string error, UnixSeconds now) {
  job.error = std::move(error);
  if (job.attempts >= kJobAttemptsMax) {
    job.state = JobState::kFailed;
    job.finished = now;
    return;
  }
  job.state = JobState::kQueued;
  UnixSeconds wait = kBackoffSeconds;
  for (std::uint64_t i = 1; i < job.attempts; ++i) wait *= 5;
  job.not_before = now + wait;
}

Result<void> save(const Services& services, const PayloadJob& job) {
  return commit_with_retry(services.store, [&](Change& change) -> Result<void> {
    save_job(change, job);
    return {};
  });
}

std::optional<crypto::Digest256> base_digest(const PayloadJob& job) {
  if (!job.base) return std::nullopt;
  return job.base->sha256;
}

// Encodes into `path` and moves the result into the payload store.
Result<manifest::Payload> make_payload(const Services& services, const PayloadJob& job,
                                       const std::string& path, const PayloadLimits& limits,
                                       std::stop_token stop) {
  const std::unique_ptr<ReadAt> target =
      TRY_CONTEXT(services.payloads.open(job.image_sha256), job.image);
  std::unique_ptr<ReadAt> base;
  if (job.base) base = TRY_CONTEXT(services.payloads.open(job.base->sha256), job.base->image);
  TRY_VOID(services.disk.remove(path));  // what an interrupted attempt has left
  const std::unique_ptr<File> output = TRY(services.disk.open_write(path));
  delta::EncodeOptions options;
  options.profile = job.profile;
  options.memory_bytes_max = limits.memory_bytes_max;
  options.temporary_directory = services.payloads.incoming_dir();
  options.free_bytes_min = limits.free_bytes_min;
  options.stop = std::move(stop);
  const delta::EncodeReport report = TRY(delta::encode(base.get(), *target, options, *output));
  if (report.target_sha256 != job.image_sha256)
    return fail(ErrorCode::kWrongImage, "the bytes of {} in the payload store are damaged",
                job.image);
  if (!report.streams_given_up.empty())
    services.log(LogLevel::kWarning, "payload without streams seen through",
                 {{"job", job.id}, {"image", job.image}, {"why", report.streams_given_up}});
  TRY_VOID(output->sync());
  manifest::ReEncoders needs;
  for (delta::ReEncoder& one : TRY(delta::read_head(*output)).re_encoders())
    needs.emplace(std::move(one.name), std::move(one.version));
  TRY_VOID(services.payloads.adopt(path, report.payload_sha256));
  return manifest::Payload{.base = base_digest(job),
                           .sha256 = report.payload_sha256,
                           .length = report.payload_bytes,
                           .head_sha256 = report.head_sha256,
                           .head_length = report.head_bytes,
                           .needs = std::move(needs)};
}

// The payload's facts, once: what is there already stays.
Result<void> ensure_payload(const Services& services, PayloadJob& job, const PayloadLimits& limits,
                            const std::stop_token& stop) {
  const std::string key = payload_key(job.image_sha256, base_digest(job));
  if (const auto record = TRY(services.store.get(key))) {
    job.payload_bytes = TRY(decode_payload(*record)).length;
    return {};
  }
  const std::string path = fmt::format("{}/job-{}", services.payloads.incoming_dir(), job.id);
  const std::uint64_t cpu_before = process_cpu_ms();
  const auto before = std::chrono::steady_clock::now();  // a measurement, not domain time
  const Result<manifest::Payload> payload = make_payload(services, job, path, limits, stop);
  job.wall_ms = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                               std::chrono::steady_clock::now() - before)
                                               .count());
  job.cpu_ms = process_cpu_ms() - cpu_before;
  if (!payload) {
    TRY_VOID(services.disk.remove(path));
    return fail(payload.error());
  }
  job.payload_bytes = payload->length;
  return commit_with_retry(services.store, [&](Change& change) -> Result<void> {
    if (!TRY(change.get(key))) change.put(key, encode_payload(*payload, job.cpu_ms));
    return {};
  });
}

Result<void> work_on(const Services& services, PayloadJob& job, const PayloadLimits& limits,
                     const std::stop_token& stop) {
  switch (job.kind) {
    case JobKind::kDelta:
      TRY_VOID(ensure_payload(services, job, limits, stop));
      // Made after the whole image, by hand: what was signed meanwhile does not name it.
      if (!TRY(services.store.get(payload_key(job.image_sha256, std::nullopt)))) return {};
      return outdate_metadata(services.store, job.image);
    case JobKind::kFull:
      TRY_VOID(ensure_payload(services, job, limits, stop));
      TRY_VOID(outdate_metadata(services.store, job.image));
      services.image_available(job.image);
      return {};
    case JobKind::kAnnounce:
      TRY_VOID(outdate_metadata(services.store, job.image));
      services.image_available(job.image);
      return {};
  }
  return {};
}

Result<void> finish(const Services& services, PayloadJob& job, const Result<void>& worked,
                    std::stop_token stop) {
  const UnixSeconds now = services.clock.now();
  if (worked) {
    job.state = JobState::kDone;
    job.error.clear();
    job.finished = now;
  } else if (stop.stop_requested() && worked.error().code() == ErrorCode::kCancelled) {
    job.state = JobState::kQueued;
    --job.attempts;
  } else {
    record_failure(
        job, fmt::format("{}: {}", to_string(worked.error().code()), worked.error().message()),
        now);
    services.log(LogLevel::kError, "payload job failed",
                 {{"job", job.id}, {"image", job.image}, {"error", job.error}});
  }
  return save(services, job);
}

}  // namespace

Result<void> requeue_interrupted_jobs(const Services& services) {
  for (PayloadJob& job : TRY(open_jobs(services.store, kOpenJobsMax))) {
    if (job.state != JobState::kRunning) continue;
    const UnixSeconds now = services.clock.now();
    record_failure(job, "the server ended during the attempt", now);
    job.not_before = now;  // it was not the job's fault, as far as we know: no need to wait
    TRY_VOID(save(services, job));
  }
  return {};
}

Result<JobRun> run_one_job(const Services& services, std::stop_token stop,
                           const PayloadLimits& limits) {
  NextJob next = TRY(next_job(services));
  if (!next.due) return JobRun{.job = std::nullopt, .again = next.again};
  PayloadJob job = TRY(claim(services, next.due->id));
  const Result<void> worked = work_on(services, job, limits, stop);
  TRY_VOID(finish(services, job, worked, stop));
  return JobRun{.job = std::move(job), .again = std::nullopt};
}

Result<void> outdate_metadata(Store& store, std::string_view image) {
  constexpr std::size_t kCarsPerCommit = 500;
  const std::string prefix = wants_prefix(image);
  const std::string end = after_prefix(prefix);
  std::string begin = prefix;
  while (true) {
    const std::vector<KeyValue> marks = TRY(store.scan(begin, end, kCarsPerCommit));
    Batch batch;
    for (const KeyValue& mark : marks)
      batch.writes.push_back(
          {director_timestamp_key(std::string_view(mark.key).substr(prefix.size())), std::nullopt});
    if (!batch.writes.empty()) TRY_VOID(store.commit(batch));
    if (marks.size() < kCarsPerCommit) return {};
    begin = marks.back().key + '\0';
  }
}

}  // namespace layby::server
