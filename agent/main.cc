// layby-agent: the car's daemon and its commands. README.md has the command line.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>

#include "agent/agent.h"
#include "agent/boot_file.h"
#include "agent/boot_vehicle.h"
#include "agent/bus_vehicle.h"
#include "agent/certificate_renewal.h"
#include "agent/curl_transport.h"
#include "agent/named_ecus.h"
#include "agent/offline_install.h"
#include "agent/pairing.h"
#include "agent/provision.h"
#include "agent/record_lines.h"
#include "agent/resident.h"
#include "agent/secondary_link.h"
#include "agent/state_lock.h"
#include "agent/state_owner.h"
#include "agent/status.h"
#include "agent/uboot_environment.h"
#include "agent/vehicle_config.h"
#include "base/limits.h"
#include "base/time_text.h"
#include "crypto/initialize.h"
#include "manifest/json_value.h"

namespace {

using namespace layby;
using namespace layby::agent;

enum Exit { kDone = 0, kFailed = 1, kUsage = 2, kNotReady = 3, kBusy = 4, kRefusedByServer = 5 };

volatile sig_atomic_t stop_wanted = 0;
int stop_pipe[2] = {-1, -1};

void want_stop(int) {
  stop_wanted = 1;
  const char byte = 0;
  // The pipe only wakes poll(); when it is full somebody is awake already.
  [[maybe_unused]] const ssize_t n = ::write(stop_pipe[1], &byte, 1);
}

int report(const Error& error, Exit exit = kFailed) {
  std::fprintf(stderr, "layby-agent: %s (%s)\n", error.message().c_str(),
               std::string(to_string(error.code())).c_str());
  return exit;
}

bool is_stop_wanted() {
  return stop_wanted != 0;
}

void log_line(const std::string& text) {
  std::fprintf(stderr, "layby-agent: %s\n", text.c_str());
}

void log_link(const VehicleLink& link) {
  log_line(link.is_connected ? "the car is reached" : "the car is not reached: " + link.error);
}

Exit exit_of(const Error& error) {
  return error.code() == ErrorCode::kNotFound || error.code() == ErrorCode::kUnauthenticated
             ? kNotReady
             : kFailed;
}

struct Options {
  std::string state;
  std::string vin, ecu, hardware, director_root, image_root, ca, server, software;
  std::vector<std::string> maps, secondaries;
  std::string code, partner_token_file, proxy;
  std::string vehicle, vehicle_config, language = "en";
  std::uint64_t rate_bytes_max = 0;
  std::string roaming = "news", map_regions = "owner", home_region;
  std::uint64_t data_budget_mib = 0, map_wifi_wait_hours = 24;
  std::uint64_t map_counter = 0, software_counter = 0;
  std::string software_slot_a, software_slot_b, running_slot;
  std::string boot_control = "vehicle", kernel_command_line = "/proc/cmdline";
  std::string dbus;
  bool until_idle = false;
  std::string package;
  bool json = false;
};

// ---- provision and pair -------------------------------------------------------------------------

Result<FactoryState> factory_of(const Options& options) {
  auto vin = TRY(manifest::Vin::parse(options.vin));
  auto ecu = TRY(manifest::EcuSerial::parse(options.ecu));
  auto hardware = TRY(manifest::HardwareId::parse(options.hardware));
  FactoryState factory{
      .identity = {std::move(vin), std::move(ecu), std::move(hardware), options.server},
      .director_root_path = options.director_root,
      .image_root_path = options.image_root,
      .ca_path = options.ca,
      .map_directories = {},
      .software_path = options.software.empty()
                           ? ""
                           : std::filesystem::absolute(options.software).lexically_normal(),
      .map_counter = options.map_counter,
      .software_counter = options.software_counter,
      .software_slot_a = options.software_slot_a,
      .software_slot_b = options.software_slot_b};
  if (!options.running_slot.empty())
    factory.running_slot = TRY_CONTEXT(parse_boot_slot(options.running_slot), "--running-slot");
  // Found out in the factory and not on the road.
  for (const std::string& path : options.secondaries) TRY_VOID(secondary::check_socket_path(path));
  factory.ecu_addresses = options.secondaries;
  for (const std::string& map : options.maps) {
    const std::size_t equals = map.find('=');
    if (equals == std::string::npos)
      return fail(ErrorCode::kInvalidArgument, "--map {}: REGION=DIRECTORY is wanted", map);
    factory.map_directories[TRY(manifest::RegionId::parse(map.substr(0, equals)))] =
        map.substr(equals + 1);
  }
  return factory;
}

int run_provision(const Options& options) {
  RealDisk disk;
  const auto factory = factory_of(options);
  if (!factory) return report(factory.error(), kUsage);
  const auto done = provision(disk, Layout(options.state), *factory);
  if (!done)
    return report(done.error(),
                  done.error().code() == ErrorCode::kInvalidArgument ? kUsage : kFailed);
  std::printf("provisioned %s in %s\n", options.vin.c_str(), options.state.c_str());
  return kDone;
}

constexpr std::uint64_t kTokenBytesMax = 1024;
constexpr std::size_t kCommandLineBytesMax = 4096;  // as the kernel has it
// Of the program and its libraries, between two steps: about what a download runs through.
constexpr std::uint64_t kCodeBytesMax = 4 * kMiB;

// With the car's certificate if it has one.
Result<std::unique_ptr<CurlTransport>> connect(Disk& disk, const Layout& layout,
                                               const CarIdentity& identity,
                                               const Options& options) {
  CurlOptions to_server{.server_url = identity.server_url,
                        .ca_path = layout.ca(),
                        .proxy_url = options.proxy,
                        .interrupted = {}};
  if (can_show_certificate(disk, layout, SystemClock().now())) {
    to_server.certificate_path = layout.certificate();
    to_server.key_path = layout.certificate();
  }
  return CurlTransport::create(std::move(to_server));
}

int run_pair(const Options& options) {
  RealDisk disk;
  const Layout layout(options.state);
  const auto identity = read_identity(disk, layout);
  if (!identity) return report(identity.error(), exit_of(identity.error()));
  const auto lock = StateLock::take(layout.lock());
  if (!lock)
    return report(lock.error(), lock.error().code() == ErrorCode::kConflict ? kBusy : kFailed);
  std::string partner_token;
  if (!options.partner_token_file.empty()) {
    const auto token = read_file(disk, options.partner_token_file, kTokenBytesMax);
    if (!token) return report(token.error());
    partner_token = as_text(*token);
    partner_token.erase(partner_token.find_last_not_of(" \r\n") + 1);
  }
  auto transport = connect(disk, layout, *identity, options);
  if (!transport) return report(transport.error());
  const SystemClock clock;
  SocketLink secondaries(clock);
  const auto paired = pair(disk, layout, **transport, options.code, partner_token, &secondaries);
  if (!paired)
    return report(paired.error(),
                  paired.error().code() == ErrorCode::kForbidden ? kRefusedByServer : kFailed);
  std::printf("paired %s\n", identity->vin.text().c_str());
  return kDone;
}

int run_ecus(const Options& options) {
  RealDisk disk;
  const Layout layout(options.state);
  const auto identity = read_identity(disk, layout);
  if (!identity) return report(identity.error(), exit_of(identity.error()));
  const auto lock = StateLock::take(layout.lock());
  if (!lock)
    return report(lock.error(), lock.error().code() == ErrorCode::kConflict ? kBusy : kFailed);
  if (!can_show_certificate(disk, layout, SystemClock().now()))
    return report(Error(ErrorCode::kUnauthenticated, "the car has no valid certificate: pair it"),
                  kNotReady);
  auto transport = connect(disk, layout, *identity, options);
  if (!transport) return report(transport.error());
  const SystemClock clock;
  SocketLink secondaries(clock);
  const auto replaced = name_ecus(disk, layout, **transport, secondaries);
  if (!replaced)
    return report(replaced.error(),
                  replaced.error().code() == ErrorCode::kForbidden ? kRefusedByServer : kFailed);
  for (const auto& [old_serial, serial] : *replaced)
    std::printf("%s is let in for %s\n", serial.c_str(), old_serial.c_str());
  if (replaced->empty()) std::printf("the server knows these ECUs\n");
  return kDone;
}

// ---- run ----------------------------------------------------------------------------------------

// Tells a person, or a script, what goes on: a line for each new state, and a bar or lines of
// percent while something is downloaded.
class Progress {
 public:
  Progress() : terminal_(::isatty(STDOUT_FILENO) == 1) {}

