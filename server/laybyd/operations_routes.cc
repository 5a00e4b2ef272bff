#include "server/laybyd/operations_routes.h"

#include <charconv>
#include <memory>
#include <mutex>

#include "base/time_text.h"
#include "manifest/json_value.h"
#include "server/fleet/auth.h"
#include "server/http/problem.h"
#include "server/release/image_repository.h"

namespace layby::server {

using manifest::Json;

namespace {

constexpr std::string_view kShiftKey = "x/simulation-shift";
constexpr std::uint64_t kAdvanceSecondsMax = 3650 * kDaySeconds;
constexpr std::uint64_t kClockRequestBytesMax = 1024;

Response text(int status, std::string_view type, std::string body) {
  Response response;
  response.status = status;
  response.headers = {{"Content-Type", std::string(type)}, {"Cache-Control", "no-store"}};
  response.body = std::move(body);
  return response;
}

// The store answers, and there is something to serve.
Result<void> check_ready(const Services& services) {
  const auto root =
      TRY(image_document(services.store, manifest::Role::kRoot, manifest::Version{1}));
  if (!root) return fail(ErrorCode::kUnavailable, "there are no repositories");
  return {};
}

Response readiness(const Services& services, const std::atomic<bool>& accepting) {
  if (!accepting) return problem(503, "not-ready", "starting or shutting down");
  if (const Result<void> ready = check_ready(services); !ready) {
    Response response = problem(503, "not-ready", "the store does not answer as it should");
    response.diagnosis = ready.error().message();
    return response;
  }
  return text(200, "text/plain; charset=utf-8", "ready\n");
}

Result<Response> advance_clock(const Services& services, ShiftedClock& clock,
                               const Request& request) {
  TRY(require_role(services, request, Role::kOperator));
  const Json body = TRY(manifest::parse_strict(as_bytes(request.body), {kClockRequestBytesMax}));
  if (!body.is_object() || body.size() != 1)
    return fail(ErrorCode::kBadFormat, "an object with \"advance_seconds\" is needed");
  const auto seconds = static_cast<std::int64_t>(
      TRY(manifest::uint_field(body, "advance_seconds", kAdvanceSecondsMax)));
  Batch batch;
  batch.writes.push_back({std::string(kShiftKey), std::to_string(clock.shift_seconds() + seconds)});
  TRY_VOID(services.store.commit(batch));
  clock.advance(seconds);
  services.log(LogLevel::kWarning, "simulated clock moved",
               {{"seconds", std::to_string(seconds)}, {"now", format_utc(clock.now())}});
  services.wake_sweeper();
  services.wake_payload_worker();
  const Json answer{{"now", format_utc(clock.now())}};
  return text(200, "application/json", TRY(manifest::to_wire(answer)));
}

}  // namespace

void add_operations_routes(Router& router, const Services& services, const Metrics& metrics,
                           const std::atomic<bool>& accepting) {
  router.add({Method::kGet, "/healthz",
              [](const Request&) { return text(200, "text/plain; charset=utf-8", "alive\n"); }});
  router.add({Method::kGet, "/readyz",
              [&services, &accepting](const Request&) { return readiness(services, accepting); }});
  router.add({Method::kGet, "/metrics", [&metrics](const Request&) {
                return text(200, "text/plain; version=0.0.4; charset=utf-8", metrics.text());
              }});
}

void add_simulation_routes(Router& router, const Services& services, ShiftedClock& clock) {
  // Two who move it at once move it twice.
  const auto one_at_a_time = std::make_shared<std::mutex>();
  router.add({.method = Method::kPost,
              .path = "/v1/simulation/clock",
              .handler =
                  [&services, &clock, one_at_a_time](const Request& request) {
                    const std::lock_guard lock(*one_at_a_time);
                    Result<Response> response = advance_clock(services, clock, request);
                    return response ? std::move(*response) : problem(response.error());
                  },
              .body_bytes_max = kClockRequestBytesMax});
}

Result<std::int64_t> stored_clock_shift(const Store& store, Simulation simulation) {
  const std::optional<std::string> value = TRY(store.get(kShiftKey));
  if (!value) return 0;
  std::int64_t shift = 0;
  const auto [end, error] = std::from_chars(value->data(), value->data() + value->size(), shift);
  if (error != std::errc() || end != value->data() + value->size() || shift < 0)
    return fail(ErrorCode::kCorrupt, "{} holds no number of seconds", kShiftKey);
  switch (simulation) {
    case Simulation::kOn: return shift;
    case Simulation::kOff:
      return fail(ErrorCode::kConflict,
                  "this data directory was used with a simulated clock {} seconds ahead: make a "
                  "new one for real cars, or set fleet.simulation = true",
                  shift);
  }
  return shift;
}

}  // namespace layby::server
