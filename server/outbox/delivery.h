// Sends outgoing events to webhooks: one thread, all endpoints side by side, each in order.
//
// An event is tried until the endpoint answers 2xx, with longer and longer pauses between the tries
// (doubled each time, half of it by chance), and put to the dead letters after attempts_max. What
// is sent again from there is tried once, in turn with what is new. How far an endpoint is, is
// stored after every few events and when it has them all: after a crash the last few are sent
// again, with the same ids. Timestamps are the machine's, also in simulation mode: receivers check
// their age.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "server/services.h"

namespace layby::server {

struct DeliveryOptions {
  std::string ca_file;  // PEM; empty: the machine's authorities
  std::int64_t timeout_ms = 10'000;
  std::uint64_t attempts_max = 20;
  std::int64_t backoff_ms_min = 1'000;
  std::int64_t backoff_ms_max = 3'600'000;
};

enum class DeliveryResult { kDelivered, kFailed, kDead };

class Delivery {
 public:
  // `services` must outlive it; `observer` is called from its thread.
  static Result<std::unique_ptr<Delivery>> open(const Services& services, DeliveryOptions options,
                                                std::function<void(DeliveryResult)> observer);
  ~Delivery();  // stops

  void start();
  // There is an event, or an endpoint was changed. Any thread; returns at once.
  void wake();
  // Ends what is under way, stores how far it is, and returns when the thread has ended.
  void stop();

 private:
  struct State;
  explicit Delivery(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// What a webhook may point to: https, or http on this machine; no name or password in it.
// kInvalidArgument, saying why.
Result<void> check_webhook_url(const std::string& url);

}  // namespace layby::server
