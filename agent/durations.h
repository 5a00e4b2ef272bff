// How long an installation takes: what the driver is shown beforehand (P4.4), and what this car has
// measured (P4.6).
#pragma once

#include "agent/record.h"

namespace layby::agent {

// An activation of a function that is not switched within this time of its begin is taken back: the
// driver was told of ten minutes (P4.6).
constexpr std::int64_t kFunctionSecondsMax = 600;

// What was measured of each kind; the oldest makes room.
constexpr std::size_t kMeasurementsMax = 8;

// What the package says, or what this car has needed for images of that kind and of about that size
// (half to twice of it), where that was more: the longest of those measured. 0: nobody knows.
std::uint64_t shown_seconds(const OrderRecord& order, const Record& record);

// The order begins now, `locked_at` being when the car was locked (0: not seen).
void note_begin(OrderRecord& order, const Record& record, UnixSeconds locked_at, UnixSeconds now);
// It has come to its end. What was cut by a power cut or had to wait for the car says how long this
// one took, and nothing about the next.
enum class Measure { kWhole, kInterrupted };
void note_end(OrderRecord& order, Record& record, UnixSeconds now, Measure measure);

}  // namespace layby::agent