  void look(const Record& record) {
    for (const RecordLine& changed : lines_.look(record)) line(changed.text);
    for (const OrderRecord& order : record.orders)
      if (order.state == State::kDownloading) percent(order);
  }

 private:
  void percent(const OrderRecord& order) {
    const std::uint64_t total = order.bytes_total(), done = order.bytes_done();
    const std::uint64_t percent = total == 0 ? 0 : done * 100 / total;
    if (percent == percent_ && order.id.text() == downloading_) return;
    const bool tenth = percent / 10 != percent_ / 10 || order.id.text() != downloading_;
    percent_ = percent;
    downloading_ = order.id.text();
    const std::string text = fmt::format("{} {:3} % {} of {} bytes, {} KiB/s", order.id.text(),
                                         percent, done, total, order.bytes_per_second / 1024);
    if (terminal_) {
      const std::string bar(percent * 30 / 100, '#');
      std::printf("\r[%-30s] %s\x1b[K", bar.c_str(), text.c_str());
      std::fflush(stdout);
      bar_open_ = true;
    } else if (tenth) {
      line(text);
    }
  }

  void line(const std::string& text) {
    if (bar_open_) std::printf("\n");
    bar_open_ = false;
    std::printf("%s %s\n", format_utc(SystemClock().now()).c_str(), text.c_str());
    std::fflush(stdout);
  }

