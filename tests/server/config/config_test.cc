#include "server/config/config.h"

#include <catch2/catch.hpp>
#include <map>

#include "tests/temp_dir.h"

using namespace layby;
using server::Config;
using server::parse_config;

namespace {

std::string error_of(std::string_view text) {
  const auto config = parse_config(text, "/etc/layby/laybyd.toml");
  REQUIRE_FALSE(config);
  CHECK(config.error().code() == ErrorCode::kBadFormat);
  return config.error().message();
}

}  // namespace

TEST_CASE("config: defaults, and what init writes is the defaults") {
  const auto defaults = parse_config("", "/srv/ota/laybyd.toml");
  REQUIRE(defaults);
  CHECK(defaults->data.directory == "/srv/ota");
  CHECK(defaults->tls.certificate == "/srv/ota/tls/server.pem");
  CHECK(defaults->keys.passphrase_file == "/srv/ota/keys/passphrase");
  CHECK(defaults->listen.port == 8443);
  CHECK(defaults->fleet.simulation == server::Simulation::kOff);
  const auto initial = parse_config(server::initial_config_text(), "/srv/ota/laybyd.toml");
  if (!initial) FAIL(initial.error().message());
  CHECK(initial->data.directory == defaults->data.directory);
  CHECK(initial->tls.vehicle_authority_key == defaults->tls.vehicle_authority_key);
  CHECK(initial->keys.directory == defaults->keys.directory);
  CHECK(initial->http.threads == defaults->http.threads);
  CHECK(initial->http.connections_max == defaults->http.connections_max);
  CHECK(initial->uploads.free_bytes_min == defaults->uploads.free_bytes_min);
  CHECK(initial->payload_jobs.nice == defaults->payload_jobs.nice);
  CHECK(initial->payload_jobs.delta_bases == defaults->payload_jobs.delta_bases);
  CHECK(initial->payload_jobs.memory_bytes_max == defaults->payload_jobs.memory_bytes_max);
  CHECK(initial->fleet.poll_seconds == defaults->fleet.poll_seconds);
}

TEST_CASE("config: every key is read") {
  const auto config = parse_config(R"(
[listen]
address = "::1"
port = 0
public_base_url = "https://ota.example.com/layby"
[data]
directory = "/var/lib/layby"
[tls]
certificate = "/a"
key = "b"
vehicle_authority = "c"
vehicle_authority_key = "d"
[keys]
directory = "k"
passphrase_file = "/run/passphrase"
[http]
threads = 3
connections_max = 5
header_bytes_max = 2048
handshake_seconds = 1
header_seconds = 2
body_seconds = 3
idle_seconds = 4
write_seconds = 5
shutdown_seconds = 0
[uploads]
free_bytes_min = 0
abandoned_days = 1
[payload_jobs]
nice = 0
delta_bases = 16
memory_bytes_max = 300000000
[log]
level = "error"
[fleet]
poll_seconds = 2
simulation = true
)",
                                   "/srv/laybyd.toml");
  if (!config) FAIL(config.error().message());
  CHECK(config->listen.address == "::1");
  CHECK(config->listen.port == 0);
  CHECK(config->listen.public_base_url == "https://ota.example.com/layby");
  CHECK(config->data.directory == "/var/lib/layby");
  CHECK(config->tls.certificate == "/a");
  CHECK(config->tls.key == "/srv/b");
  CHECK(config->tls.vehicle_authority == "/srv/c");
  CHECK(config->tls.vehicle_authority_key == "/srv/d");
  CHECK(config->keys.directory == "/srv/k");
  CHECK(config->keys.passphrase_file == "/run/passphrase");
  CHECK(config->http.threads == 3);
  CHECK(config->http.connections_max == 5);
  CHECK(config->http.header_bytes_max == 2048);
  CHECK(config->http.handshake_seconds == 1);
  CHECK(config->http.header_seconds == 2);
  CHECK(config->http.body_seconds == 3);
  CHECK(config->http.idle_seconds == 4);
  CHECK(config->http.write_seconds == 5);
  CHECK(config->http.shutdown_seconds == 0);
  CHECK(config->uploads.free_bytes_min == 0);
  CHECK(config->uploads.abandoned_days == 1);
  CHECK(config->payload_jobs.nice == 0);
  CHECK(config->payload_jobs.delta_bases == 16);
  CHECK(config->payload_jobs.memory_bytes_max == 300'000'000);
  CHECK(config->log.level == server::LogLevel::kError);
  CHECK(config->fleet.poll_seconds == 2);
  CHECK(config->fleet.simulation == server::Simulation::kOn);
}

TEST_CASE("config: each mistake is named with file, line and key, all at once") {
  const std::string path = "/etc/layby/laybyd.toml:";
  CHECK(error_of("[http]\nthreads = 0\n\n[fleeet]\nx = 1\n[log]\nlevel = \"loud\"\ncolour = 1") ==
        path + "2: http.threads must be a whole number from 1 to 1024\n" + path +
            "4: fleeet is not a key that laybyd knows\n" + path +
            "7: log.level must be \"debug\", \"info\", \"warning\" or \"error\"\n" + path +
            "8: log.colour is not a key that laybyd knows");
  for (const auto& [text, expected] : std::map<std::string, std::string>{
           {"[listen]\nport = \"8443\"", ":2: listen.port must be a whole number from 0 to 65535"},
           {"[listen]\nport = 65536", ":2: listen.port"},
           {"[listen]\nport = 1.5", ":2: listen.port"},
           {"[listen]\naddress = \"localhost\"", ":2: listen.address must be an IP address"},
           {"[listen]\naddress = 1", ":2: listen.address must be a text"},
           {"[listen]\npublic_base_url = \"http://x\"", ":2: listen.public_base_url must begin"},
           {"[listen]\npublic_base_url = \"https://x/\"", ":2: listen.public_base_url must begin"},
           {"[tls]\nkey = \"\"", ":2: tls.key must be a text"},
           {"[fleet]\npoll_seconds = 7200\nsilent_hours = 3",
            ":3: fleet.silent_hours must be 0, or at least 4: cars call every 7200 seconds"},
           {"[fleet]\nsilent_hours = 167\npoll_seconds = 302400",
            ":2: fleet.silent_hours must be 0, or at least 168"},
           {"[fleet]\nsimulation = 1", ":2: fleet.simulation must be true or false"},
           {"listen = 5", ":1: listen must be a table"},
           {"port = 1", ":1: port is not a key"},
           {"[http]\nthreads = 1\nthreads = 2", ":3: "},
           {"[http\n", ":1: "}}) {
    INFO(text);
    CHECK_THAT(error_of(text), Catch::Contains(expected));
  }
}

TEST_CASE("config: simulation only on loopback") {
  for (const char* address : {"0.0.0.0", "192.168.1.1", "::", "128.0.0.1"})
    CHECK_THAT(error_of(std::string("[listen]\naddress = \"") + address +
                        "\"\n[fleet]\nsimulation = true"),
               Catch::Contains(":4: fleet.simulation is allowed on a loopback address only"));
  CHECK(parse_config("[listen]\naddress = \"127.8.8.8\"\n[fleet]\nsimulation = true", "c.toml"));
}

TEST_CASE("config: a missing file says so") {
  RealDisk disk;
  const tests::TempDir dir;
  const auto config = server::read_config(disk, dir / "laybyd.toml");
  REQUIRE_FALSE(config);
  CHECK(config.error().code() == ErrorCode::kNotFound);
  CHECK_THAT(config.error().message(), Catch::Contains("laybyd.toml"));
}
