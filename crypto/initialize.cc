#include "crypto/initialize.h"

#include <sodium.h>

#include "base/assert.h"

namespace layby::crypto {

void initialize() {
  LAYBY_ASSERT(sodium_init() >= 0);
}

}  // namespace layby::crypto
