// The head unit's page, built into the program from samples/car/page/.
#pragma once

#include <string_view>

namespace layby::samples {

struct PageFile {
  std::string_view target;  // "/app.js"
  std::string_view type;    // as HTTP names it
  std::string_view bytes;
};

// Null: there is none.
const PageFile* page_file(std::string_view target);

}  // namespace layby::samples
