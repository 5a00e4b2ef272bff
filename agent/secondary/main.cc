// layby-ecu: a secondary at a local socket. docs/secondaries.md has the command line and the
// protocol.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>

#include "agent/secondary/hook_firmware.h"
#include "agent/secondary/secondary.h"
#include "agent/secondary/serve.h"
#include "agent/state_lock.h"
#include "agent/state_owner.h"
#include "base/limits.h"
#include "crypto/initialize.h"

namespace {

using namespace layby;
using namespace layby::secondary;

enum Exit { kDone = 0, kFailed = 1, kUsage = 2, kNotReady = 3, kBusy = 4 };

int stop_pipe[2] = {-1, -1};

void want_stop(int) {
  const char byte = 0;
  // It only wakes poll(); when it is full somebody is awake already.
  [[maybe_unused]] const ssize_t n = ::write(stop_pipe[1], &byte, 1);
}

struct Options {
  std::string state, socket;
  std::string vin, serial, hardware, director_root, image_root, software;
  std::string verification = "full";
  std::uint64_t software_counter = 0;
  std::string boot_hook, running_hook, check_hook;
  std::int64_t hook_seconds_max = 120;
};

int report(const Error& error) {
  std::fprintf(stderr, "layby-ecu: %s (%s)\n", error.message().c_str(),
               std::string(to_string(error.code())).c_str());
  if (error.code() == ErrorCode::kInvalidArgument) return kUsage;
  if (error.code() == ErrorCode::kNotFound) return kNotReady;
  return error.code() == ErrorCode::kConflict ? kBusy : kFailed;
}

Result<EcuFactory> factory_of(const Options& options) {
  auto vin = TRY(manifest::Vin::parse(options.vin));
  auto serial = TRY(manifest::EcuSerial::parse(options.serial));
  auto hardware = TRY(manifest::HardwareId::parse(options.hardware));
  const auto verification = TRY(parse_verification(options.verification));
  return EcuFactory{
      .identity = {std::move(vin), std::move(serial), std::move(hardware), verification},
      .director_root_path = options.director_root,
      .image_root_path = options.image_root,
      .software_path = options.software,
      .software_counter = options.software_counter};
}

Result<void> run_provision(const Options& options) {
  RealDisk disk;
  TRY_VOID(provision(disk, EcuLayout(options.state), TRY(factory_of(options))));
  std::printf("provisioned the ECU %s in %s\n", options.serial.c_str(), options.state.c_str());
  return {};
}

std::vector<std::string> program_of(const std::string& path) {
  return path.empty() ? std::vector<std::string>{} : std::vector<std::string>{path};
}

Result<void> run_serve(const Options& options) {
  RealDisk disk;
  const SystemClock clock;
  for (const std::string& hook : {options.boot_hook, options.running_hook, options.check_hook})
    if (!hook.empty() && !hook.starts_with('/'))
      return fail(ErrorCode::kInvalidArgument, "{}: a hook's path begins with /", hook);
  const EcuLayout layout(options.state);
  TRY(read_identity(disk, layout));
  const auto lock = TRY(agent::StateLock::take(layout.lock()));
  HookFirmware firmware(clock, {.boot = program_of(options.boot_hook),
                                .running = program_of(options.running_hook),
                                .check = program_of(options.check_hook),
                                .seconds_max = options.hook_seconds_max});
  const auto ecu = TRY(Secondary::open(disk, clock, firmware, options.state));
  const Socket listener = TRY(listen_at(options.socket));
  std::printf("the ECU %s listens at %s\n", ecu->identity().serial.text().c_str(),
              options.socket.c_str());
  std::fflush(stdout);
  TRY_VOID(serve(*ecu, listener, stop_pipe[0]));
  ::unlink(options.socket.c_str());
  return {};
}

CLI::App* add_command(CLI::App& app, Options& options, const char* name, const char* what) {
  CLI::App* command = app.add_subcommand(name, what);
  command->add_option("--state", options.state, "the state directory")->required();
  return command;
}

CLI::App* add_provision(CLI::App& app, Options& options) {
  CLI::App* command = add_command(app, options, "provision", "put the ECU into its factory state");
  command->add_option("--vin", options.vin, "VIN, ISO 3779")->required();
  command->add_option("--serial", options.serial, "serial of this ECU")->required();
  command->add_option("--hardware", options.hardware, "its hardware id")->required();
  command->add_option("--director-root", options.director_root, "root.json")->required();
  command->add_option("--image-root", options.image_root, "root.json; full verification only");
  command->add_option("--verification", options.verification, "full or partial")
      ->check(CLI::IsMember({"full", "partial"}));
  command->add_option("--software", options.software, "image that it leaves the factory with");
  command->add_option("--release-counter", options.software_counter,
                      "of this image: nothing older is installed");
  return command;
}

}  // namespace

int main(int argc, char** argv) {
  // 1. The command line.
  Options options;
  CLI::App app(
      "A secondary of Layby: an ECU that takes software from the car's primary, and "
      "believes only what it has verified itself");
  app.require_subcommand(1);
  CLI::App* provision_command = add_provision(app, options);
  CLI::App* run_command = add_command(app, options, "run", "serve the primary");
  run_command->add_option("--socket", options.socket, "path of the socket to listen at")
      ->required();
  run_command->add_option("--boot-hook", options.boot_hook,
                          "program: boot trial|keep|revert IMAGE");
  run_command->add_option("--running-hook", options.running_hook,
                          "program: running IMAGE; exit status 0: this one runs");
  run_command->add_option("--check-hook", options.check_hook, "program: check IMAGE");
  run_command->add_option("--hook-seconds-max", options.hook_seconds_max, "then it is killed")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{540}));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kUsage;
  }

  // 2. The process: what hooks are given as paths must not depend on where we stand.
  crypto::initialize();
  std::error_code failed;
  options.state = std::filesystem::absolute(options.state, failed).lexically_normal().string();
  while (options.state.size() > 1 && options.state.ends_with('/')) options.state.pop_back();
  if (failed || ::pipe2(stop_pipe, O_CLOEXEC | O_NONBLOCK) != 0)
    return report(Error(ErrorCode::kIo, "the process cannot be set up"));
  struct sigaction action {};
  action.sa_handler = want_stop;
  ::sigaction(SIGTERM, &action, nullptr);
  ::sigaction(SIGINT, &action, nullptr);
  action.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &action, nullptr);
  action.sa_handler = SIG_DFL;  // who starts us may ignore it: then nobody learns how a hook ended
  ::sigaction(SIGCHLD, &action, nullptr);

  // 3. The command, which comes to files that it can read, and leaves none that the service cannot.
  auto done = agent::check_state_access(options.state);
  if (done && *provision_command) done = agent::check_state_owner(options.state);
  if (done) done = *provision_command ? run_provision(options) : run_serve(options);
  return done ? kDone : report(done.error());
}
