// laybyd: the fleet server.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "crypto/initialize.h"
#include "server/config/config.h"
#include "server/director/online_keys.h"
#include "server/laybyd/serve.h"
#include "server/release/init.h"

namespace {

using namespace layby;

// Exit statuses; the same stand in the README.
constexpr int kExitDone = 0;
constexpr int kExitFailed = 1;  // could not do what was asked; standard error says why
constexpr int kExitUsage = 2;   // the command line
constexpr int kExitConfig = 3;  // laybyd.toml, or a file that it names

constexpr const char* kFooter =
    "Exit status: 0 done, 1 failed, 2 wrong command line, 3 wrong configuration.";

int report(const Error& error, int status) {
  std::fprintf(stderr, "laybyd: %s\n", error.message().c_str());
  return status;
}

struct Arguments {
  std::string config_path;
  int port = -1;
  server::ServeOptions serve;
  server::InitOptions init;
  std::string passphrase_file;
  std::string offline_cost = "sensitive";
  bool simulation = false;
  std::string key_name;
  std::string key_out;
};

// Sets the simulation switch in a fresh configuration text.
std::string config_text(bool simulation) {
  std::string text = server::initial_config_text();
  static constexpr std::string_view kOff = "simulation = false";
  if (simulation) text.replace(text.find(kOff), kOff.size(), "simulation = true ");
  return text;
}

int run_init(Arguments& arguments) {
  RealDisk disk;
  SystemClock clock;
  arguments.init.config_text = config_text(arguments.simulation);
  arguments.init.offline_cost = arguments.offline_cost == "interactive"
                                    ? crypto::KeyFileCost::kInteractive
                                    : crypto::KeyFileCost::kSensitive;
  if (!arguments.passphrase_file.empty()) {
    auto passphrase = server::read_passphrase(disk, arguments.passphrase_file);
    if (!passphrase) return report(passphrase.error(), kExitFailed);
    arguments.init.offline_passphrase = *passphrase;
  }
  const Result<void> made = server::init_data_dir(disk, clock, arguments.init);
  if (!made) return report(made.error(), kExitFailed);
  const std::string& dir = arguments.init.data_dir;
  std::printf(
      "%s is ready. Move %s/offline to a place that this machine cannot reach, then:\n"
      "  laybyd serve --config %s/%s\n",
      dir.c_str(), dir.c_str(), dir.c_str(), server::kConfigFile);
  return kExitDone;
}

int run_serve(const Arguments& arguments) {
  RealDisk disk;
  Result<server::Config> config = server::read_config(disk, arguments.config_path);
  if (!config) return report(config.error(), kExitConfig);
  if (arguments.port >= 0) config->listen.port = static_cast<std::uint16_t>(arguments.port);
  const Result<void> served = server::serve(*config, arguments.serve);
  return served ? kExitDone : report(served.error(), kExitFailed);
}

int run_make_key(const Arguments& arguments) {
  RealDisk disk;
  const Result<server::Config> config = server::read_config(disk, arguments.config_path);
  if (!config) return report(config.error(), kExitConfig);
  const Result<std::string> key = server::make_next_key(*config, arguments.key_name);
  if (!key) return report(key.error(), kExitFailed);
  if (arguments.key_out.empty()) {
    std::printf("%s\n", key->c_str());
    return kExitDone;
  }
  const Result<void> written = replace_file(disk, arguments.key_out, as_bytes(*key + "\n"));
  return written ? kExitDone : report(written.error(), kExitFailed);
}

int run_check_config(const Arguments& arguments) {
  RealDisk disk;
  const Result<server::Config> config = server::read_config(disk, arguments.config_path);
  if (!config) return report(config.error(), kExitConfig);
  const Result<void> files = server::check_files(*config);
  if (!files) return report(files.error(), kExitConfig);
  std::printf("%s is good.\n", arguments.config_path.c_str());
  return kExitDone;
}

}  // namespace

int main(int argc, char** argv) {
  crypto::initialize();
  Arguments arguments;
  CLI::App app("The Layby fleet server.");
  app.footer(kFooter);
  app.require_subcommand(1);

  CLI::App* init = app.add_subcommand("init", "Make the data directory of a new server");
  init->add_option("DATA", arguments.init.data_dir, "Directory to make; must not exist")
      ->required();
  init->add_option("--passphrase-file", arguments.passphrase_file,
                   "Passphrase of the offline keys; without it one is made");
  init->add_option("--name", arguments.init.server_names,
                   "Name or address for the server's certificate, besides localhost; repeatable");
  init->add_option("--offline-key-cost", arguments.offline_cost,
                   "What guessing the passphrase costs: sensitive (1 GiB) or interactive (64 MiB)")
      ->check(CLI::IsMember({"sensitive", "interactive"}));
  init->add_option("--root-keys", arguments.init.root_keys, "Keys of each of the two roots")
      ->check(CLI::Range(1, 16));
  init->add_option("--root-threshold", arguments.init.root_threshold,
                   "How many of them a next root must be signed by");
  init->add_flag("--simulation", arguments.simulation,
                 "A server whose clock can be moved; for tests and demonstrations on loopback");

  CLI::App* serve = app.add_subcommand("serve", "Serve until SIGTERM or SIGINT");
  serve->add_option("--config", arguments.config_path, "laybyd.toml")->required();
  serve->add_option("--port", arguments.port, "Instead of the configured port; 0: any free one")
      ->check(CLI::Range(0, 65'535));
  serve->add_option("--port-file", arguments.serve.port_file,
                    "Write the port here once the server is up");

  CLI::App* check = app.add_subcommand("check-config", "Check the configuration and its files");
  check->add_option("--config", arguments.config_path, "laybyd.toml")->required();

  CLI::App* make_key = app.add_subcommand(
      "make-key",
      "Make the next key of an online role, for a next root to name, or of licences, for releases");
  make_key->add_option("--config", arguments.config_path, "laybyd.toml")->required();
  make_key->add_option("ROLE", arguments.key_name, "director-timestamp, image-snapshot, …, licence")
      ->required();
  make_key->add_option("-o,--out", arguments.key_out,
                       "File for its public part, for `layby root`, or --licence-key");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitDone : kExitUsage;
  }
  if (init->parsed()) return run_init(arguments);
  if (serve->parsed()) return run_serve(arguments);
  if (make_key->parsed()) return run_make_key(arguments);
  return run_check_config(arguments);
}
