// A car that acts and remembers: what the agent's commands do is kept here, across restarts of the
// agent.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "agent/vehicle.h"
#include "base/clock.h"
#include "base/disk.h"

namespace layby::tests {

class FakeVehicle final : public agent::Vehicle {
 public:
  FakeVehicle(const Clock& clock, Disk& disk);
  // The same car in another world; its hook stays behind.
  FakeVehicle(const FakeVehicle& other, const Clock& clock, Disk& disk);

  // Signals are stamped anew whenever they are read, unless frozen.
  std::map<std::string, std::string> signals;
  std::set<std::string> lost;  // that it has and does not say
  bool frozen = false;
  std::int64_t ahead_ms = 0;  // its clock

  void drive();        // somebody drives it: on, unlocked, in D
  void stand_open();   // parked, but the driver is in and it is unlocked
  void park_locked();  // parked and left as P4.1 wants it
  // Like a restart of the whole car: a software trial does not survive it.
  void power_cut() { booted = confirmed; }

  // Faults: the next n such commands fail.
  int fail_activate = 0;
  int fail_health = 0;
  std::string dead_function;  // whose control unit does not answer, for ever
  int fail_reload = 0;
  bool refuses_revert = false;
  bool unreachable = false;
  bool refuses_commands = false;  // it says what it sees, but cannot be asked for anything

  // What it was told.
  std::map<std::string, std::string> functions;  // id and package
  std::string booted, confirmed;                 // software slots
  std::string map_set;
  std::vector<std::string> lines;  // on the screen
  agent::Screen screen;
  std::vector<std::string> log;  // commands, in order
  // Called at each command before it is done.
  std::function<void(const std::string&)> at_command;
  std::function<void()> at_show;  // before it is shown: with the answer comes what the car says

  const agent::Facts& facts() override;
  // The world's clock goes on by itself: nobody polls this.
  int descriptor() const override { return 0; }
  Result<void> activate_function(const std::string& id, const std::string& package_path,
                                 const std::string& until) override;
  Result<void> deactivate_function(const std::string& id) override;
  Result<void> boot_software(agent::BootStep step, const std::string& slot_path) override;
  Result<void> check_software(const std::string& slot_path) override;
  Result<void> restart() override;
  int restarts = 0;  // of the head unit, asked for
  Result<void> reload_maps(const std::string& set_path) override;
  Result<void> show(const agent::Screen& screen) override;

  bool shows(const std::string& part) const;

 private:
  Result<void> enter(const std::string& command);

  const Clock* clock_;
  Disk* disk_;
  agent::Facts facts_;
  std::int64_t stamp_ms_ = 0;
};

}  // namespace layby::tests
