// What `layby` prints: the server's JSON for programs, tables and fields for people.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "manifest/json.h"
#include "server/cli/session.h"

namespace layby::cli {

// One line of JSON on standard output.
void print_json(const Json& value);

// A column of a table: its title, and where its value lies in a row ("term/kind").
struct Column {
  std::string_view title;
  std::string_view path;
};

// The rows of a list as the API gives it: an array, or an object with one array in it.
const Json& rows_of(const Json& list);

// A list: as JSON, or as a table of these columns. What a row lacks is left blank.
void print_list(const Session& session, const Json& list, const std::vector<Column>& columns);

// A thing: as JSON, or as `field: value` lines, indented for what lies deeper.
void print_thing(const Session& session, const Json& thing);

// "97.6 MB"
std::string bytes_text(std::uint64_t bytes);

// Progress on standard error: one line that is rewritten on a terminal, nothing elsewhere. `done`
// ends the line.
class ProgressLine {
 public:
  ProgressLine();
  ~ProgressLine();
  void show(const std::string& text);
  void done();

 private:
  bool terminal_;
  bool shown_ = false;
};

}  // namespace layby::cli
