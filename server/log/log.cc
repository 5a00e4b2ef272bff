#include "server/log/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <memory>

namespace layby::server {
namespace {

spdlog::level::level_enum level_of(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return spdlog::level::debug;
    case LogLevel::kInfo: return spdlog::level::info;
    case LogLevel::kWarning: return spdlog::level::warn;
    case LogLevel::kError: return spdlog::level::err;
  }
  return spdlog::level::err;
}

// As it is where that is one word; else in quotation marks, with everything escaped that could
// begin another line or end the value.
std::string value_text(std::string_view value) {
  const bool plain = !value.empty() && std::all_of(value.begin(), value.end(), [](char c) {
    return c > ' ' && c < 0x7f && c != '"' && c != '=' && c != '\\';
  });
  if (plain) return std::string(value);
  std::string out = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\')
      out += std::string{'\\', c};
    else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    else
      out += c;
  }
  return out + "\"";
}

}  // namespace

std::string log_line(std::string_view event, std::initializer_list<LogField> fields) {
  std::string line = "event=" + value_text(event);
  for (const LogField& field : fields)
    line += fmt::format(" {}={}", field.name, value_text(field.value));
  return line;
}

Log make_log(LogLevel least) {
  const auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  const auto logger = std::make_shared<spdlog::logger>("laybyd", sink);
  logger->set_pattern("ts=%Y-%m-%dT%H:%M:%S.%eZ level=%l %v", spdlog::pattern_time_type::utc);
  logger->set_level(level_of(least));
  logger->flush_on(spdlog::level::debug);
  return [logger](LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
    const auto wanted = level_of(level);
    if (logger->should_log(wanted)) logger->log(wanted, "{}", log_line(event, fields));
  };
}

}  // namespace layby::server
