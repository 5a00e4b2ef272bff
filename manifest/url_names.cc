#include "manifest/url_names.h"

#include <charconv>

namespace layby::manifest {
namespace {

// Section 2.3.
bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

void append_encoded(std::string& to, char c) {
  fmt::format_to(std::back_inserter(to), "%{:02X}", static_cast<unsigned char>(c));
}

}  // namespace

std::string percent_encoded(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (is_unreserved(c))
      out += c;
    else
      append_encoded(out, c);
  }
  return out;
}

std::optional<std::string> percent_decoded(std::string_view encoded) {
  std::string name;
  for (std::size_t at = 0; at < encoded.size(); ++at) {
    if (encoded[at] != '%') {
      name += encoded[at];
      continue;
    }
    const std::string_view digits = encoded.substr(at + 1, 2);
    unsigned char byte = 0;
    if (std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16).ec != std::errc{})
      return std::nullopt;
    name += static_cast<char>(byte);
    at += 2;
  }
  if (percent_encoded(name) != encoded) return std::nullopt;
  return name;
}

Result<std::string> delegated_file_name(std::string_view role) {
  constexpr std::string_view kTemporary = ".new";
  std::string name = percent_encoded(role) + ".json";
  if (name.size() + kTemporary.size() > kFileNameBytesMax)
    return fail(ErrorCode::kInvalidArgument, "role {}: the name is too long for a file", role);
  return name;
}

std::string percent_encoded_file_name(std::string_view name) {
  if (name == ".") return "%2E";
  if (name == "..") return "%2E%2E";
  return percent_encoded(name);
}

std::string url_path(std::string_view target_path) {
  constexpr std::string_view kPathMarks = "/!$&'()*+,;=:@";  // section 3.3: pchar, and the slash
  std::string out;
  for (std::size_t at = 0; at < target_path.size(); ++at) {
    const char c = target_path[at];
    const bool is_escape = c == '%' && at + 2 < target_path.size() && is_hex(target_path[at + 1]) &&
                           is_hex(target_path[at + 2]);
    if (is_unreserved(c) || is_escape || kPathMarks.find(c) != std::string_view::npos)
      out += c;
    else
      append_encoded(out, c);
  }
  return out;
}

}  // namespace layby::manifest
