// Values against the part of JSON Schema that docs/openapi.yaml uses.
#pragma once

#include <string>
#include <vector>

#include "manifest/json.h"

namespace layby::tests {

// What is wrong with `value`, each with where; nothing if it fits. `document` is what references
// lead into. A keyword that is not known here is wrong too: it would check nothing.
std::vector<std::string> schema_errors(const manifest::Json& document, const manifest::Json& schema,
                                       const manifest::Json& value);

}  // namespace layby::tests
