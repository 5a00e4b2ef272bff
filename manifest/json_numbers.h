// JSON of peers that write numbers as they like: readings of a car.
#pragma once

#include "manifest/json.h"

namespace layby::manifest {

// As `parse_strict`, but every number, of whatever size and with whatever fraction and exponent, is
// the text that it was written with; an integer's is in its shortest form.
Result<Json> parse_with_numbers_as_text(ByteSpan bytes, JsonLimits limits);

}  // namespace layby::manifest
