// Ids of outgoing events. They rise, and a reader that asks for what comes after the last id that
// it has seen never misses one, also when changes that drew ids overlap: what is at or above the
// lowest id still in flight is not shown yet.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "base/result.h"
#include "server/store/change.h"
#include "server/store/store.h"

namespace layby::server {

// "e/" and 20 digits.
std::string event_key(std::uint64_t id);

// One per store and process. Any thread.
class EventSequence {
 public:
  // Goes on after the highest id in the store.
  static Result<std::unique_ptr<EventSequence>> open(const Store& store);

  // An id that is in flight until `change` has ended.
  std::uint64_t draw(Change& change);

  // Called after an id has ended its flight, from the thread that ended it; must not block. Once,
  // before the first draw.
  void on_landing(std::function<void()> listener) { listener_ = std::move(listener); }

  // Readers may see ids below this one, and no others.
  std::uint64_t visible_end() const;

 private:
  explicit EventSequence(std::uint64_t next) : next_(next) {}
  void land(std::uint64_t id);

  std::function<void()> listener_ = [] {};
  mutable std::mutex mutex_;
  std::uint64_t next_;
  std::set<std::uint64_t> in_flight_;
};

}  // namespace layby::server
