#include "agent/durations.h"

#include <algorithm>

namespace layby::agent {
namespace {

std::uint64_t image_bytes(const OrderRecord& order) {
  std::uint64_t sum = 0;
  for (const ImageProgress& image : order.images) sum += image.length;
  return sum;
}

bool is_of_that_size(std::uint64_t bytes, std::uint64_t measured) {
  return measured <= 2 * bytes && bytes <= 2 * measured;
}

std::uint64_t between(UnixSeconds from, UnixSeconds to) {
  return static_cast<std::uint64_t>(std::max<UnixSeconds>(0, to - from));
}

}  // namespace

std::uint64_t shown_seconds(const OrderRecord& order, const Record& record) {
  std::uint64_t longest = order.duration_seconds();
  if (order.images.empty()) return longest;
  const manifest::ImageKind kind = order.images.front().slot.kind();
  for (const Measurement& measured : record.measurements)
    if (measured.kind == kind && is_of_that_size(image_bytes(order), measured.bytes))
      longest = std::max(longest, measured.seconds);
  return longest;
}

void note_begin(OrderRecord& order, const Record& record, UnixSeconds locked_at, UnixSeconds now) {
  order.timing = Timing{.locked_at = locked_at == 0 ? now : std::min(locked_at, now),
                        .began_at = now,
                        .shown_seconds = shown_seconds(order, record)};
}

void note_end(OrderRecord& order, Record& record, UnixSeconds now, Measure measure) {
  if (!order.timing) return;
  order.timing->took_seconds = between(order.timing->began_at, now);
  order.timing->since_lock_seconds = between(order.timing->locked_at, now);
  if (measure == Measure::kInterrupted || order.images.empty()) return;
  const manifest::ImageKind kind = order.images.front().slot.kind();
  record.measurements.push_back({kind, image_bytes(order), *order.timing->took_seconds});
  auto& all = record.measurements;
  const auto is_of_kind = [&](const Measurement& one) { return one.kind == kind; };
  if (std::count_if(all.begin(), all.end(), is_of_kind) >
      static_cast<std::ptrdiff_t>(kMeasurementsMax))
    all.erase(std::find_if(all.begin(), all.end(), is_of_kind));
}

}  // namespace layby::agent
