#include "server/cli/idempotency.h"

#include "crypto/random.h"

namespace layby::cli {

std::string key_or_fresh(const std::string& given) {
  return given.empty() ? to_hex(crypto::random_bytes(16)) : given;
}

}  // namespace layby::cli