  const bool terminal_;
  bool bar_open_ = false;
  std::uint64_t percent_ = 0;
  std::string downloading_;
  RecordLines lines_;
};

void wait_for(const Vehicle& vehicle, std::int64_t wait_ms) {
  pollfd entries[2] = {{stop_pipe[0], POLLIN, 0}, {vehicle.descriptor(), POLLIN, 0}};
  if (wait_ms > 0 && stop_wanted == 0) ::poll(entries, 2, static_cast<int>(wait_ms));
}

// For `status`. It is no part of the car's state: a disk that does not take it is told of by
// others. A car that stays away is tried again for days, and flash wears: that it was, and when it
// will be again, alone is written every ten minutes at most.
class LinkFile {
 public:
  LinkFile(Disk& disk, const Layout& layout) : disk_(disk), layout_(layout) {}

  void keep(const VehicleLink& link) {
    VehicleLink only_retried = kept_;
    only_retried.next_try = link.next_try;
    if (link == kept_ || (link == only_retried && link.next_try < kept_.next_try + kRetriedSeconds))
      return;
    static_cast<void>(write_vehicle_link(disk_, layout_, link));
    kept_ = link;
  }

 private:
  static constexpr UnixSeconds kRetriedSeconds = 600;

  Disk& disk_;
  const Layout& layout_;
  VehicleLink kept_{};
};

// What the daemon goes round with.
struct Running {
  Agent& agent;
  const Vehicle& vehicle;
  BusVehicle* bus;
  const VissVehicle& viss;
  LinkFile link_file;
};

int loop(Running running, const Options& options) {
  auto& [agent, vehicle, bus, viss, link_file] = running;
  Progress progress;
  while (stop_wanted == 0) {
    const auto next = agent.step();
    link_file.keep(viss.link());
    if (!next) return report(next.error());
    progress.look(agent.record());
    give_back_code(kCodeBytesMax);
    if (bus != nullptr && bus->take_check_wanted()) {
      agent.check_now();
      continue;
    }
    if (options.until_idle && next->idle) return kDone;
    wait_for(vehicle, next->wait_ms);
  }
  return kDone;
}

Result<NetworkPolicy> network_of(const Options& options) {
  const auto roaming = roaming_use_from(options.roaming);
  if (!roaming)
    return fail(ErrorCode::kInvalidArgument, "--roaming {}: nothing, news or payloads",
                options.roaming);
  return NetworkPolicy{
      .roaming = *roaming,
      .data_budget_bytes = options.data_budget_mib * kMiB,
      .map_wifi_wait_seconds = static_cast<std::int64_t>(options.map_wifi_wait_hours) * 3600};
}

Result<MapPolicy> maps_of(const Options& options) {
  const auto choice = map_choice_from(options.map_regions);
  if (!choice)
    return fail(ErrorCode::kInvalidArgument, "--map-regions {}: owner, announce or auto",
                options.map_regions);
  MapPolicy maps{.choice = *choice};
  if (!options.home_region.empty()) maps.home = TRY(manifest::RegionId::parse(options.home_region));
  return maps;
}

// A file of /proc has no size before it is read.
Result<std::string> read_command_line(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rbe");
  if (file == nullptr) return fail(ErrorCode::kIo, "{} cannot be read", path);
  std::string text(kCommandLineBytesMax, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file));
  std::fclose(file);
  return text;
}

