// Configuration files: the first byte says whether the rest is the server's or that of a car. What
// was read of the server's is written out again, and read the same; a key that nobody knows is
// refused wherever the rest is taken.
#include "agent/vehicle_config.h"
#include "base/assert.h"
#include "server/config/config.h"
#include "tests/agent/memory_disk.h"

using namespace layby;
using server::Config;

namespace {

constexpr const char* kPath = "/etc/layby/fuzzed.toml";

class Writer {
 public:
  void table(const char* name) { text_ += fmt::format("[{}]\n", name); }
  void put(const char* key, const std::string& value) {
    if (value.empty()) return;  // the same as to leave it out
    text_ += fmt::format("{} = \"", key);
    for (const char c : value) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte < 0x20 || byte == 0x7f || c == '"' || c == '\\')
        text_ += fmt::format("\\u{:04x}", byte);
      else
        text_ += c;
    }
    text_ += "\"\n";
  }
  template <typename T>
  requires std::is_integral_v<T>
  void put(const char* key, T value) { text_ += fmt::format("{} = {}\n", key, value); }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

void write_service(Writer& out, const Config& config) {
  out.table("listen");
  out.put("address", config.listen.address);
  out.put("port", config.listen.port);
  out.put("public_base_url", config.listen.public_base_url);
  out.table("data");
  out.put("directory", config.data.directory);
  out.table("tls");
  out.put("certificate", config.tls.certificate);
  out.put("key", config.tls.key);
  out.put("vehicle_authority", config.tls.vehicle_authority);
  out.put("vehicle_authority_key", config.tls.vehicle_authority_key);
  out.table("keys");
  out.put("directory", config.keys.directory);
  out.put("passphrase_file", config.keys.passphrase_file);
  out.table("http");
  out.put("threads", config.http.threads);
  out.put("connections_max", config.http.connections_max);
  out.put("header_bytes_max", config.http.header_bytes_max);
  out.put("handshake_seconds", config.http.handshake_seconds);
  out.put("header_seconds", config.http.header_seconds);
  out.put("body_seconds", config.http.body_seconds);
  out.put("idle_seconds", config.http.idle_seconds);
  out.put("write_seconds", config.http.write_seconds);
  out.put("shutdown_seconds", config.http.shutdown_seconds);
}

const char* level_name(server::LogLevel level) {
  switch (level) {
    case server::LogLevel::kDebug: return "debug";
    case server::LogLevel::kInfo: return "info";
    case server::LogLevel::kWarning: return "warning";
    case server::LogLevel::kError: return "error";
  }
  LAYBY_ASSERT(false);
}

void write_rest(Writer& out, const Config& config) {
  out.table("uploads");
  out.put("free_bytes_min", config.uploads.free_bytes_min);
  out.put("abandoned_days", config.uploads.abandoned_days);
  out.table("payload_jobs");
  out.put("nice", config.payload_jobs.nice);
  out.put("delta_bases", config.payload_jobs.delta_bases);
  out.put("memory_bytes_max", config.payload_jobs.memory_bytes_max);
  out.table("log");
  out.put("level", std::string(level_name(config.log.level)));
  out.table("webhooks");
  out.put("ca_file", config.webhooks.ca_file);
  out.put("timeout_seconds", config.webhooks.timeout_seconds);
  out.put("attempts_max", config.webhooks.attempts_max);
  out.put("backoff_seconds_max", config.webhooks.backoff_seconds_max);
  out.table("fleet");
  out.put("poll_seconds", config.fleet.poll_seconds);
  out.put("certificate_days", config.fleet.certificate_days);
  out.put("silent_hours", config.fleet.silent_hours);
  out.put("writes_per_minute", config.fleet.writes_per_minute);
  out.put("simulation", config.fleet.simulation == server::Simulation::kOn);
}

void write_oidc(Writer& out, const Config::Oidc& oidc) {
  out.table("oidc");
  out.put("issuer", oidc.issuer);
  out.put("audience", oidc.audience);
  out.put("keys_file", oidc.keys_file);
  out.put("keys_url", oidc.keys_url);
  out.put("ca_file", oidc.ca_file);
  out.put("role_claim", oidc.role_claim);
  out.put("operator_value", oidc.operator_value);
  out.put("partner_value", oidc.partner_value);
  out.put("owner_value", oidc.owner_value);
  out.put("default_role", oidc.default_role);
  out.put("make_accounts", oidc.make_accounts);
  out.put("skew_seconds", oidc.skew_seconds);
}

std::string written(const Config& config) {
  Writer out;
  write_service(out, config);
  write_rest(out, config);
  write_oidc(out, config.oidc);
  return out.take();
}

void check_server(std::string_view text) {
  const auto config = server::parse_config(text, kPath);
  if (!config) {
    LAYBY_ASSERT(config.error().code() == ErrorCode::kBadFormat);
    LAYBY_ASSERT(config.error().message().starts_with(kPath));
    return;
  }
  const std::string once = written(*config);
  const auto again = server::parse_config(once, kPath);
  LAYBY_ASSERT(again && written(*again) == once);
  LAYBY_ASSERT(!server::parse_config(once + "[nobody_knows]\n", kPath));
  LAYBY_ASSERT(!server::parse_config(once + "nobody_knows = 1\n", kPath));
  const auto& oidc = config->oidc;
  LAYBY_ASSERT(oidc.issuer.empty() || oidc.keys_file.empty() != oidc.keys_url.empty());
}

void check_car(ByteSpan text) {
  tests::MemoryDisk disk;
  LAYBY_ASSERT(disk.make_dirs("/etc/layby") && replace_file(disk, kPath, text));
  const auto config = agent::read_vehicle_config(disk, kPath);
  if (!config) return;
  LAYBY_ASSERT(agent::check_viss_options(config->viss));
  LAYBY_ASSERT(config->viss.period_ms >= 100 && config->viss.period_ms <= 5'000);
  LAYBY_ASSERT(config->viss.command_seconds_max >= 1 && config->viss.command_seconds_max <= 540);
  LAYBY_ASSERT(config->hooks.seconds_max >= 1 && config->hooks.seconds_max <= 540);
  // No secret where anybody can listen.
  LAYBY_ASSERT(!config->viss.token || config->viss.socket.url.starts_with("wss://") ||
               !config->viss.socket.unix_path.empty());
  for (const agent::VissSignal& signal : config->viss.signals)
    for (const std::string& path : signal.paths)
      LAYBY_ASSERT(!path.empty() && path.find_first_of(" \"\\\n") == std::string::npos);
  Bytes stranger(text.begin(), text.end());
  for (const char c : std::string_view("\n[nobody_knows]\n"))
    stranger.push_back(static_cast<std::uint8_t>(c));
  LAYBY_ASSERT(replace_file(disk, kPath, stranger) && !agent::read_vehicle_config(disk, kPath));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ByteSpan rest{data + 1, size - 1};
  if (data[0] == 'c')
    check_car(rest);
  else
    check_server(as_text(rest));
  return 0;
}
