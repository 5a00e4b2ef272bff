// What has changed between two looks at the journal's record, as lines for a log or a terminal.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/record.h"

namespace layby::agent {

struct RecordLine {
  enum class Level { kNews, kError } level;
  std::string text;  // one line, in English, without a time
};

class RecordLines {
 public:
  std::vector<RecordLine> look(const Record& record);

 private:
  std::map<std::string, std::string> states_;  // order and how it was described
  std::string poll_error_;
};

}  // namespace layby::agent
