// The time that the agent may rely on: the newest one that the Director signed, plus what has
// passed since. It never goes back below a signed time.
//
// While the agent runs, what has passed is counted by the monotonic clock. Across a restart the
// wall clock says how long the car was off: it can be wrong, so such a time serves to end a term
// (P1.9) and never to accept metadata, which asks for a time that was signed in this run.
#pragma once

#include "agent/record.h"
#include "base/clock.h"

namespace layby::agent {

class TrustedTime {
 public:
  // `clock` must outlive it.
  TrustedTime(const Clock& clock, const Record& record);

  // The best estimate there is.
  UnixSeconds now() const;
  // A time was signed since the start of this run.
  bool is_fresh() const { return fresh_; }
  // Takes in a signed time and notes it in the record, which the caller saves. kRollback if it is
  // below one that was signed before.
  Result<void> accept(UnixSeconds signed_time, Record& record);

 private:
  const Clock* clock_;
  UnixSeconds base_;  // trusted time when base_monotonic_ms_ was read
  std::int64_t base_monotonic_ms_;
  bool fresh_ = false;
};

}  // namespace layby::agent