// The boot loader's side of the car, if it is ours to speak to.
struct BootParts {
  std::unique_ptr<BootControl> control;  // null: the vehicle does it itself
  Result<BootSlot> running = BootSlot::kA;
};

Result<BootSlot> slot_that_runs(const std::string& command_line_path) {
  const std::string line = TRY(read_command_line(command_line_path));
  return TRY_CONTEXT(booted_slot(line), command_line_path);
}

// What cannot be opened or read keeps software from being written, and nothing else from working:
// the agent says so in `status`, and the server learns of it with the next order.
Result<BootParts> boot_parts_of(Disk& disk, const Options& options) {
  BootParts parts;
  const std::string &spec = options.boot_control, file = "file:", uboot = "uboot:";
  if (spec == "vehicle") return parts;
  if (spec.starts_with(file)) {
    parts.control = std::make_unique<BootFile>(disk, spec.substr(file.size()));
  } else if (spec.starts_with(uboot)) {
    auto environment = UbootEnvironment::open(disk, spec.substr(uboot.size()));
    if (environment)
      parts.control = std::make_unique<UbootEnvironment>(std::move(*environment));
    else
      parts.control = std::make_unique<NoBootControl>(environment.error());
  } else {
    return fail(ErrorCode::kInvalidArgument, "--boot-control {}: vehicle, file:PATH or uboot:PATH",
                spec);
  }
  parts.running = slot_that_runs(options.kernel_command_line);
  return parts;
}

Result<VehicleConfig> vehicle_config_of(Disk& disk, const Options& options) {
  if (options.vehicle_config.empty() == options.vehicle.empty())
    return fail(ErrorCode::kInvalidArgument, "one of --vehicle and --vehicle-config is wanted");
  return options.vehicle_config.empty() ? vehicle_from(disk, options.vehicle)
                                        : read_vehicle_config(disk, options.vehicle_config);
}

