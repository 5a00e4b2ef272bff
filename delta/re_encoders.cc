#include "delta/re_encoders.h"

#include <zstd.h>

namespace layby::delta {

std::vector<ReEncoder> available_re_encoders() {
  return {{.name = "zstd", .version = ZSTD_versionString()}};
}

}  // namespace layby::delta
