#include "server/release/payload_job.h"

#include "base/assert.h"
#include "base/time_text.h"
#include "manifest/json_value.h"
#include "server/fleet/json_answer.h"
#include "server/release/release_keys.h"

namespace layby::server {

namespace {

using manifest::Json;

template <typename Enum, std::size_t N>
Result<Enum> parse_enum(const Json& json, std::string_view field, const std::array<Enum, N>& all) {
  const std::string text = TRY(manifest::text_field(json, field));
  for (const Enum value : all)
    if (to_string(value) == text) return value;
  return fail(ErrorCode::kCorrupt, "unknown {} \"{}\"", field, text);
}

Result<std::optional<UnixSeconds>> optional_time(const Json& json, std::string_view field) {
  if (manifest::find_field(json, field) == nullptr) return std::nullopt;
  return TRY(manifest::time_field(json, field));
}

Result<PayloadJob> decode_fields(std::string_view id, const Json& json) {
  PayloadJob job;
  job.id = id;
  job.kind = TRY(
      parse_enum(json, "kind", std::array{JobKind::kDelta, JobKind::kFull, JobKind::kAnnounce}));
  job.state = TRY(parse_enum(
      json, "state",
      std::array{JobState::kQueued, JobState::kRunning, JobState::kDone, JobState::kFailed}));
  job.image = TRY(manifest::text_field(json, "image"));
  job.image_sha256 = TRY(manifest::digest_field(json, "image_sha256"));
  job.image_bytes = TRY(manifest::uint_field(json, "image_bytes"));
  if (manifest::find_field(json, "base") != nullptr) {
    std::string base = TRY(manifest::text_field(json, "base"));
    const auto base_sha256 = TRY(manifest::digest_field(json, "base_sha256"));
    job.base = JobBase{std::move(base), base_sha256};
    job.profile = TRY(manifest::text_field(json, "profile").and_then(delta::parse_profile));
  }
  job.attempts = TRY(manifest::uint_field(json, "attempts"));
  if (manifest::find_field(json, "error") != nullptr)
    job.error = TRY(manifest::text_field(json, "error"));
  job.queued = TRY(manifest::time_field(json, "queued"));
  job.not_before = TRY(manifest::time_field(json, "not_before"));
  job.started = TRY(optional_time(json, "started"));
  job.finished = TRY(optional_time(json, "finished"));
  job.payload_bytes = TRY(manifest::uint_field(json, "payload_bytes"));
  job.wall_ms = TRY(manifest::uint_field(json, "wall_ms"));
  job.cpu_ms = TRY(manifest::uint_field(json, "cpu_ms"));
  return job;
}

}  // namespace

std::string_view to_string(JobKind kind) {
  switch (kind) {
    case JobKind::kDelta: return "delta";
    case JobKind::kFull: return "full";
    case JobKind::kAnnounce: return "announce";
  }
  return "";
}

std::string_view to_string(JobState state) {
  switch (state) {
    case JobState::kQueued: return "queued";
    case JobState::kRunning: return "running";
    case JobState::kDone: return "done";
    case JobState::kFailed: return "failed";
  }
  return "";
}

std::string encode_job(const PayloadJob& job) {
  Json json = {{"id", job.id},
               {"kind", to_string(job.kind)},
               {"image", job.image},
               {"image_sha256", to_hex(job.image_sha256)},
               {"image_bytes", job.image_bytes},
               {"state", to_string(job.state)},
               {"attempts", job.attempts},
               {"queued", format_utc(job.queued)},
               {"not_before", format_utc(job.not_before)},
               {"payload_bytes", job.payload_bytes},
               {"wall_ms", job.wall_ms},
               {"cpu_ms", job.cpu_ms}};
  if (job.base) {
    json["base"] = job.base->image;
    json["base_sha256"] = to_hex(job.base->sha256);
    json["profile"] = to_string(job.profile);
  }
  if (!job.error.empty()) json["error"] = job.error;
  if (job.started) json["started"] = format_utc(*job.started);
  if (job.finished) json["finished"] = format_utc(*job.finished);
  return to_stored(json);
}

Result<PayloadJob> decode_job(std::string_view id, std::string_view record) {
  const Json json = TRY(parse_stored(job_key(id), record));
  Result<PayloadJob> job = decode_fields(id, json);
  if (!job) return fail(ErrorCode::kCorrupt, "record of job {}: {}", id, job.error().message());
  return job;
}

void save_job(Change& change, const PayloadJob& job) {
  change.put(job_key(job.id), encode_job(job));
  switch (job.state) {
    case JobState::kQueued:
    case JobState::kRunning: change.put(job_queue_key(job.id), ""); break;
    case JobState::kDone:
    case JobState::kFailed: change.erase(job_queue_key(job.id)); break;
  }
}

Result<PayloadJob> load_job(Change& change, std::string_view id) {
  const std::optional<std::string> record = TRY(change.get(job_key(id)));
  if (!record) return fail(ErrorCode::kNotFound, "no job {}", id);
  return decode_job(id, *record);
}

Result<PayloadJob> retry_job(Store& store, std::string_view id, UnixSeconds now) {
  return commit_with_retry(store, [&](Change& change) -> Result<PayloadJob> {
    PayloadJob job = TRY(load_job(change, id));
    if (job.state != JobState::kFailed)
      return fail(ErrorCode::kConflict, "job {} is {}; only what has failed is tried again", id,
                  to_string(job.state));
    job.state = JobState::kQueued;
    job.attempts = 0;
    job.not_before = now;
    job.finished.reset();
    save_job(change, job);
    return job;
  });
}

Result<std::vector<PayloadJob>> list_jobs(const Store& store, std::string_view after,
                                          std::size_t limit) {
  const std::string begin = after.empty() ? job_key("") : job_key(after) + '\0';
  std::vector<PayloadJob> jobs;
  for (const KeyValue& record : TRY(store.scan(begin, after_prefix(kJobPrefix), limit)))
    jobs.push_back(TRY(decode_job(record.key.substr(kJobPrefix.size()), record.value)));
  return jobs;
}

Result<std::vector<PayloadJob>> open_jobs(const Store& store, std::size_t limit) {
  std::vector<PayloadJob> jobs;
  for (const KeyValue& entry :
       TRY(store.scan(kJobQueuePrefix, after_prefix(kJobQueuePrefix), limit))) {
    const std::string id = entry.key.substr(kJobQueuePrefix.size());
    const std::optional<std::string> record = TRY(store.get(job_key(id)));
    if (!record) return fail(ErrorCode::kCorrupt, "queued job {} has no record", id);
    jobs.push_back(TRY(decode_job(id, *record)));
  }
  return jobs;
}

}  // namespace layby::server
