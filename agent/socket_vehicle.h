// The Vehicle behind a Unix socket: the simulated car (samples/car), or whatever else speaks its
// JSON lines (docs/embedding.md). Connects by itself, and again after the car was away; meanwhile
// no fact is known and every command is kUnavailable.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "agent/line_socket.h"
#include "agent/vehicle.h"
#include "base/clock.h"
#include "manifest/json.h"

namespace layby::agent {

class SocketVehicle final : public Vehicle {
 public:
  // `clock` must outlive it.
  SocketVehicle(std::string path, const Clock& clock) : path_(std::move(path)), clock_(clock) {}

  const Facts& facts() override;
  int descriptor() const override { return socket_ ? socket_->descriptor() : -1; }
  Result<void> activate_function(const std::string& id, const std::string& package_path,
                                 const std::string& until) override;
  Result<void> deactivate_function(const std::string& id) override;
  Result<void> boot_software(BootStep step, const std::string& slot_path) override;
  Result<void> check_software(const std::string& slot_path) override;
  Result<void> restart() override;
  Result<void> reload_maps(const std::string& set_path) override;
  Result<void> show(const std::vector<std::string>& lines) override;

 private:
  Result<void> ensure_connected();
  void disconnect();
  // Signals go into the facts; an answer is returned.
  Result<std::optional<manifest::Json>> take(const std::string& line);
  Result<void> command(manifest::Json request, ErrorCode on_refusal);

  std::string path_;
  const Clock& clock_;
  std::optional<LineSocket> socket_;
  std::int64_t next_connect_ms_ = 0;
  std::uint64_t last_id_ = 0;
  Facts facts_;
};

}  // namespace layby::agent
