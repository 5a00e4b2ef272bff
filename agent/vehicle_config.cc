#include "agent/vehicle_config.h"

#include <sys/stat.h>
#include <toml++/toml.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <initializer_list>

#include "agent/doors.h"
#include "base/limits.h"

namespace layby::agent {
namespace {

constexpr std::uint64_t kConfigBytesMax = 256 * kKiB;
constexpr std::uint64_t kTokenBytesMax = 16 * kKiB;
constexpr std::uint64_t kPemBytesMax = 256 * kKiB;
// Beyond a day nobody knows what has happened to the car meanwhile.
constexpr std::int64_t kAgeSecondsMin = 15, kAgeSecondsMax = 86'400;
constexpr std::int64_t kPeriodMsMin = 100, kPeriodMsMax = 5'000;
// Of a hook or a command: less than the ten minutes of an activation (P4.6).
constexpr std::int64_t kHookSecondsMax = 540;
constexpr std::size_t kPathBytesMax = 512;

Result<void> check_keys(const toml::table& table, const std::string& where,
                        std::initializer_list<std::string_view> known) {
  for (const auto& [key, value] : table)
    if (std::find(known.begin(), known.end(), key.str()) == known.end())
      return fail(ErrorCode::kInvalidArgument, "{}{} is not known", where, key.str());
  return {};
}

Result<std::string> text_of(const toml::table& table, std::string_view key) {
  const toml::node* node = table.get(key);
  if (node == nullptr) return std::string();
  const auto value = node->value_exact<std::string>();
  if (!value || value->empty())
    return fail(ErrorCode::kInvalidArgument, "{}: a text is wanted", key);
  return *value;
}

Result<std::int64_t> number_of(const toml::table& table, std::string_view key, std::int64_t preset,
                               std::int64_t min, std::int64_t max) {
  const toml::node* node = table.get(key);
  if (node == nullptr) return preset;
  const auto value = node->value_exact<std::int64_t>();
  if (!value || *value < min || *value > max)
    return fail(ErrorCode::kInvalidArgument, "{}: a number from {} to {} is wanted", key, min, max);
  return *value;
}

Result<std::vector<std::string>> texts_of(const toml::node& node, std::string_view key) {
  std::vector<std::string> texts;
  const toml::array* array = node.as_array();
  if (const auto one = node.value_exact<std::string>()) texts.push_back(*one);
  for (std::size_t i = 0; array != nullptr && i < array->size(); ++i) {
    const auto text = array->get(i)->value_exact<std::string>();
    if (!text) return fail(ErrorCode::kInvalidArgument, "{}: a list of texts is wanted", key);
    texts.push_back(*text);
  }
  if (texts.empty()) return fail(ErrorCode::kInvalidArgument, "{}: a text is wanted", key);
  return texts;
}

// A leaf: names with dots between them. Nothing that a server would take for several.
Result<void> check_path(const std::string& path) {
  const bool is_shaped = path.size() <= kPathBytesMax && path.find('.') != std::string::npos &&
                         path.find("..") == std::string::npos && path.front() != '.' &&
                         path.back() != '.';
  const bool is_plain = std::ranges::all_of(path, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' ||
           c == '_' || c == '-';
  });
  if (is_shaped && is_plain) return {};
  return fail(ErrorCode::kInvalidArgument, "{}: a path like Vehicle.Speed is wanted", path);
}

// Where bytes are not protected nobody is who he says he is: no secret is told, none is asked for.
Result<void> check_secrets(const VissOptions& viss) {
  const bool is_tls = viss.socket.url.starts_with("wss://") && viss.socket.unix_path.empty();
  const bool has_tls_files = !viss.socket.ca_path.empty() || !viss.socket.certificate_path.empty();
  if (has_tls_files && !is_tls)
    return fail(ErrorCode::kInvalidArgument, "viss.ca, certificate and key are for wss:// only");
  if (viss.token && !is_tls && viss.socket.unix_path.empty())
    return fail(ErrorCode::kInvalidArgument, "viss.token_file is for wss:// and unix: only");
  return {};
}

Result<std::string> read_token(Disk& disk, const std::string& path) {
  const Bytes bytes = TRY_CONTEXT(read_file(disk, path, kTokenBytesMax), "viss.token_file");
  std::string token(as_text(bytes));
  token.erase(token.find_last_not_of(" \r\n") + 1);
  const auto is_token = [](char c) { return c > 0x20 && c < 0x7f; };
  if (token.empty() || !std::ranges::all_of(token, is_token))
    return fail(ErrorCode::kInvalidArgument, "viss.token_file {}: printable ASCII is wanted", path);
  return token;
}

// Libraries say of a missing file only that TLS does not work.
Result<void> check_tls_files(Disk& disk, const WebSocketOptions& socket) {
  for (const auto& [key, path] : {std::pair{"viss.ca", &socket.ca_path},
                                  std::pair{"viss.certificate", &socket.certificate_path},
                                  std::pair{"viss.key", &socket.key_path}})
    if (!path->empty()) TRY_CONTEXT(read_file(disk, *path, kPemBytesMax), key);
  return {};
}

Result<void> read_viss(Disk& disk, const toml::table& table, VissOptions& viss) {
  TRY_VOID(check_keys(table, "viss.",
                      {"url", "ca", "certificate", "key", "token_file", "period_ms",
                       "command_seconds_max", "request_path", "answer_path", "screen_path"}));
  viss = TRY(vehicle_at(TRY(text_of(table, "url")))).viss;
  viss.socket.ca_path = TRY(text_of(table, "ca"));
  viss.socket.certificate_path = TRY(text_of(table, "certificate"));
  viss.socket.key_path = TRY(text_of(table, "key"));
  if (viss.socket.certificate_path.empty() != viss.socket.key_path.empty())
    return fail(ErrorCode::kInvalidArgument, "viss.certificate and viss.key go together");
  if (const std::string path = TRY(text_of(table, "token_file")); !path.empty()) {
    TRY(read_token(disk, path));
    viss.token = [&disk, path] { return read_token(disk, path); };
  }
  viss.period_ms = static_cast<std::uint32_t>(
      TRY(number_of(table, "period_ms", viss.period_ms, kPeriodMsMin, kPeriodMsMax)));
  viss.command_seconds_max = static_cast<std::uint32_t>(
      TRY(number_of(table, "command_seconds_max", viss.command_seconds_max, 1, kHookSecondsMax)));
  for (auto [key, path] :
       {std::pair{"request_path", &viss.request_path}, std::pair{"answer_path", &viss.answer_path},
        std::pair{"screen_path", &viss.screen_path}})
    if (std::string text = TRY(text_of(table, key)); !text.empty()) {
      TRY_VOID(check_path(text));
      *path = std::move(text);
    }
  TRY_VOID(check_secrets(viss));
  return check_tls_files(disk, viss.socket);
}

Result<void> read_signal(const std::string& name, const toml::table& table,
                         std::vector<VissSignal>& signals) {
  TRY_VOID(check_keys(table, name + ": ", {"path", "unit", "values", "absent", "age_seconds"}));
  VissSignal signal{name, {name}};
  if (const toml::node* path = table.get("path")) signal.paths = TRY(texts_of(*path, "path"));
  if (const toml::node* absent = table.get("absent")) {
    if (absent->value_exact<bool>() != true || table.contains("path"))
      return fail(ErrorCode::kInvalidArgument, "absent = true, and no path beside it, is wanted");
    signal.paths.clear();
  }
  for (const std::string& path : signal.paths) TRY_VOID(check_path(path));
  if (const std::string unit = TRY(text_of(table, "unit")); !unit.empty())
    signal.factor = TRY(unit_factor(unit));
  if (table.contains("age_seconds"))
    signal.age_ms_max =
        1000 * TRY(number_of(table, "age_seconds", 0, kAgeSecondsMin, kAgeSecondsMax));
  const toml::node* values = table.get("values");
  if (values != nullptr && !values->is_table())
    return fail(ErrorCode::kInvalidArgument, "values: a table is wanted");
  if (values != nullptr) {
    for (const auto& [key, value] : *values->as_table()) {
      const auto text = value.value_exact<std::string>();
      if (!text)
        return fail(ErrorCode::kInvalidArgument, "values: {}: a text is wanted", key.str());
      signal.values[std::string(key.str())] = *text;
    }
  }
  std::erase_if(signals, [&](const VissSignal& known) { return known.name == name; });
  signals.push_back(std::move(signal));
  return {};
}

// A door of our own naming, or a signal of facts.h.
bool is_known_signal(const std::string& name, const std::vector<VissSignal>& signals) {
  return std::ranges::any_of(signals, [&](const VissSignal& s) { return s.name == name; }) ||
         is_of_door(name);
}

Result<void> read_signals(const toml::table& table, VissOptions& viss) {
  for (const auto& [key, node] : table) {
    const std::string name(key.str());
    if (!node.is_table() || !is_known_signal(name, viss.signals))
      return fail(ErrorCode::kInvalidArgument, "signals: {} is no signal that the agent reads",
                  name);
    TRY_VOID(read_signal(name, *node.as_table(), viss.signals).map_error([&](Error error) {
      return std::move(error).with_context(name);
    }));
  }
  return {};
}

Result<void> check_program(const std::string& path) {
  if (!path.starts_with('/'))
    return fail(ErrorCode::kInvalidArgument, "an absolute path is wanted");
  struct stat file {};
  if (::stat(path.c_str(), &file) != 0)
    return fail(ErrorCode::kNotFound, "{}: {}", path, std::strerror(errno));
  if (!S_ISREG(file.st_mode) || ::access(path.c_str(), X_OK) != 0)
    return fail(ErrorCode::kInvalidArgument, "{}: is no program that may be started", path);
  return {};
}

Result<void> read_hooks(const toml::table& table, HookOptions& hooks) {
  hooks.seconds_max = TRY(number_of(table, "seconds_max", hooks.seconds_max, 1, kHookSecondsMax));
  for (const auto& [key, node] : table) {
    if (key.str() == "seconds_max") continue;
    const auto hook = hook_from(key.str());
    if (!hook) return fail(ErrorCode::kInvalidArgument, "hooks.{} is not known", key.str());
    auto program = TRY(texts_of(node, key.str()));
    TRY_VOID(check_program(program.front()).map_error([&](Error error) {
      return std::move(error).with_context(fmt::format("hooks.{}", key.str()));
    }));
    hooks.programs[*hook] = std::move(program);
  }
  return {};
}

Result<VehicleConfig> parse(Disk& disk, std::string_view text) {
  const toml::table root = toml::parse(text);
  TRY_VOID(check_keys(root, "", {"viss", "signals", "hooks"}));
  VehicleConfig config;
  for (const std::string_view name : {"viss", "signals", "hooks"}) {
    const toml::node* node = root.get(name);
    if (node != nullptr && !node->is_table())
      return fail(ErrorCode::kInvalidArgument, "{}: a table is wanted", name);
  }
  if (!root.contains("viss")) return fail(ErrorCode::kInvalidArgument, "[viss] is missing");
  TRY_VOID(read_viss(disk, *root.get("viss")->as_table(), config.viss));
  if (root.contains("signals"))
    TRY_VOID(read_signals(*root.get("signals")->as_table(), config.viss));
  if (root.contains("hooks")) TRY_VOID(read_hooks(*root.get("hooks")->as_table(), config.hooks));
  return config;
}

}  // namespace

