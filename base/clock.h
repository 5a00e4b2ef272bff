// The Clock seam: wall time and monotonic time. Everything that depends on time takes a Clock.
#pragma once

#include <atomic>
#include <cstdint>

namespace layby {

// Seconds since 1970-01-01T00:00:00Z, without leap seconds.
using UnixSeconds = std::int64_t;

constexpr UnixSeconds kDaySeconds = 86'400;

class Clock {
 public:
  virtual ~Clock() = default;
  // May jump in both directions when somebody sets the clock.
  virtual UnixSeconds now() const = 0;
  // Never goes back; starts anywhere. Milliseconds.
  virtual std::int64_t monotonic_ms() const = 0;
};

// The machine's clocks. Any thread.
class SystemClock final : public Clock {
 public:
  UnixSeconds now() const override;
  std::int64_t monotonic_ms() const override;
};

// A clock that runs with the machine's and can be moved forward: the simulated clock of `laybyd`
// and of tests. Any thread.
class ShiftedClock final : public Clock {
 public:
  explicit ShiftedClock(const Clock& source) : source_(source) {}
  UnixSeconds now() const override { return source_.now() + shift_seconds_.load(); }
  std::int64_t monotonic_ms() const override {
    return source_.monotonic_ms() + 1000 * shift_seconds_.load();
  }
  void advance(std::int64_t seconds);
  std::int64_t shift_seconds() const { return shift_seconds_.load(); }

 private:
  const Clock& source_;
  std::atomic<std::int64_t> shift_seconds_{0};
};

// A clock that stands still until it is told to go on: for simulations and tests. Any thread.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(UnixSeconds start) : now_ms_(start * 1000) {}
  UnixSeconds now() const override { return now_ms_.load() / 1000; }
  std::int64_t monotonic_ms() const override { return now_ms_.load(); }
  void advance_ms(std::int64_t milliseconds);
  void advance(std::int64_t seconds) { advance_ms(seconds * 1000); }

 private:
  std::atomic<std::int64_t> now_ms_;
};

}  // namespace layby
