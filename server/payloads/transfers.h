// What was sent to which car: for each payload the ranges in the order in which they went out, and
// their sums. It shows what a download cost, and that nothing went out twice. Written after
// sending, never on polls.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "crypto/digest.h"
#include "server/store/store.h"

namespace layby::server {

struct SentRange {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;      // asked for
  std::uint64_t bytes_sent = 0;  // taken by the socket; the car may have seen less
  UnixSeconds at = 0;            // the end of the last request
  std::uint64_t requests = 1;    // complete neighbours, one after the other, are joined
};

// Older ones are summed up in `Transfer::older`.
constexpr std::size_t kSentRangesMax = 256;

struct Transfer {
  crypto::Digest256 payload{};
  std::uint64_t requests = 0;
  std::uint64_t bytes_sent = 0;
  std::vector<SentRange> ranges;  // in the order of sending
  struct Older {
    std::uint64_t requests = 0;
    std::uint64_t bytes_sent = 0;
  } older;
};

// `vin` is a checked one.
Result<void> record_transfer(Store& store, const std::string& vin, const crypto::Digest256& payload,
                             const SentRange& sent);

// All of a car, by payload; kCorrupt where a record does not parse.
Result<std::vector<Transfer>> transfers_of(const Store& store, const std::string& vin);

}  // namespace layby::server