int run_daemon(const Options& options) {
  RealDisk disk;
  const SystemClock clock;
  const Layout layout(options.state);
  const auto identity = read_identity(disk, layout);
  if (!identity) return report(identity.error(), exit_of(identity.error()));
  const auto lock = StateLock::take(layout.lock());
  if (!lock)
    return report(lock.error(), lock.error().code() == ErrorCode::kConflict ? kBusy : kFailed);
  const auto language = language_from(options.language);
  if (!language)
    return report(Error(ErrorCode::kInvalidArgument, "--language takes de, en, fr, it or nl"),
                  kUsage);
  auto vehicle_config = vehicle_config_of(disk, options);
  // A file that is not there may be on its way: who starts us may do so again.
  if (!vehicle_config)
    return report(vehicle_config.error(),
                  vehicle_config.error().code() == ErrorCode::kInvalidArgument ? kUsage : kFailed);
  vehicle_config->viss.interrupted = is_stop_wanted;
  vehicle_config->viss.link_changed = log_link;
  // Without a certificate the agent says itself that it is not paired.
  if (const auto joined = join_certificate_and_key(disk, layout);
      !joined && joined.error().code() != ErrorCode::kNotFound)
    return report(joined.error());
  const auto network = network_of(options);
  if (!network) return report(network.error(), kUsage);
  const auto maps = maps_of(options);
  if (!maps) return report(maps.error(), kUsage);
  auto transport = CurlTransport::create({.server_url = identity->server_url,
                                          .ca_path = layout.ca(),
                                          .certificate_path = layout.certificate(),
                                          .key_path = layout.certificate(),
                                          .bytes_per_second_max = options.rate_bytes_max,
                                          .proxy_url = options.proxy,
                                          .interrupted = is_stop_wanted});
  if (!transport) return report(transport.error());
  auto boot = boot_parts_of(disk, options);
  if (!boot) return report(boot.error(), kUsage);
  VissVehicle viss(vehicle_config->viss, clock);
  HookVehicle car(viss, clock, vehicle_config->hooks);
  std::optional<BootVehicle> with_boot_control;
  if (boot->control) with_boot_control.emplace(car, *boot->control, clock, boot->running);
  Vehicle& without_bus = with_boot_control ? static_cast<Vehicle&>(*with_boot_control) : car;
  std::unique_ptr<BusVehicle> bus;
  if (!options.dbus.empty()) {
    auto opened = BusVehicle::open(without_bus, clock, options.dbus, log_line);
    if (!opened) return report(opened.error());
    bus = std::move(*opened);
  }
  Vehicle& vehicle = bus ? static_cast<Vehicle&>(*bus) : without_bus;
  SocketLink secondaries(clock);
  auto agent = Agent::open(disk, clock, **transport, vehicle,
                           {.state_directory = options.state,
                            .language = *language,
                            .network = *network,
                            .maps = *maps,
                            .secondaries = &secondaries,
                            .interrupted = is_stop_wanted,
                            .before_unpacking = [] { give_back_code(0); }});
  if (!agent) return report(agent.error(), exit_of(agent.error()));
  if (const auto& error = (*agent)->record().boot_error)
    report(Error(*error).with_context("software is not updated"));
  return loop({**agent, vehicle, bus.get(), viss, LinkFile(disk, layout)}, options);
}

// ---- install-offline ----------------------------------------------------------------------------

void print_offline(const std::vector<OfflineOrder>& orders, const Options& options) {
  manifest::Json list = manifest::Json::array();
  for (const OfflineOrder& order : orders) {
    manifest::Json entry{
        {"id", order.id.text()}, {"state", to_string(order.state)}, {"taken", order.is_taken()}};
    if (order.error)
      entry["error"] = {{"code", static_cast<unsigned>(order.error->code())},
                        {"name", to_string(order.error->code())},
                        {"text", order.error->message()}};
    list.push_back(std::move(entry));
    if (!options.json)
      std::printf("%s %s\n", order.id.text().c_str(), std::string(to_string(order.state)).c_str());
  }
  const auto text = manifest::to_wire({{"orders", std::move(list)}});
  if (options.json && text) std::printf("%s\n", text->c_str());
}

