// The numbers at GET /metrics, in Prometheus' text format. docs/operations.md lists them.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

namespace layby::server {

enum class CommitResult { kCommitted, kConflict, kFailed };
enum class RunResult { kDone, kFailed };
enum class WebhookResult { kDelivered, kFailed, kDead };
enum class ConnectionChange { kOpened, kClosed, kRefused, kHandshakeFailed };

// Any thread; nothing blocks for longer than a map lookup.
class Metrics {
 public:
  Metrics();
  ~Metrics();

  struct Request {
    std::string_view method;
    std::string_view route;  // the template: a bounded set
    int status;
    std::uint64_t body_bytes_sent;
    std::chrono::microseconds duration;
  };
  void request(const Request& request);
  void connection(ConnectionChange change);
  void commit(CommitResult result, std::chrono::microseconds duration);
  void payload_job(RunResult result, std::uint64_t payload_bytes,
                   std::chrono::microseconds duration);
  void sweep(RunResult result, std::chrono::microseconds duration);

  void webhook(WebhookResult result);
  void silent_cars(std::size_t count);

  // All of it, as text/plain; version=0.0.4.
  std::string text() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace layby::server
