// Taking a partner's package into the car (P3.1, P5.3): no server, no bearer, no vehicle. What
// comes out is what a download would have left: orders that are downloaded, and wait for
// exit-and-lock.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "agent/record.h"
#include "agent/vehicle.h"
#include "base/clock.h"
#include "base/disk.h"
#include "base/result.h"

namespace layby::agent {

struct OfflineOrder {
  manifest::OrderId id;
  State state;
  std::optional<Error> error;
  std::vector<std::string> waiting_for;
  // Here as a whole; nothing of the package is needed for it any more.
  bool is_taken() const;
};

struct OfflineOptions {
  std::string state_directory;
  std::string package_path;
  std::function<bool()> interrupted{};            // asked between two chunks; may be empty
  std::function<void(const Record&)> progress{};  // called after each step; may be empty
  // Vehicle::boot_slots of the car, where the slots are chosen through boot control. Where it is
  // empty, what `run` found when it started last counts.
  using AskSlots = std::function<Result<std::optional<BootSlots>>()>;
  AskSlots ask_slots{};
};

// The orders that the package has something for, each with what became of it. The caller holds the
// state directory's lock. An error before anything was taken (an archive that is none, metadata
// that does not verify, another car's, an older one than the car has, an expired one, payloads that
// are damaged or belong to no order) leaves the state directory as it was. kCancelled: interrupted;
// it goes on from there when it is called again.
Result<std::vector<OfflineOrder>> install_offline(Disk& disk, const Clock& clock,
                                                  const OfflineOptions& options);

}  // namespace layby::agent
