// A Vehicle that is on D-Bus as well (docs/embedding.md, "D-Bus"): what the head unit shows are
// properties and signals there, what the owner wants are methods. Everything else is another
// Vehicle's.
//
// One thread. Nothing is sent while nothing changes, and nobody is woken for it; nothing waits for
// the bus. Where that goes away the car goes on without it, and it is looked for again, after
// pauses that grow.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "agent/vehicle.h"
#include "base/clock.h"

namespace layby::agent {

class BusVehicle final : public Vehicle {
 public:
  // Is told, in a line for people, that the bus has gone, and that it is there again.
  using Log = std::function<void(const std::string&)>;
  // `address`: "system", "session" or a D-Bus address. kUnavailable without a bus, kConflict where
  // somebody has the name already: that is waited for, a few seconds. Vehicle and clock must
  // outlive it.
  static Result<std::unique_ptr<BusVehicle>> open(Vehicle& inner, const Clock& clock,
                                                  const std::string& address, Log log = {});
  ~BusVehicle() override;

  // Whether CheckNow was called since it was asked the last time.
  bool take_check_wanted();

  // What the car says, with the owner's language and time in it where the bus has them. Answers
  // methods.
  const Facts& facts() override;
  // Readable when either has something to say, or the bus is to be looked for again; negative while
  // the car has none.
  int descriptor() const override;
  void want_signals(const std::set<std::string>& names) override { inner_.want_signals(names); }
  Result<void> activate_function(const std::string& id, const std::string& package_path,
                                 const std::string& until) override {
    return inner_.activate_function(id, package_path, until);
  }
  Result<void> deactivate_function(const std::string& id) override {
    return inner_.deactivate_function(id);
  }
  Result<void> boot_software(BootStep step, const std::string& slot_path) override {
    return inner_.boot_software(step, slot_path);
  }
  Result<void> check_software(const std::string& slot_path) override {
    return inner_.check_software(slot_path);
  }
  Result<void> restart() override { return inner_.restart(); }
  Result<std::optional<BootSlots>> boot_slots() override { return inner_.boot_slots(); }
  Result<void> end_trial() override { return inner_.end_trial(); }
  Result<void> reload_maps(const std::string& set_path) override {
    return inner_.reload_maps(set_path);
  }
  Result<void> show(const Screen& screen) override;

 private:
  friend struct BusInterface;
  struct State;
  BusVehicle(Vehicle& inner, std::unique_ptr<State> state);

  Vehicle& inner_;
  std::unique_ptr<State> state_;
  Facts facts_;
};

}  // namespace layby::agent
