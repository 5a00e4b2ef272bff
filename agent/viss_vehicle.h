// The Vehicle behind a VISS version 2 server (viss_message.h), the standard way to a car's VSS
// signals. Connects by itself, and again after the server was away, after pauses that grow and
// differ from car to car; meanwhile no fact is known and every command is kUnavailable.
//
// Signals: each path is read once, those that exist are subscribed to, all together at intervals
// and each on change. How old a value is counts by the server's own clock, so that it need not be
// set like ours; what was learnt of that clock outlives a connection, so that a server that stands
// still stays old. A path that does not exist is asked for again every few seconds. Only a path
// that the server says it has not, and never had while this process lives, is a signal that the car
// has not; anything else is one that is lost (Facts::lose).
//
// The access token, where there is one, is asked for at each connection, and again when the server
// does not take it any more: another one means another connection.
//
// Commands: one JSON text is set at `request_path`; the car's answer is the value that
// `answer_path` takes (docs/embedding.md, "Commands through VISS"). A command that was not answered
// keeps its id, over connections too. One that the server forbids is not asked again for ten
// minutes.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/vehicle.h"
#include "agent/vehicle_link.h"
#include "agent/viss_message.h"
#include "agent/viss_signals.h"
#include "agent/websocket_client.h"
#include "base/clock.h"
#include "manifest/json.h"

namespace layby::agent {

struct VissOptions {
  WebSocketOptions socket;
  // Gives the access token that is sent with each request, as it is now. None: there is none.
  std::function<Result<std::string>()> token{};
  std::uint32_t period_ms = 1'000;
  std::uint32_t command_seconds_max = 120;  // a boot may take a while
  std::vector<VissSignal> signals = default_viss_signals();
  std::string request_path = "Vehicle.Layby.Command.Request";
  std::string answer_path = "Vehicle.Layby.Command.Answer";
  std::string screen_path = "Vehicle.Layby.HeadUnit.Screen";
  // Asked while a command waits for the car: true makes it kUnavailable at once. May be empty.
  std::function<bool()> interrupted{};
  // Is told when the car is reached, is not any more, or is not for another reason. May be empty.
  std::function<void(const VehicleLink&)> link_changed{};
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
  const VehicleLink& link() const { return link_; }
  Result<void> activate_function(const std::string& id, const std::string& package_path,
                                 const std::string& until) override;
  Result<void> deactivate_function(const std::string& id) override;
  Result<void> boot_software(BootStep step, const std::string& slot_path) override;
  Result<void> check_software(const std::string& slot_path) override;
  Result<void> restart() override;
  Result<void> reload_maps(const std::string& set_path) override;
  Result<void> show(const Screen& screen) override;

 private:
  // What a path of the car's stands for.
  struct Use {
    VissSignal signal;
    std::size_t rank = 0;  // of the path among those of its signal
  };
  struct Source {
    std::vector<Use> uses;
    enum class State : std::uint8_t { kUnknown, kThere, kNone, kInDoubt } state = State::kUnknown;
    enum class Subscription : std::uint8_t { kNone, kMade, kRefused } interval{}, change{};
    std::string change_id{};     // of the subscription to its changes, once it is answered
    std::int64_t newest_ms = 0;  // time stamp of the last value, by the server's clock
  };
  // What was asked and is not answered.
  struct Asked {
    enum class What : std::uint8_t {
      kValue,
      kInterval,
      kChange,
      kAnswer,         // the value at answer_path
      kAnswerChanges,  // a subscription to it
      kCommand,
      kScreen,
      kEnd,  // of a subscription
    } what;
    std::vector<std::string> paths{};
    std::int64_t sent_ms = 0;
  };
  struct Interval {
    std::vector<std::string> paths;
    std::int64_t heard_ms = 0;
  };
  // A command without its id, until the car has answered it.
  struct OpenCommand {
    std::string text;
    std::string id;
    std::int64_t since_ms = 0;
    std::optional<std::int64_t> accepted_ms{};  // when the server took it the last time
  };
  // A command that the server forbids, until when, and what it said.
  struct Denial {
    std::int64_t until_ms = 0;
    std::string why;
  };
  // What is known of the server's clock.
  struct ServerClock {
    std::optional<std::int64_t> first_at_ms{};  // of this connection, and when it was heard
    std::int64_t first_heard_ms = 0;
    bool runs = false;                                  // it was seen to, on this connection
    std::optional<std::int64_t> at_least{}, at_most{};  // it is ahead of ours, on this connection
    std::optional<std::int64_t> before{};               // it was, on the one before

