#include "server/config/config.h"

#include <arpa/inet.h>
#include <toml++/toml.h>

#include <filesystem>
#include <limits>
#include <map>
#include <set>
#include <type_traits>

namespace layby::server {
namespace {

constexpr std::uint64_t kConfigBytesMax = 64 * kKiB;

// Everything that is wrong, so that the operator mends it in one go.
class Findings {
 public:
  explicit Findings(std::string path) : path_(std::move(path)) {}

  void add(const toml::source_region& where, const std::string& text) {
    by_line_.emplace(where.begin.line, text);
  }
  bool empty() const { return by_line_.empty(); }
  std::string text() const {
    std::string all;
    for (const auto& [line, text] : by_line_)
      all += fmt::format("{}{}:{}: {}", all.empty() ? "" : "\n", path_, line, text);
    return all;
  }

 private:
  std::string path_;
  std::multimap<unsigned, std::string> by_line_;
};

// One table of the file. Keys that nobody asked for are findings at the end of its life.
class Table {
 public:
  Table(const toml::table& file, std::string name, Findings& findings, std::set<std::string>& known)
      : name_(std::move(name)), findings_(findings) {
    known.insert(name_);
    const toml::node* node = file.get(name_);
    if (!node) return;
    table_ = node->as_table();
    if (!table_) findings_.add(node->source(), fmt::format("{} must be a table", name_));
  }
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;
  ~Table() {
    if (!table_) return;
    for (const auto& [key, node] : *table_)
      if (asked_.count(std::string(key.str())) == 0)
        findings_.add(node.source(),
                      fmt::format("{}.{} is not a key that laybyd knows", name_, key.str()));
  }

  void read(const char* key, std::string& value) {
    if (const toml::node* node = find(key)) {
      if (const auto* text = node->as_string(); text && !text->get().empty())
        value = text->get();
      else
        findings_.add(node->source(), fmt::format("{}.{} must be a text", name_, key));
    }
  }

  void read(const char* key, bool& value) {
    if (const toml::node* node = find(key)) {
      if (const auto* flag = node->as_boolean())
        value = flag->get();
      else
        findings_.add(node->source(), fmt::format("{}.{} must be true or false", name_, key));
    }
  }

  template <typename T>
  requires std::is_integral_v<T>
  void read(const char* key, T& value, std::int64_t least, std::int64_t most) {
    if (const toml::node* node = find(key)) {
      const auto* number = node->as_integer();
      if (number && number->get() >= least && number->get() <= most)
        value = static_cast<T>(number->get());
      else
        findings_.add(node->source(), fmt::format("{}.{} must be a whole number from {} to {}",
                                                  name_, key, least, most));
    }
  }

  // The node, marked as known; null if it is absent.
  const toml::node* find(const char* key) {
    asked_.insert(key);
    return table_ ? table_->get(key) : nullptr;
  }
  void wrong(const toml::node& node, const char* key, const std::string& text) {
    findings_.add(node.source(), fmt::format("{}.{} {}", name_, key, text));
  }