Result<VehicleConfig> vehicle_at(const std::string& address) {
  const std::string unix_scheme = "unix:";
  VehicleConfig config;
  config.viss.socket.subprotocol = std::string(kVissSubprotocol);
  config.viss.socket.url = address;
  if (address.starts_with(unix_scheme)) {
    config.viss.socket.url = "ws://localhost/";
    config.viss.socket.unix_path = address.substr(unix_scheme.size());
    if (config.viss.socket.unix_path.empty())
      return fail(ErrorCode::kInvalidArgument, "vehicle {}: the path of a socket is wanted",
                  address);
  }
  TRY_VOID(check_viss_options(config.viss));
  return config;
}

Result<VehicleConfig> vehicle_from(Disk& disk, const std::string& choice) {
  const std::string file_scheme = "config:";
  if (!choice.starts_with(file_scheme)) return vehicle_at(choice);
  if (choice == file_scheme)
    return fail(ErrorCode::kInvalidArgument,
                "config: is to name a file: config:/etc/layby/car.toml");
  return read_vehicle_config(disk, choice.substr(file_scheme.size()));
}

Result<VehicleConfig> read_vehicle_config(Disk& disk, const std::string& path) {
  const Bytes bytes = TRY(read_file(disk, path, kConfigBytesMax));
  try {
    return TRY_CONTEXT(parse(disk, as_text(bytes)), path);
  } catch (const toml::parse_error& error) {
    return fail(ErrorCode::kInvalidArgument, "{}:{}: {}", path, error.source().begin.line,
                error.description());
  }
}

}  // namespace layby::agent
