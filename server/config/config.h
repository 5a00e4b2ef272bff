// `laybyd.toml`. Every key has a default; an unknown key, a wrong type or a value out of range is
// an error that names file, line and key. docs/operations.md explains each key to operators.
#pragma once

#include <cstdint>
#include <string>

#include "base/disk.h"
#include "base/limits.h"
#include "base/result.h"
#include "server/services.h"

namespace layby::server {

struct Config {
  struct Listen {
    std::string address = "127.0.0.1";
    std::uint16_t port = 8443;    // 0: any free one
    std::string public_base_url;  // how cars and people reach us; empty: https://address:port
  } listen;

  // Paths are absolute once the file has been read: there they are relative to its directory.
  struct Data {
    std::string directory = ".";
  } data;

  struct Tls {
    std::string certificate = "tls/server.pem";  // with its chain
    std::string key = "tls/server.key";
    std::string vehicle_authority = "tls/vehicle-ca.pem";
    std::string vehicle_authority_key = "tls/vehicle-ca.key";
  } tls;

  struct Keys {
    std::string directory = "keys";
    std::string passphrase_file = "keys/passphrase";
  } keys;

  struct Http {
    unsigned threads = 16;
    std::uint64_t connections_max = 4096;
    std::uint64_t header_bytes_max = 16 * kKiB;
    std::uint64_t handshake_seconds = 10;
    std::uint64_t header_seconds = 10;
    std::uint64_t body_seconds = 20;
    std::uint64_t idle_seconds = 60;
    std::uint64_t write_seconds = 60;
    std::uint64_t shutdown_seconds = 20;  // for requests in flight
  } http;

  struct Uploads {
    std::uint64_t free_bytes_min = 256 * kMiB;
    std::uint64_t abandoned_days = 7;
  } uploads;

  struct PayloadJobs {
    int nice = 10;                  // of the thread that makes deltas, 0 to 19
    std::uint64_t delta_bases = 3;  // earlier releases that a new image gets deltas from
    std::uint64_t memory_bytes_max = 1536 * kMiB;  // that making one may hold
  } payload_jobs;

  struct Log {
    LogLevel level = LogLevel::kInfo;
  } log;

  // An identity provider whose tokens are taken beside our own; none where `issuer` is empty.
  struct Oidc {
    std::string issuer;
    std::string audience;
    std::string keys_file;  // JWKS; one of the two
    std::string keys_url;
    std::string ca_file;  // PEM, for keys_url; empty: the machine's authorities
    std::string role_claim = "role";
    std::string operator_value;  // what the claim says of each; empty: nobody is one by it
    std::string partner_value;
    std::string owner_value;
    std::string default_role;  // "owner" or "partner"; empty: who has no role is refused
    bool make_accounts = false;
    std::int64_t skew_seconds = 60;
  } oidc;

  struct Webhooks {
    std::string ca_file;  // PEM; empty: the machine's authorities
    std::uint64_t timeout_seconds = 10;
    std::uint64_t attempts_max = 20;  // then an event goes to the dead letters
    std::uint64_t backoff_seconds_max = 3600;
  } webhooks;

  struct Fleet {
    std::int64_t poll_seconds = 900;
    std::uint64_t certificate_days = 1825;
    std::uint64_t silent_hours = 336;  // until a car that does not call counts as silent; 0: never
    std::uint64_t writes_per_minute = 12;      // of an owner's or partner's account; 0: without end
    Simulation simulation = Simulation::kOff;  // only on a loopback address
  } fleet;
};

// kBadFormat with one line for each thing that is wrong; kNotFound, kIo where the file cannot be
// read.
Result<Config> read_config(Disk& disk, const std::string& path);

// The same from text. `path` is for messages, and paths in it are relative to its directory.
Result<Config> parse_config(std::string_view text, const std::string& path);

// What `laybyd init` writes: the defaults, with a word on each.
std::string initial_config_text();

}  // namespace layby::server
