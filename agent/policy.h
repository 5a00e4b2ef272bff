// Policy: may it start now? A pure function of facts that answers yes, no with every reason, or ask
// again at T (P4.1, P4.2).
#pragma once

#include <optional>
#include <vector>

#include "agent/conditions.h"

namespace layby::agent {

struct Reason {
  Condition condition;
  Why why;
  std::size_t demand = 0;  // of kPackage: which of the package's own conditions
  bool operator==(const Reason&) const = default;
};

struct Verdict {
  enum class Answer { kYes, kNo, kAskAgain } answer = Answer::kNo;
  std::vector<Reason> reasons;   // every one that stands against it; empty for yes
  UnixSeconds ask_again_at = 0;  // for kAskAgain
  Latch latch;                   // for the next time that the same armed order is asked about
};

// An owner's time that is in doubt stands against it like any condition.
// `latch` is that of the last verdict on the order while it was armed, else empty.
Verdict evaluate(const Facts& facts, const Requirements& requirements, const OwnerTime& owner_time,
                 std::int64_t now_ms, Latch latch = {});

}  // namespace layby::agent
