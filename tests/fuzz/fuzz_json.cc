// The strict parser: whatever it takes, it writes and reads again as the same value.
#include "base/assert.h"
#include "base/limits.h"
#include "manifest/json_value.h"

using namespace layby;
using namespace layby::manifest;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto value = parse_strict({data, size}, {.bytes_max = kMiB});
  if (!value) return 0;
  const auto wire = to_wire(*value);
  const auto canonical = to_canonical(*value);
  LAYBY_ASSERT(wire && canonical && canonical->size() <= wire->size());
  const auto again = parse_strict(as_bytes(*wire), {.bytes_max = wire->size()});
  LAYBY_ASSERT(again && *again == *value && *to_wire(*again) == *wire);
  return 0;
}
