#include "server/fleet/event_sequence.h"

namespace layby::server {

std::string event_key(std::uint64_t id) {
  return fmt::format("e/{:020}", id);
}

namespace {

// Whether there is an event with this id or a higher one.
Result<bool> any_from(const Store& store, std::uint64_t id) {
  return !TRY(store.scan(event_key(id), after_prefix("e/"), 1)).empty();
}

}  // namespace

Result<std::unique_ptr<EventSequence>> EventSequence::open(const Store& store) {
  // A store only scans upwards: doubling and halving finds the end in about 2 log2(n) reads.
  std::uint64_t above = 1;
  while (TRY(any_from(store, above))) above *= 2;
  std::uint64_t below = above / 2;  // there is one from here, or this is 0
  while (above - below > 1) {
    const std::uint64_t middle = below + (above - below) / 2;
    if (TRY(any_from(store, middle)))
      below = middle;
    else
      above = middle;
  }
  return std::unique_ptr<EventSequence>(new EventSequence(above));
}

std::uint64_t EventSequence::draw(Change& change) {
  std::uint64_t id = 0;
  {
    const std::lock_guard lock(mutex_);
    id = next_++;
    in_flight_.insert(id);
  }
  change.at_end([this, id](Change::Outcome) { land(id); });
  return id;
}

void EventSequence::land(std::uint64_t id) {
  {
    const std::lock_guard lock(mutex_);
    in_flight_.erase(id);
  }
  listener_();
}

std::uint64_t EventSequence::visible_end() const {
  const std::lock_guard lock(mutex_);
  return in_flight_.empty() ? next_ : *in_flight_.begin();
}

}  // namespace layby::server
