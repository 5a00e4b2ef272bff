// The time that the agent may rely on: the newest one that the Director signed, plus what has
// passed since. It never goes back below a signed time, unless the Director's root has taken away a
// key that could have signed it: whoever stole such a key could set the time ahead, and the car
// must come back from there (as TUF recovers from a fast-forward attack).
//
// While the agent runs, what has passed is counted by the monotonic clock, and kept in the record
// now and then. Across a restart the wall clock says how long the car was off: it can be wrong, so
// such a time serves to end a term (P1.9) and never to accept metadata, which asks for a time that
// was signed in this run. A wall clock that was set back takes nothing from what was counted. An
// offline package brings a signed time that may be long ago: it is judged by the latest of that,
// of what was counted, and of the wall clock's guess, which can only refuse it.
#pragma once

#include "agent/record.h"
#include "base/clock.h"
#include "manifest/server_time.h"

namespace layby::agent {

class TrustedTime {
 public:
  // `clock` must outlive it.
  TrustedTime(const Clock& clock, const Record& record);

  // The best estimate there is.
  UnixSeconds now() const;
  // The part of it that does not rest on the wall clock: signed, and counted since.
  UnixSeconds counted() const { return counted_ == 0 ? 0 : counted_ + elapsed(); }
  // Takes in a time that was signed with these keys and notes it in the record, which the caller
  // saves. kRollback if it is below one that the same keys signed before.
  Result<void> accept(UnixSeconds signed_time, const manifest::TimeKeys& keys, Record& record);
  // The same for a time that may be long ago, as that of an offline package: it moves time forward,
  // and one that is not later than `now` changes nothing. Only where other keys signed the last one
  // does time go back, to no earlier than what it was by both count and wall clock.
  void advance_to(UnixSeconds signed_time, const manifest::TimeKeys& keys, Record& record);
  // Notes in the record what was counted since the signed time, if that is worth a write.
  enum class Noted { kYes, kNo };
  Noted note_counted(Record& record) const;

 private:
  void take(UnixSeconds signed_time, const manifest::TimeKeys& keys, Record& record);
  UnixSeconds elapsed() const { return (clock_->monotonic_ms() - base_monotonic_ms_) / 1000; }

  const Clock* clock_;
  UnixSeconds base_;     // trusted time when base_monotonic_ms_ was read
  UnixSeconds counted_;  // the same without the wall clock's part; 0 without any signed time
  std::int64_t base_monotonic_ms_;
};

}  // namespace layby::agent
