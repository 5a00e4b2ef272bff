// The index of deadlines, `d/<utc>/<subject>/<id>/<what>`: what is due is found by one range scan,
// however much else is waiting.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "server/store/change.h"

namespace layby::server {

enum class DeadlineKind {
  kOrder,    // what is due next for an order; subject: VIN, id: order; the value is empty
  kForget,   // a record that has had its time; the value is its key
  kSilence,  // a car was to be heard of by then; subject: VIN, no id; the value is empty
};

struct Deadline {
  UnixSeconds at = 0;
  DeadlineKind kind = DeadlineKind::kOrder;
  std::string subject;
  std::string id;
};

std::string deadline_key(const Deadline& deadline);
Result<Deadline> parse_deadline(std::string_view key);
// All deadlines at or before `now` have keys below this one.
std::string deadlines_end(UnixSeconds now);
inline constexpr std::string_view kDeadlinePrefix = "d/";

// Has the record with this key erased at `at`. `id` tells it from others of the same second.
void forget_at(Change& change, UnixSeconds at, std::string_view id, std::string_view key);

}  // namespace layby::server