 private:
  std::string name_;
  Findings& findings_;
  const toml::table* table_ = nullptr;
  std::set<std::string> asked_;
};

enum class Reach { kLoopback, kOther, kNoAddress };

Reach reach_of(const std::string& address) {
  in_addr four{};
  in6_addr six{};
  if (::inet_pton(AF_INET, address.c_str(), &four) == 1)
    return (ntohl(four.s_addr) >> 24) == 127 ? Reach::kLoopback : Reach::kOther;
  if (::inet_pton(AF_INET6, address.c_str(), &six) == 1) {
    const std::uint8_t loopback[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    return std::equal(std::begin(loopback), std::end(loopback), six.s6_addr) ? Reach::kLoopback
                                                                             : Reach::kOther;
  }
  return Reach::kNoAddress;
}

void read_listen(Table& table, Config::Listen& listen) {
  table.read("address", listen.address);
  if (const toml::node* node = table.find("address");
      node && node->is_string() && reach_of(listen.address) == Reach::kNoAddress)
    table.wrong(*node, "address", "must be an IP address");
  table.read("port", listen.port, 0, 65'535);
  table.read("public_base_url", listen.public_base_url);
  const std::string& url = listen.public_base_url;
  if (const toml::node* node = table.find("public_base_url");
      node && node->is_string() &&
      (!url.starts_with("https://") || url.size() < 9 || url.ends_with("/") ||
       url.find_first_of(" \t\r\n?#") != std::string::npos))
    table.wrong(*node, "public_base_url", "must begin with https:// and end without a slash");
}

void read_tls(Table& table, Config::Tls& tls) {
  table.read("certificate", tls.certificate);
  table.read("key", tls.key);
  table.read("vehicle_authority", tls.vehicle_authority);
  table.read("vehicle_authority_key", tls.vehicle_authority_key);
}

void read_http(Table& table, Config::Http& http) {
  table.read("threads", http.threads, 1, 1024);
  table.read("connections_max", http.connections_max, 1, 1'000'000);
  table.read("header_bytes_max", http.header_bytes_max, 1024, 1024 * 1024);
  table.read("handshake_seconds", http.handshake_seconds, 1, 600);
  table.read("header_seconds", http.header_seconds, 1, 600);
  table.read("body_seconds", http.body_seconds, 1, 3600);
  table.read("idle_seconds", http.idle_seconds, 1, 3600);
  table.read("write_seconds", http.write_seconds, 1, 3600);
  table.read("shutdown_seconds", http.shutdown_seconds, 0, 3600);
}

void read_log(Table& table, Config::Log& log) {
  const toml::node* node = table.find("level");
  if (!node) return;
  const auto* text = node->as_string();
  const std::string name = text ? text->get() : "";
  if (name == "debug")
    log.level = LogLevel::kDebug;
  else if (name == "info")
    log.level = LogLevel::kInfo;
  else if (name == "warning")
    log.level = LogLevel::kWarning;
  else if (name == "error")
    log.level = LogLevel::kError;
  else
    table.wrong(*node, "level", "must be \"debug\", \"info\", \"warning\" or \"error\"");
}

void read_fleet(Table& table, const Config::Listen& listen, Config::Fleet& fleet) {
  table.read("poll_seconds", fleet.poll_seconds, 1, 7 * 86'400);
  table.read("certificate_days", fleet.certificate_days, 1, 7300);
  table.read("silent_hours", fleet.silent_hours, 0, 87'600);
  const std::int64_t heard_within = kPollsBeforeSilent * fleet.poll_seconds;
  if (fleet.silent_hours > 0 && static_cast<std::int64_t>(fleet.silent_hours) * 3600 < heard_within)
    table.wrong(*table.find("silent_hours"), "silent_hours",
                fmt::format("must be 0, or at least {}: cars call every {} seconds "
                            "(fleet.poll_seconds), and all of them would count as silent",
                            (heard_within + 3599) / 3600, fleet.poll_seconds));
  table.read("writes_per_minute", fleet.writes_per_minute, 0, 100'000);
  bool simulation = false;
  table.read("simulation", simulation);
  if (!simulation) return;
  fleet.simulation = Simulation::kOn;
  if (reach_of(listen.address) != Reach::kLoopback)
    table.wrong(*table.find("simulation"), "simulation",
                "is allowed on a loopback address only: anybody could move the time");
}

bool is_url(const std::string& url) {
  const bool loopback = url.starts_with("http://127.0.0.1:") || url.starts_with("http://[::1]:");
  return (url.starts_with("https://") || loopback) &&
         url.find_first_of(" \t\r\n#@") == std::string::npos;
}

void read_oidc_roles(Table& table, Config::Oidc& oidc) {
  table.read("role_claim", oidc.role_claim);
  table.read("operator_value", oidc.operator_value);
  table.read("partner_value", oidc.partner_value);
  table.read("owner_value", oidc.owner_value);
  table.read("default_role", oidc.default_role);
  const toml::node* node = table.find("default_role");
  // Nobody becomes an operator because something was left out.
  if (node && oidc.default_role != "owner" && oidc.default_role != "partner")
    table.wrong(*node, "default_role", "must be \"owner\" or \"partner\"");
}

void read_oidc(Table& table, Config::Oidc& oidc) {
  table.read("issuer", oidc.issuer);
  table.read("audience", oidc.audience);
  table.read("keys_file", oidc.keys_file);
  table.read("keys_url", oidc.keys_url);
  table.read("ca_file", oidc.ca_file);
  table.read("make_accounts", oidc.make_accounts);
  table.read("skew_seconds", oidc.skew_seconds, 0, 300);
  read_oidc_roles(table, oidc);
  const toml::node* issuer = table.find("issuer");
  if (!issuer) return;
  if (oidc.audience.empty()) table.wrong(*issuer, "audience", "is needed with oidc.issuer");
  if (oidc.keys_file.empty() == oidc.keys_url.empty())
    table.wrong(*issuer, "keys_file", "or oidc.keys_url is needed with oidc.issuer, one of them");
  if (const toml::node* url = table.find("keys_url"); url && !is_url(oidc.keys_url))
    table.wrong(*url, "keys_url", "must begin with https://; http:// only on a loopback address");
}

void read_webhooks(Table& table, Config::Webhooks& webhooks) {
  table.read("ca_file", webhooks.ca_file);
  table.read("timeout_seconds", webhooks.timeout_seconds, 1, 120);
  table.read("attempts_max", webhooks.attempts_max, 1, 1000);
  table.read("backoff_seconds_max", webhooks.backoff_seconds_max, 1, 86'400);
}

void read_rest(const toml::table& file, Findings& findings, std::set<std::string>& known,
               Config& config) {
  Table(file, "data", findings, known).read("directory", config.data.directory);
  {
    Table keys(file, "keys", findings, known);
    keys.read("directory", config.keys.directory);
    keys.read("passphrase_file", config.keys.passphrase_file);
  }
  {
    constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
    Table uploads(file, "uploads", findings, known);
    uploads.read("free_bytes_min", config.uploads.free_bytes_min, 0, kMax);
    uploads.read("abandoned_days", config.uploads.abandoned_days, 1, 365);
  }
  {
    Table oidc(file, "oidc", findings, known);
    read_oidc(oidc, config.oidc);
    Table webhooks(file, "webhooks", findings, known);
    read_webhooks(webhooks, config.webhooks);
  }
  Table jobs(file, "payload_jobs", findings, known);
  jobs.read("nice", config.payload_jobs.nice, 0, 19);
  jobs.read("delta_bases", config.payload_jobs.delta_bases, 0, 16);
  jobs.read("memory_bytes_max", config.payload_jobs.memory_bytes_max, 256 * kMiB, 64 * kGiB);
}

void make_absolute(Config& config, const std::string& config_path) {
  const std::filesystem::path base = std::filesystem::absolute(parent_dir(config_path));
  for (std::string* path : {&config.data.directory, &config.tls.certificate, &config.tls.key,
                            &config.tls.vehicle_authority, &config.tls.vehicle_authority_key,
                            &config.keys.directory, &config.keys.passphrase_file})
    *path = (base / *path).lexically_normal().string();
  for (std::string* path : {&config.oidc.keys_file, &config.oidc.ca_file, &config.webhooks.ca_file})
    if (!path->empty()) *path = (base / *path).lexically_normal().string();
  // "DATA/." is normalised to "DATA/".
  std::string& data = config.data.directory;
  while (data.size() > 1 && data.back() == '/') data.pop_back();
}

}  // namespace

Result<Config> parse_config(std::string_view text, const std::string& path) {
  toml::table file;
  try {
    file = toml::parse(text, path);
  } catch (const toml::parse_error& error) {
    return fail(ErrorCode::kBadFormat, "{}:{}: {}", path, error.source().begin.line,
                error.description());
  }
  Config config;
  Findings findings(path);
  std::set<std::string> known;
  {
    Table listen(file, "listen", findings, known);
    read_listen(listen, config.listen);
    Table tls(file, "tls", findings, known);
    read_tls(tls, config.tls);
    Table http(file, "http", findings, known);
    read_http(http, config.http);
    Table log(file, "log", findings, known);
    read_log(log, config.log);
    Table fleet(file, "fleet", findings, known);
    read_fleet(fleet, config.listen, config.fleet);
  }
  read_rest(file, findings, known, config);
  for (const auto& [key, node] : file)
    if (known.count(std::string(key.str())) == 0)
      findings.add(node.source(), fmt::format("{} is not a key that laybyd knows", key.str()));
  if (!findings.empty()) return fail(ErrorCode::kBadFormat, "{}", findings.text());
  make_absolute(config, path);
  return config;
}

Result<Config> read_config(Disk& disk, const std::string& path) {
  const Bytes bytes = TRY(read_file(disk, path, kConfigBytesMax));
  return parse_config(as_text(bytes), path);
}

std::string initial_config_text() {
  return R"(# laybyd: the Layby server. Paths are relative to this file's directory.
# Check it with: laybyd check-config --config laybyd.toml

[listen]
address = "127.0.0.1"       # the address that cars and people reach; 0.0.0.0 for all
port = 8443                 # 0: any free one
# public_base_url = "https://ota.example.com"   # behind a proxy; default: https://address:port

[data]
directory = "."             # key space, payloads

[tls]
certificate = "tls/server.pem"
key = "tls/server.key"
vehicle_authority = "tls/vehicle-ca.pem"
vehicle_authority_key = "tls/vehicle-ca.key"

[keys]
directory = "keys"
passphrase_file = "keys/passphrase"

[http]
threads = 16                # requests that are handled at once
connections_max = 4096

[uploads]
free_bytes_min = 268435456  # what uploads and payload jobs must leave free on the disk
abandoned_days = 7

[payload_jobs]
nice = 10                   # of the thread that makes deltas
delta_bases = 3             # earlier releases that a new image gets deltas from
memory_bytes_max = 1610612736  # that making one may hold; the rest goes to temporary files

[log]
level = "info"              # debug, info, warning, error

[fleet]
poll_seconds = 900          # how often cars ask for news
certificate_days = 1825     # of cars' certificates; they renew them from half of it on
silent_hours = 336          # without a call from a car until it counts as silent; 0: never
writes_per_minute = 12      # of an owner's or a partner's account, after 60 at once; 0: no limit
simulation = false          # a clock that can be moved forward; loopback only, never with real cars

[webhooks]
timeout_seconds = 10        # for each call
attempts_max = 20           # then an event goes to the endpoint's dead letters

# [oidc]                    # an identity provider whose tokens are taken too
# issuer = "https://id.example.com"
# audience = "layby"
# keys_url = "https://id.example.com/jwks.json"
# role_claim = "role"
# owner_value = "customer"
# make_accounts = true      # of whoever comes with a token for the first time
)";
}

}  // namespace layby::server