    void note(std::int64_t at_ms, std::optional<std::int64_t> sent_ms, std::int64_t heard_ms);
    // What it is ahead of our monotonic clock; rather too much than too little.
    std::optional<std::int64_t> ahead_ms() const;
  };

  Result<void> ensure_connected();
  void disconnect(const Error& why);
  void note_link(bool is_connected, const std::string& error);
  Result<void> connect();
  Result<void> begin_session();
  Result<void> check_token(const VissAnswer& answer);
  Result<void> check_interrupted() const;
  Result<void> drain();
  bool is_silent() const;
  bool is_asking(Asked::What what) const;

  Result<std::string> send(VissRequest request, Asked asked);
  Result<void> probe();
  Result<void> subscribe_to_newcomers();
  Result<void> subscribe_at_interval(const std::vector<std::string>& paths);
  void end_subscription(const std::string& id);
  void end_empty_intervals();
  bool is_best(const Use& use) const;

  Result<void> take(VissAnswer answer);
  Result<void> take_answer(const VissAnswer& answer, const Asked& asked);
  Result<void> take_value(const VissAnswer& answer, const Asked& asked);
  Result<void> take_subscribed(const VissAnswer& answer, const Asked& asked);
  void take_event(const VissAnswer& answer);
  void take_points(const VissAnswer& answer);
  void take_screen(const VissAnswer& answer);
  void note_time(const VissAnswer& answer, std::optional<std::int64_t> sent_ms);
  void lose(const std::string& path, Source::State why);

  Result<VissAnswer> set(const std::string& path, const std::string& value);
  Result<void> command(const manifest::Json& request, ErrorCode on_refusal);
  Result<void> refuse(const std::string& command, const VissError& error, ErrorCode on_refusal);
  Result<std::optional<VissError>> ask_car(const std::string& text);
  Result<std::optional<manifest::Json>> wait_for_answer();
  Result<std::optional<std::string>> receive(std::int64_t wait_ms);
  Result<void> send_screen();

  const VissOptions options_;
  const Clock& clock_;
  std::unique_ptr<WebSocketClient> socket_;
  std::int64_t next_connect_ms_ = 0;
  std::uint32_t failures_ = 0;  // in a row
  std::string token_;           // of this connection
  VehicleLink link_;
  std::uint64_t last_id_ = 0;
  Facts facts_;
  std::set<std::string> said_;  // names that the car has said since this process began
  std::optional<OpenCommand> open_;
  std::map<std::string, Denial> denials_;  // by the command's text
  std::string screen_;                     // as it is to be shown; empty: none yet
  ServerClock server_clock_;

  // Of this connection.
  std::map<std::string, Source> sources_;  // by the car's path
  std::map<std::string, Asked> asked_;     // by request id
  std::int64_t next_probe_ms_ = 0;
  std::map<std::string, Interval> intervals_;  // by subscription id
  std::int64_t connected_ms_ = 0;
  std::int64_t heard_ms_ = 0;               // the last message, by the monotonic clock
  std::int64_t last_age_ms_ = 0;            // of the last message
  std::map<std::string, VissAnswer> kept_;  // answers that somebody waits for
  std::string command_answer_;              // the last value at answer_path
  bool has_screen_ = true;
  bool is_screen_due_ = false;
  std::string screen_id_;  // of the request that showed it last
  std::int64_t next_screen_ms_ = 0;
};

}  // namespace layby::agent
