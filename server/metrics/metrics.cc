#include "server/metrics/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

namespace layby::server {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;
using prometheus::Counter;
using prometheus::Family;
using prometheus::Histogram;
using prometheus::Registry;

// Seconds: from a poll's point read to a large upload's last piece.
const Histogram::BucketBoundaries kRequestSeconds{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                  0.1,    0.25,  0.5,    1,     2.5,  10,    60};
const Histogram::BucketBoundaries kCommitSeconds{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
                                                 0.01,   0.025,   0.05,   0.1,   0.5,    2};

double seconds(std::chrono::microseconds duration) {
  return std::chrono::duration<double>(duration).count();
}

Family<Counter>& counters(Registry& registry, const char* name, const char* help) {
  return BuildCounter().Name(name).Help(help).Register(registry);
}

}  // namespace

struct Metrics::State {
  Registry registry;
  Family<Counter>& requests = counters(registry, "layby_http_requests_total",
                                       "Requests answered, by method, route and status.");
  Family<Histogram>& request_seconds =
      BuildHistogram()
          .Name("layby_http_request_seconds")
          .Help("From the complete header of a request to the last byte of its response.")
          .Register(registry);
  Family<Counter>& sent_bytes =
      counters(registry, "layby_http_body_bytes_sent_total", "Response bodies, by route.");
  Family<Counter>& connection_events =
      counters(registry, "layby_connections_total", "Connections, by what became of them.");
  prometheus::Gauge& open = BuildGauge()
                                .Name("layby_connections_open")
                                .Help("Connections that are open now.")
                                .Register(registry)
                                .Add({});
  Family<Counter>& commits =
      counters(registry, "layby_store_commits_total", "Commits of the store, by result.");
  Histogram& commit_seconds = BuildHistogram()
                                  .Name("layby_store_commit_seconds")
                                  .Help("Durable commits, from the call to the answer.")
                                  .Register(registry)
                                  .Add({}, kCommitSeconds);
  Family<Counter>& jobs =
      counters(registry, "layby_payload_jobs_total", "Attempts at payload jobs, by result.");
  Counter& job_seconds =
      counters(registry, "layby_payload_job_seconds_total", "Time spent on payload jobs.").Add({});
  Counter& job_bytes =
      counters(registry, "layby_payload_job_bytes_total", "Bytes of payloads made.").Add({});
  Family<Counter>& sweeps =
      counters(registry, "layby_sweeps_total", "Looks for deadlines that are over, by result.");
  Family<Counter>& webhooks =
      counters(registry, "layby_webhook_deliveries_total", "Attempts at webhooks, by result.");
  prometheus::Gauge& silent_cars = BuildGauge()
                                       .Name("layby_silent_cars")
                                       .Help("Cars that have not called for fleet.silent_hours.")
                                       .Register(registry)
                                       .Add({});
  Counter& sweep_seconds =
      counters(registry, "layby_sweep_seconds_total", "Time spent on sweeps.").Add({});
};

Metrics::Metrics() : state_(std::make_unique<State>()) {}
Metrics::~Metrics() = default;

void Metrics::request(const Request& request) {
  const std::string route(request.route.empty() ? "none" : request.route);
  state_->requests
      .Add({{"method", std::string(request.method)},
            {"route", route},
            {"status", std::to_string(request.status)}})
      .Increment();
  state_->request_seconds.Add({{"route", route}}, kRequestSeconds)
      .Observe(seconds(request.duration));
  state_->sent_bytes.Add({{"route", route}})
      .Increment(static_cast<double>(request.body_bytes_sent));
}

void Metrics::connection(ConnectionChange change) {
  switch (change) {
    case ConnectionChange::kOpened:
      state_->open.Increment();
      state_->connection_events.Add({{"event", "accepted"}}).Increment();
      break;
    case ConnectionChange::kClosed: state_->open.Decrement(); break;
    case ConnectionChange::kRefused:
      state_->connection_events.Add({{"event", "refused"}}).Increment();
      break;
    case ConnectionChange::kHandshakeFailed:
      state_->connection_events.Add({{"event", "handshake_failed"}}).Increment();
      break;
  }
}

void Metrics::commit(CommitResult result, std::chrono::microseconds duration) {
  switch (result) {
    case CommitResult::kCommitted:
      state_->commits.Add({{"result", "committed"}}).Increment();
      state_->commit_seconds.Observe(seconds(duration));
      break;
    case CommitResult::kConflict: state_->commits.Add({{"result", "conflict"}}).Increment(); break;
    case CommitResult::kFailed: state_->commits.Add({{"result", "failed"}}).Increment(); break;
  }
}

void Metrics::payload_job(RunResult result, std::uint64_t payload_bytes,
                          std::chrono::microseconds duration) {
  const char* name = result == RunResult::kDone ? "done" : "failed";
  state_->jobs.Add({{"result", name}}).Increment();
  state_->job_bytes.Increment(static_cast<double>(payload_bytes));
  state_->job_seconds.Increment(seconds(duration));
}

void Metrics::sweep(RunResult result, std::chrono::microseconds duration) {
  const char* name = result == RunResult::kDone ? "done" : "failed";
  state_->sweeps.Add({{"result", name}}).Increment();
  state_->sweep_seconds.Increment(seconds(duration));
}

void Metrics::webhook(WebhookResult result) {
  switch (result) {
    case WebhookResult::kDelivered:
      state_->webhooks.Add({{"result", "delivered"}}).Increment();
      break;
    case WebhookResult::kFailed: state_->webhooks.Add({{"result", "failed"}}).Increment(); break;
    case WebhookResult::kDead: state_->webhooks.Add({{"result", "dead"}}).Increment(); break;
  }
}

void Metrics::silent_cars(std::size_t count) {
  state_->silent_cars.Set(static_cast<double>(count));
}

std::string Metrics::text() const {
  return prometheus::TextSerializer().Serialize(state_->registry.Collect());
}

}  // namespace layby::server
