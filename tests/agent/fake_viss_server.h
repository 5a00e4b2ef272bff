// A VISS server on a Unix socket that misbehaves as a test wants it to: a parked, locked car, one
// client at a time, in a thread of its own that ends with it.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "agent/viss_message.h"
#include "agent/websocket.h"
#include "tests/temp_dir.h"

namespace layby::tests {

class FakeVissServer {
 public:
  // What it does; all of it may be changed while it runs, through `with`.
  struct Manner {
    std::map<std::string, std::string> values;         // by path; others are 404 invalid_path
    std::map<std::string, agent::VissError> errors{};  // to a get, and left out of events
    std::string mute{};                                // a path of which a get is not answered
    std::string greeting{};                   // bytes after the handshake, before anything else
    std::string flood{};                      // bytes without end, after the first look
    std::optional<std::int64_t> frozen_ms{};  // the server's clock
    std::int64_t ahead_ms = 0;                // of ours
    bool has_events = true;
    bool refuses_changes = false;
    bool refuses_intervals = false;
    bool answers_wrongly = false;  // a get with a subscription
    bool takes_screens = true;
    std::string token{};  // what has another one is refused with 401; empty: anybody may
    std::string token_reason = "token_expired";
    bool ends_intervals = false;    // all that there are, with an error event each; once
    std::int64_t value_age_ms = 0;  // of the time that values have, as of a change long ago
    // What it says to a set; nothing: it hangs up.
    std::function<std::optional<agent::VissAnswer>(const agent::VissRequest&)> on_set{};
  };

  explicit FakeVissServer(const TempDir& dir);
  ~FakeVissServer();
  FakeVissServer(const FakeVissServer&) = delete;

  std::string address() const { return "unix:" + path_; }
  int connections() const { return connections_; }
  std::vector<agent::VissRequest> sets() const;  // but for the screen's
  int changes(const std::string& path) const;    // subscriptions to them, of this connection
  template <typename Change>
  void with(Change change) {
    const std::lock_guard lock(mutex_);
    change(manner_);
  }

 private:
  void serve();
  void talk(int peer);
  bool shake_hands(int peer);
  bool answer(int peer, const agent::VissRequest& request);
  bool answer_subscribe(int peer, const agent::VissRequest& request, agent::VissAnswer said);
  bool answer_get(int peer, const agent::VissRequest& request, agent::VissAnswer said);
  bool say_events(int peer);
  bool end_intervals(int peer);
  bool is_token_over();
  agent::VissError token_error();
  bool flood(int peer);
  bool send(int peer, const std::string& bytes);
  bool say(int peer, const agent::VissAnswer& said);
  std::int64_t now_ms();
  std::int64_t value_ms();

  const std::string path_;
  int listener_ = -1;
  std::atomic<bool> stop_ = false;
  std::atomic<int> connections_ = 0;
  mutable std::mutex mutex_;
  Manner manner_;
  std::vector<agent::VissRequest> sets_;
  std::map<std::string, std::string> changes_;  // id and path
  // Of the connection: the server's thread only.
  std::map<std::string, std::vector<std::string>> intervals_;
  std::string token_;  // of the last request
  std::thread thread_;
};

}  // namespace layby::tests
