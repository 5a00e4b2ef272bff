// Compressors of libraries that make bytes again which a payload carries expanded. Their output may
// differ from version to version: a payload names those that it needs, and is applied where just
// those are.
#pragma once

#include <string>
#include <vector>

namespace layby::delta {

struct ReEncoder {
  std::string name;
  std::string version;
  bool operator==(const ReEncoder&) const = default;
};

// Of this build: the libraries that it runs with.
std::vector<ReEncoder> available_re_encoders();

}  // namespace layby::delta