int run_install_offline(const Options& options) {
  RealDisk disk;
  const Layout layout(options.state);
  const auto identity = read_identity(disk, layout);
  if (!identity) return report(identity.error(), exit_of(identity.error()));
  const auto lock = StateLock::take(layout.lock());
  if (!lock && lock.error().code() == ErrorCode::kConflict)
    return report(lock.error().with_context("stop the daemon first, and start it again afterwards"),
                  kBusy);
  if (!lock) return report(lock.error());
  auto boot = boot_parts_of(disk, options);
  if (!boot) return report(boot.error(), kUsage);
  OfflineOptions offline{.state_directory = options.state,
                         .package_path = options.package,
                         .interrupted = is_stop_wanted};
  if (boot->control) offline.ask_slots = [&] { return boot_slots(*boot->control, boot->running); };
  Progress progress;
  offline.progress = [&](const Record& record) {
    if (!options.json) progress.look(record);
  };
  const auto orders = install_offline(disk, SystemClock(), offline);
  if (!orders) return report(orders.error());
  print_offline(*orders, options);
  int exit = kDone;
  for (const OfflineOrder& order : *orders) {
    if (order.is_taken()) continue;
    const std::string wait = order.waiting_for.empty() ? "" : order.waiting_for.front();
    const Error unknown(ErrorCode::kConflict, "it waits for " + wait);
    exit = report(order.error.value_or(unknown).with_context(order.id.text()));
  }
  return exit;
}

// ---- status -------------------------------------------------------------------------------------

int print(const Result<std::string>& text) {
  if (!text) return report(text.error(), exit_of(text.error()));
  std::fputs(text->c_str(), stdout);
  return kDone;
}

int run_status(const Options& options) {
  RealDisk disk;
  const Layout layout(options.state);
  const auto holder = StateLock::look(layout.lock());
  if (!holder) return report(holder.error());
  const auto daemon =
      *holder == StateLock::Holder::kAnAgent ? Daemon::kRunning : Daemon::kNotRunning;
  return print(status(disk, SystemClock(), layout, daemon,
                      options.json ? StatusForm::kJson : StatusForm::kText));
}

int run_updates(const Options& options) {
  RealDisk disk;
  return print(
      updates(disk, Layout(options.state), options.json ? StatusForm::kJson : StatusForm::kText));
}

CLI::App* add_command(CLI::App& app, Options& options, const char* name, const char* what) {
  CLI::App* command = app.add_subcommand(name, what);
  command->add_option("--state", options.state, "state directory")->required();
  return command;
}

void add_proxy(CLI::App* command, Options& options) {
  command->add_option("--proxy", options.proxy, "http://HOST:PORT, on the way to the server");
}

void add_boot_control(CLI::App* command, Options& options) {
  command->add_option("--boot-control", options.boot_control,
                      "vehicle (default), file:PATH or uboot:PATH of fw_env.config");
  command->add_option("--kernel-command-line", options.kernel_command_line,
                      "file that says which slot was booted: layby.slot=a or b");
}

CLI::App* add_pair_command(CLI::App& app, Options& options) {
  CLI::App* command = add_command(app, options, "pair", "join the fleet with the owner's code");
  command->add_option("--code", options.code, "8 characters")->required();
  command->add_option("--partner-token-file", options.partner_token_file,
                      "the token of the partner in whose workshop it happens");
  add_proxy(command, options);
  return command;
}

CLI::App* add_ecus_command(CLI::App& app, Options& options) {
  CLI::App* command =
      add_command(app, options, "ecus", "tell the server of an exchanged ECU that it may let in");
  add_proxy(command, options);
  return command;
}

void add_run_options(CLI::App* run_command, Options& options) {
  run_command->add_option("--vehicle", options.vehicle,
                          "wss://HOST:PORT, ws:// here, unix:PATH, or config:FILE");
  run_command->add_option("--vehicle-config", options.vehicle_config, "the same as config:FILE");
  run_command->add_option("--language", options.language, "where the car says none");
  run_command->add_option("--rate-bytes-max", options.rate_bytes_max, "bytes a second");
  add_proxy(run_command, options);
  add_boot_control(run_command, options);
  run_command->add_option("--roaming", options.roaming, "nothing, news or payloads");
  run_command
      ->add_option("--data-budget-mib", options.data_budget_mib, "a month, metered; 0: no limit")
      ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{1} << 24));
  run_command
      ->add_option("--map-wifi-wait-hours", options.map_wifi_wait_hours, "then over any bearer")
      ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{24} * 366));
  run_command->add_option("--map-regions", options.map_regions, "owner, announce or auto");
  run_command->add_option("--home-region", options.home_region,
                          "for --map-regions announce and auto");
  run_command->add_option("--dbus", options.dbus,
                          "be org.layby.Agent1 on D-Bus: system, session or an address");
  run_command->add_flag("--until-idle", options.until_idle, "end when there is nothing to do");
}

