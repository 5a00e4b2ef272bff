// The Vehicle behind a VISS version 2 server (viss_message.h), the standard way to a car's VSS
// signals. Connects by itself, and again after the server was away, after pauses that grow and
// differ from car to car; meanwhile no fact is known and every command is kUnavailable.
//
// Signals: each path is read once, those that exist are subscribed to, all together at intervals
// and each on change. How old a value is counts by the server's own clock, so that it need not be
// set like ours. A path that does not exist is asked for again every few seconds.
//
// Commands: one JSON text is set at `request_path`; the car's answer is the value that
// `answer_path` takes (docs/embedding.md, "Commands through VISS").
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>

#include "agent/vehicle.h"
#include "agent/viss_message.h"
#include "agent/viss_signals.h"
#include "agent/websocket_client.h"
#include "base/clock.h"
#include "manifest/json.h"

namespace layby::agent {

struct VissOptions {
  WebSocketOptions socket;
  std::string authorization{};  // an access token, sent with each request; empty: none
  std::uint32_t period_ms = 1'000;
  std::vector<VissSignal> signals = default_viss_signals();
  std::string request_path = "Vehicle.Layby.Command.Request";
  std::string answer_path = "Vehicle.Layby.Command.Answer";
  std::string screen_path = "Vehicle.Layby.HeadUnit.Screen";
};

// What an agent connects to: ws:// only where the bytes stay on this machine, as VISS demands TLS.
Result<void> check_viss_options(const VissOptions& options);

class VissVehicle final : public Vehicle {
 public:
  // `clock` must outlive it.
  VissVehicle(VissOptions options, const Clock& clock);

  const Facts& facts() override;
  int descriptor() const override { return socket_ ? socket_->descriptor() : -1; }
  void want_signals(const std::set<std::string>& names) override;
  Result<void> activate_function(const std::string& id, const std::string& package_path,
                                 const std::string& until) override;
  Result<void> deactivate_function(const std::string& id) override;
  Result<void> boot_software(BootStep step, const std::string& slot_path) override;
  Result<void> check_software(const std::string& slot_path) override;
  Result<void> restart() override;
  Result<void> reload_maps(const std::string& set_path) override;
  Result<void> show(const Screen& screen) override;

 private:
  // A path of the car's that stands for a signal of ours.
  struct Source {
    VissSignal signal;
    std::size_t rank = 0;  // among the paths of its signal
    enum class State : std::uint8_t { kUnasked, kAsked, kThere, kAbsent } state = State::kUnasked;
    bool subscribed = false;
    std::string change_id{};  // of the subscription to its changes
  };
  // What was asked and is not answered.
  struct Asked {
    enum class What : std::uint8_t { kValue, kInterval, kChange, kOther } what;
    std::vector<std::string> paths{};
  };

  Result<void> ensure_connected();
  void disconnect();
  Result<void> begin_session();
  Result<void> drain();
  bool is_silent() const;

  Result<std::string> send(VissRequest request, Asked asked);
  Result<void> probe();
  Result<void> subscribe_to_newcomers();
  Result<void> subscribe_at_interval(const std::vector<std::string>& paths);
  bool is_best(const Source& source) const;

  Result<void> take(VissAnswer answer);
  Result<void> take_value(const VissAnswer& answer, const Asked& asked);
  Result<void> take_subscribed(const VissAnswer& answer, const Asked& asked);
  void take_event(const VissAnswer& answer);
  void take_points(const VissAnswer& answer);
  void note_time(const VissAnswer& answer);
  void lose(const std::string& path);

  Result<VissAnswer> set(const std::string& path, const std::string& value);
  Result<void> command(manifest::Json request, ErrorCode on_refusal);

  const VissOptions options_;
  const Clock& clock_;
  std::unique_ptr<WebSocketClient> socket_;
  std::int64_t next_connect_ms_ = 0;
  std::uint32_t failures_ = 0;  // in a row
  std::uint64_t last_id_ = 0;
  Facts facts_;

  // Of this connection.
  std::map<std::string, Source> sources_;  // by the car's path
  std::map<std::string, Asked> asked_;     // by request id
  std::size_t values_asked_ = 0;
  std::int64_t next_probe_ms_ = 0;
  std::map<std::string, std::vector<std::string>> intervals_;  // paths by subscription id
  std::int64_t connected_ms_ = 0;
  std::int64_t heard_ms_ = 0;                    // the last message, by the monotonic clock
  std::optional<std::int64_t> server_ahead_ms_;  // its clock less our monotonic one
  std::int64_t last_age_ms_ = 0;                 // of the last message
  std::map<std::string, VissAnswer> kept_;       // answers that somebody waits for
  std::set<std::string> wanted_answers_;
  std::string command_answer_;  // the last value at answer_path
  bool has_screen_ = true;
};

}  // namespace layby::agent
