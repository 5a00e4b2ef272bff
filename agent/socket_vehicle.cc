#include "agent/socket_vehicle.h"

#include "base/assert.h"
#include "manifest/json_value.h"

namespace layby::agent {
namespace {

using manifest::Json;

constexpr std::int64_t kReconnectMs = 500;
// A boot may take a while.
constexpr std::int64_t kCommandMsMax = 120'000;

const char* to_string(BootStep step) {
  switch (step) {
    case BootStep::kTrial: return "trial";
    case BootStep::kKeep: return "keep";
    case BootStep::kRevert: return "revert";
  }
  LAYBY_ASSERT(false);
}

Result<void> read_signals(const Json& signals, Facts& facts) {
  for (auto at = signals.begin(); at != signals.end(); ++at) {
    Signal signal;
    signal.value = TRY(manifest::text_field(at.value(), "value"));
    signal.at_ms = static_cast<std::int64_t>(TRY(manifest::uint_field(at.value(), "at")));
    facts.set(at.key(), std::move(signal));
  }
  return {};
}

}  // namespace

void SocketVehicle::disconnect() {
  socket_.reset();
  facts_.clear();  // what a car that is gone said before says nothing about now
  next_connect_ms_ = clock_.monotonic_ms() + kReconnectMs;
}

Result<void> SocketVehicle::ensure_connected() {
  if (socket_) return {};
  if (clock_.monotonic_ms() < next_connect_ms_)
    return fail(ErrorCode::kUnavailable, "the car at {} does not answer", path_);
  auto socket = LineSocket::connect(path_);
  if (!socket) {
    disconnect();
    return fail(socket.error());
  }
  socket_ = std::move(*socket);
  const auto subscribed = command({{"do", "subscribe"}}, ErrorCode::kUnavailable);
  if (!subscribed) disconnect();
  return subscribed;
}

Result<std::optional<Json>> SocketVehicle::take(const std::string& line) {
  Json message = TRY(manifest::parse_strict(as_bytes(line), {.bytes_max = kLineBytesMax}));
  if (manifest::find_field(message, "id") != nullptr)
    return std::optional<Json>(std::move(message));
  const Json& signals = *TRY(manifest::object_field(message, "signals"));
  facts_.clear();  // a message has them all: what it leaves out is not known
  TRY_VOID(read_signals(signals, facts_));
  return std::optional<Json>{};
}

const Facts& SocketVehicle::facts() {
  if (!ensure_connected()) return facts_;
  for (;;) {
    const auto line = socket_->receive(0);
    if (!line) {
      disconnect();
      return facts_;
    }
    if (!*line) return facts_;
    if (!take(**line)) {  // a peer that talks nonsense is no car
      disconnect();
      return facts_;
    }
  }
}

Result<void> SocketVehicle::command(Json request, ErrorCode on_refusal) {
  TRY_VOID(ensure_connected());
  const std::uint64_t id = ++last_id_;
  request["id"] = id;
  const std::string line = TRY(manifest::to_wire(request));
  const auto talk = [&]() -> Result<Json> {
    TRY_VOID(socket_->send(line));
    const std::int64_t until_ms = clock_.monotonic_ms() + kCommandMsMax;
    for (;;) {
      const std::int64_t left_ms = until_ms - clock_.monotonic_ms();
      if (left_ms <= 0) return fail(ErrorCode::kUnavailable, "the car at {} is silent", path_);
      const auto answer = TRY(socket_->receive(left_ms));
      if (!answer) continue;
      auto taken = TRY(take(*answer));
      if (taken && TRY(manifest::uint_field(*taken, "id")) == id) return std::move(*taken);
    }
  };
  const auto answer = talk();
  if (!answer) {
    disconnect();
    return fail(ErrorCode::kUnavailable, "{}", answer.error().message());
  }
  if (TRY(manifest::bool_field(*answer, "ok"))) return {};
  return fail(on_refusal, "{}", TRY(manifest::text_field(*answer, "text")));
}

Result<void> SocketVehicle::activate_function(const std::string& id,
                                              const std::string& package_path,
                                              const std::string& until) {
  return command(
      {{"do", "activate"}, {"function", id}, {"package", package_path}, {"until", until}},
      ErrorCode::kActivationFailed);
}

Result<void> SocketVehicle::deactivate_function(const std::string& id) {
  return command({{"do", "deactivate"}, {"function", id}}, ErrorCode::kActivationFailed);
}

Result<void> SocketVehicle::boot_software(BootStep step, const std::string& slot_path) {
  return command({{"do", "boot"}, {"step", to_string(step)}, {"slot", slot_path}},
                 ErrorCode::kActivationFailed);
}

Result<void> SocketVehicle::check_software(const std::string& slot_path) {
  return command({{"do", "check"}, {"slot", slot_path}}, ErrorCode::kHealthCheckFailed);
}

Result<void> SocketVehicle::restart() {
  return command({{"do", "restart"}}, ErrorCode::kActivationFailed);
}

Result<void> SocketVehicle::reload_maps(const std::string& set_path) {
  return command({{"do", "reload"}, {"set", set_path}}, ErrorCode::kActivationFailed);
}

Result<void> SocketVehicle::show(const std::vector<std::string>& lines) {
  return command({{"do", "display"}, {"lines", lines}}, ErrorCode::kUnavailable);
}

}  // namespace layby::agent
