#include "tests/temp_dir.h"

#include <cstdlib>
#include <filesystem>

#include "base/assert.h"

namespace layby::tests {

TempDir::TempDir() {
  std::string pattern = (std::filesystem::temp_directory_path() / "layby-test-XXXXXX").string();
  LAYBY_ASSERT(::mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace layby::tests