CLI::App* add_provision_command(CLI::App& app, Options& options) {
  CLI::App* command = add_command(app, options, "provision", "put the car into its factory state");
  command->add_option("--vin", options.vin, "VIN, ISO 3779")->required();
  command->add_option("--ecu", options.ecu, "serial of the primary ECU")->required();
  command->add_option("--hardware", options.hardware, "its hardware id")->required();
  command->add_option("--director-root", options.director_root, "root.json")->required();
  command->add_option("--image-root", options.image_root, "root.json")->required();
  command->add_option("--ca", options.ca, "the server's CA, PEM")->required();
  command->add_option("--server", options.server, "https://HOST:PORT")->required();
  command->add_option("--map", options.maps, "REGION=DIRECTORY");
  command->add_option("--software", options.software, "image of the head unit");
  command->add_option("--map-release-counter", options.map_counter,
                      "of these maps: nothing older is installed");
  command->add_option("--software-release-counter", options.software_counter, "of this image");
  command->add_option("--secondary", options.secondaries, "socket of another ECU (layby-ecu)");
  CLI::Option* slot_a =
      command->add_option("--software-slot-a", options.software_slot_a, "block device");
  CLI::Option* slot_b =
      command->add_option("--software-slot-b", options.software_slot_b, "block device");
  command->add_option("--running-slot", options.running_slot, "the one that is booted: a or b")
      ->check(CLI::IsMember({"a", "b"}));
  slot_a->needs(slot_b);
  slot_b->needs(slot_a);
  return command;
}

void add_offline_command(CLI::App& app, Options& options) {
  CLI::App* command =
      add_command(app, options, "install-offline", "take a partner's package into the car");
  command->add_option("FILE", options.package, "from `layby offline-package`")->required();
  add_boot_control(command, options);
  command->add_flag("--json", options.json);
}

// Who writes comes to files that the daemon can read, and the daemon to files that it can.
Result<void> check_state(const Options& options, const CLI::App& run_command) {
  TRY_VOID(check_state_access(options.state));
  return run_command ? Result<void>{} : check_state_owner(options.state);
}

}  // namespace

int main(int argc, char** argv) {
  // 1. The command line.
  Options options;
  CLI::App app("The car's side of Layby: fetches, verifies and installs what the car ordered");
  app.require_subcommand(1);
  CLI::App* provision_command = add_provision_command(app, options);
  CLI::App* pair_command = add_pair_command(app, options);
  CLI::App* ecus_command = add_ecus_command(app, options);
  CLI::App* run_command = add_command(app, options, "run", "the daemon");
  add_run_options(run_command, options);
  CLI::App* status_command = add_command(app, options, "status", "what the agent is doing");
  status_command->add_flag("--json", options.json);
  CLI::App* updates_command = add_command(app, options, "updates", "what is pending");
  updates_command->add_flag("--json", options.json);
  add_offline_command(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kUsage;
  }

  // 2. The process: what the car is given as paths must not depend on where we stand.
  return_freed_memory();
  give_back_code(kCodeBytesMax);  // what only the loader has needed
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
  action.sa_handler = SIG_IGN;  // a reader of our output that goes away does not end an update
  ::sigaction(SIGPIPE, &action, nullptr);
  action.sa_handler = SIG_DFL;  // who starts us may ignore it: then nobody learns how a hook ended
  ::sigaction(SIGCHLD, &action, nullptr);

  // 3. The command.
  if (*status_command) return run_status(options);
  if (*updates_command) return run_updates(options);
  if (const auto own = check_state(options, *run_command); !own) return report(own.error());
  if (*run_command) return run_daemon(options);
  if (*provision_command) return run_provision(options);
  if (*pair_command) return run_pair(options);
  if (*ecus_command) return run_ecus(options);
  return run_install_offline(options);
}
