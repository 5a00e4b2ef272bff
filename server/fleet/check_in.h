// When cars were heard of last, and which have fallen silent (Uptane 2.1.0, drop-request attacks: a
// car that is cut off cannot say so, but the server can miss it).
//
// A poll writes nothing: that a car was heard of is kept in memory, and written once in a sixteenth
// of the time after which it counts as silent. `v/<VIN>/seen` holds it, with one entry in the index
// of deadlines; `si/<VIN>` is there while the car is silent.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "server/fleet/car_affairs.h"
#include "server/fleet/deadline.h"
#include "server/http/message.h"
#include "server/services.h"
#include "server/store/change.h"

namespace layby::server {

struct CheckIn {
  UnixSeconds last_heard = 0;               // at least then; up to a sixteenth of the silence later
  std::optional<UnixSeconds> silent_since;  // when it was noticed
};

class CheckIns {
 public:
  // A car that is not heard of for `silence_seconds` is silent; 0: nobody is. `on_count` is told
  // how many are, now and after each change.
  static Result<std::unique_ptr<CheckIns>> open(
      const Store& store, UnixSeconds silence_seconds,
      std::function<void(std::size_t)> on_count = [](std::size_t) {});

  // The car has called, and it was it. Ends its silence. What goes wrong is logged: it is no reason
  // to turn the car away. Any thread; nearly always no more than a look into memory.
  void heard(const Services& services, const manifest::Vin& vin);

  // For the sweep: what is due for a car. Once in each silence it puts an audit record, an event
  // and the entry in the list into one commit.
  Result<void> settle(const Services& services, const Deadline& deadline, const std::string& key);

  // From pairing on a car is waited for.
  Result<void> begin(CarAffairs& affairs) const;

  // Nothing for a car that was never waited for.
  Result<std::optional<CheckIn>> load(const Store& store, const manifest::Vin& vin) const;

  std::size_t silent_count() const { return silent_count_; }

 private:
  struct Heard {
    UnixSeconds at = 0;
    UnixSeconds written = 0;
  };
  enum class Turn { kNone, kFellSilent, kSpokeAgain };

  CheckIns(UnixSeconds silence_seconds, std::size_t silent_count,
           std::function<void(std::size_t)> on_count);
  UnixSeconds pace_seconds() const { return std::max<UnixSeconds>(silence_seconds_ / 16, 1); }
  UnixSeconds due_after(UnixSeconds heard) const {
    return heard + silence_seconds_ + pace_seconds();
  }
  // Later for a car that was told to call less often than cars are told now.
  UnixSeconds due_after(UnixSeconds heard, const Pairing& pairing) const;
  std::optional<UnixSeconds> remembered(const manifest::Vin& vin) const;
  void remember(const manifest::Vin& vin, Heard heard);
  void count(Turn turn);
  struct Written {
    UnixSeconds at = 0;
    Turn turn = Turn::kNone;
  };
  Result<Written> write_heard(const Services& services, Change& change, const manifest::Vin& vin,
                              UnixSeconds now) const;
  Result<Turn> settle_in(const Services& services, Change& change, const manifest::Vin& vin,
                         const Deadline& deadline) const;

  const UnixSeconds silence_seconds_;
  const std::function<void(std::size_t)> on_count_;
  std::atomic<std::size_t> silent_count_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Heard> heard_;  // by VIN; guarded by mutex_
};

// GET /v1/silent-cars: those that are silent now, by VIN; for operators.
Response get_silent_cars(const Services& services, const Request& request);

}  // namespace layby::server
