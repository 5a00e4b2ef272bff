#include "server/cli/output.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "manifest/json_value.h"

namespace layby::cli {
namespace {

std::string cell(const Json* value);

std::string joined(const Json& values) {
  std::string out;
  for (const Json& value : values) {
    if (!out.empty()) out += ", ";
    out += cell(&value);
  }
  return out;
}

// Control characters of a text from somewhere else must not steer the terminal.
std::string harmless(const std::string& text) {
  std::string out = text;
  std::replace_if(
      out.begin(), out.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  return out;
}

std::string cell(const Json* value) {
  if (value == nullptr || value->is_null()) return {};
  if (value->is_string()) return harmless(*value->get_ptr<const std::string*>());
  if (value->is_array()) return joined(*value);
  return manifest::to_wire(*value).value_or("?");
}

const Json* at_path(const Json& row, std::string_view path) {
  const Json* value = &row;
  while (value != nullptr && !path.empty()) {
    const auto slash = path.find('/');
    value = manifest::find_field(*value, path.substr(0, slash));
    path = slash == path.npos ? std::string_view{} : path.substr(slash + 1);
  }
  return value;
}

// Characters, not bytes: names of places and people are not ASCII.
std::size_t width(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

void print_row(const std::vector<std::string>& cells, const std::vector<std::size_t>& widths) {
  std::string line;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    line += cells[i];
    if (i + 1 < cells.size()) line.append(widths[i] - width(cells[i]) + 2, ' ');
  }
  while (line.ends_with(' ')) line.pop_back();
  fmt::print("{}\n", line);
}

void print_fields(const Json& thing, std::size_t indent) {
  for (const auto& [key, value] : thing.items()) {
    if (value.is_object()) {
      fmt::print("{:{}}{}:\n", "", indent, key);
      print_fields(value, indent + 2);
    } else if (value.is_array() && !value.empty() && value.front().is_object()) {
      fmt::print("{:{}}{}:\n", "", indent, key);
      for (const Json& element : value) {
        fmt::print("{:{}}-\n", "", indent + 2);
        print_fields(element, indent + 4);
      }
    } else {
      fmt::print("{:{}}{}: {}\n", "", indent, key, cell(&value));
    }
  }
}

}  // namespace

void print_json(const Json& value) {
  fmt::print("{}\n", manifest::to_wire(value).value_or("null"));
}

const Json& rows_of(const Json& list) {
  static const Json none = Json::array();
  if (list.is_array()) return list;
  if (list.is_object())
    for (const Json& value : list)
      if (value.is_array()) return value;
  return none;
}

void print_list(const Session& session, const Json& list, const std::vector<Column>& columns) {
  if (session.form() == OutputForm::kJson) return print_json(list);
  std::vector<std::vector<std::string>> rows(1);
  for (const Column& column : columns) rows[0].emplace_back(column.title);
  for (const Json& row : rows_of(list)) {
    std::vector<std::string> cells;
    for (const Column& column : columns) cells.push_back(cell(at_path(row, column.path)));
    rows.push_back(std::move(cells));
  }
  std::vector<std::size_t> widths(columns.size(), 0);
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  for (const auto& row : rows) print_row(row, widths);
}

void print_thing(const Session& session, const Json& thing) {
  if (session.form() == OutputForm::kJson) return print_json(thing);
  if (thing.is_object())
    print_fields(thing, 0);
  else if (!thing.is_null())
    fmt::print("{}\n", cell(&thing));
}

std::string bytes_text(std::uint64_t bytes) {
  if (bytes < 10'000) return fmt::format("{} B", bytes);
  if (bytes < 10'000'000) return fmt::format("{:.1f} kB", static_cast<double>(bytes) / 1e3);
  return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6);
}

ProgressLine::ProgressLine() : terminal_(isatty(STDERR_FILENO) == 1) {}
ProgressLine::~ProgressLine() {
  done();
}

void ProgressLine::show(const std::string& text) {
  if (!terminal_) return;
  shown_ = true;
  fmt::print(stderr, "\r\033[K{}", text);
}

void ProgressLine::done() {
  if (shown_) fmt::print(stderr, "\n");
  shown_ = false;
}

}  // namespace layby::cli
