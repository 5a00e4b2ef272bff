#include <chrono>
#include <map>
#include <thread>

#include "base/clock.h"
#include "manifest/json_value.h"
#include "server/cli/commands.h"
#include "server/cli/job_list.h"
#include "server/cli/output.h"

namespace layby::cli {
namespace {

constexpr auto kPause = std::chrono::milliseconds(500);

std::string rollout_path(const std::string& id) {
  return "/v1/rollouts/" + encode_segment(id);
}

Result<void> put_rollout(Session& session, const Rollout& rollout, std::string_view state) {
  const Json body{{"images", rollout.images}, {"state", state}};
  print_thing(session, TRY(session.call("PUT", rollout_path(rollout.id), body)));
  return {};
}

std::string describe(const std::map<std::string, int>& counts, std::int64_t seconds) {
  std::string text = "payload jobs:";
  for (const auto& [state, count] : counts) text += fmt::format(" {} {},", count, state);
  return text + fmt::format(" {} s", seconds);
}

// Asks until no job is queued or running.
Result<void> wait_for_jobs(Session& session, const GetJson& get, JobList& jobs,
                           std::uint64_t seconds_max) {
  const SystemClock clock;
  const std::int64_t begin_ms = clock.monotonic_ms();
  ProgressLine line;
  for (;;) {
    TRY_VOID(jobs.refresh(get));
    auto counts = jobs.count_states();
    const std::int64_t seconds = (clock.monotonic_ms() - begin_ms) / 1000;
    line.show(describe(counts, seconds));
    if (counts["queued"] + counts["running"] == 0) return {};
    if (static_cast<std::uint64_t>(seconds) >= seconds_max)
      return fail(session.in_vain(describe(counts, seconds) + ": not done in time"));
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace

Result<void> list_transfers(Session& session, const std::string& vin) {
  const std::string path = "/v1/cars/" + encode_segment(vin) + "/transfers";
  print_list(session, TRY(session.get(path)),
             {{"PAYLOAD", "payload"}, {"REQUESTS", "requests"}, {"SENT", "bytes_sent"}});
  return {};
}

Result<void> list_jobs(Session& session, const JobsOptions& options) {
  for (const std::string& id : options.retry)
    TRY_VOID(session.call("POST", "/v1/payload-jobs/" + encode_segment(id) + "/retry", Json()));
  const bool wait = options.wait == JobsOptions::Wait::kYes;
  const GetJson get = [&](const std::string& path) { return session.get(path); };
  JobList jobs;
  if (wait)
    TRY_VOID(wait_for_jobs(session, get, jobs, options.seconds_max));
  else
    TRY_VOID(jobs.refresh(get));
  print_list(session, jobs.json(),
             {{"ID", "id"},
              {"KIND", "kind"},
              {"IMAGE", "image"},
              {"BASE", "base"},
              {"STATE", "state"},
              {"BYTES", "bytes"},
              {"SECONDS", "seconds"},
              {"ERROR", "error"}});
  if (wait && jobs.count_states()["failed"] > 0)
    return fail(session.in_vain("a payload job failed"));
  return {};
}

Result<void> start_rollout(Session& session, const Rollout& rollout) {
  return put_rollout(session, rollout, "running");
}

Result<void> pause_rollout(Session& session, const Rollout& rollout) {
  if (!rollout.images.empty()) return put_rollout(session, rollout, "paused");
  const Json list = TRY(session.get("/v1/rollouts"));
  for (const Json& known : rows_of(list))
    if (manifest::text_field(known, "id").value_or("") == rollout.id) {
      Rollout paused{.id = rollout.id, .images = {}};
      for (const Json& image : *TRY(manifest::array_field(known, "images")))
        paused.images.push_back(image.get<std::string>());
      return put_rollout(session, paused, "paused");
    }
  return fail(ErrorCode::kNotFound, "no rollout {}", rollout.id);
}

Result<void> list_rollouts(Session& session) {
  print_list(session, TRY(session.get("/v1/rollouts")),
             {{"ID", "id"}, {"STATE", "state"}, {"IMAGES", "images"}, {"SINCE", "since"}});
  return {};
}

namespace {
std::string replacement_path(const NewEcu& wanted) {
  return "/v1/cars/" + encode_segment(wanted.vin) + "/ecus/" + encode_segment(wanted.ecu) +
         "/replacement";
}
}  // namespace

Result<void> replace_ecu(Session& session, const NewEcu& wanted) {
  Json body{{"serial", wanted.serial}};
  if (!wanted.hardware_id.empty()) body["hardware_id"] = wanted.hardware_id;
  print_thing(session, TRY(session.call("POST", replacement_path(wanted), body)));
  return {};
}

Result<void> keep_ecu(Session& session, const NewEcu& wanted) {
  TRY_VOID(session.call("DELETE", replacement_path(wanted), Json()));
  return {};
}

Result<void> list_silent_cars(Session& session, const Page& page) {
  print_list(session, TRY(session.get(with_page("/v1/silent-cars", page))),
             {{"VIN", "vin"}, {"LAST HEARD", "last_heard"}, {"SILENT SINCE", "silent_since"}});
  return {};
}

Result<void> advance_clock(Session& session, std::uint64_t seconds) {
  const Json body{{"advance_seconds", seconds}};
  print_thing(session, TRY(session.call("POST", "/v1/simulation/clock", body)));
  return {};
}

Result<void> wait_ready(Session& session, std::uint64_t seconds_max) {
  const SystemClock clock;
  const std::int64_t begin_ms = clock.monotonic_ms();
  for (;;) {
    const auto answer =
        session.exchange({.method = "GET", .path = "/readyz", .headers = {}, .body = {}});
    if (answer && answer->status == 200) return {};
    const std::string last =
        answer ? fmt::format("status {}", answer->status) : answer.error().message();
    if (clock.monotonic_ms() - begin_ms >= static_cast<std::int64_t>(seconds_max) * 1000)
      return fail(session.in_vain(fmt::format("not ready after {} s: {}", seconds_max, last)));
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

}  // namespace layby::cli
