#include "tests/crash/whole_update.h"

#include <algorithm>
#include <functional>

#include "agent/journal.h"
#include "base/assert.h"

namespace layby::tests {
namespace {

using agent::OrderRecord;
using agent::Record;
using agent::State;
using manifest::OrderId;

constexpr const char* kCruise = "adaptive-cruise";
constexpr int kStepsMax = 20'000;

// ---- the kinds ----------------------------------------------------------------------------------

std::string package_name(const std::string& function, int version) {
  return "functions/" + function + "/" + std::to_string(version) + ".0.0.pkg";
}

OrderId order_function(World& world, const std::string& function, int version,
                       const Bytes& package) {
  world.server.publish({.name = package_name(function, version),
                        .bytes = package,
                        .base = {},
                        .release_counter = static_cast<std::uint64_t>(version)});
  return world.server.order({package_name(function, version)});
}

// A function that is on already.
OrderId have_function(World& world, const std::string& function, const Bytes& package) {
  const OrderId id = order_function(world, function, 1, package);
  LAYBY_ASSERT(world.run_until_state(id, State::kDownloaded, 3600));
  world.run(20);
  world.exit_and_lock();
  LAYBY_ASSERT(world.run_until_state(id, State::kActive, 600));
  world.run(20);
  world.vehicle.drive();
  return id;
}

void place_function(World& world, Ends& ends) {
  ends.functions[kCruise] = world.package;
  ends.orders.emplace_back(order_function(world, kCruise, 1, world.package), State::kActive);
}

void place_newer_function(World& world, Ends& ends) {
  const OrderId old = have_function(world, kCruise, world.package);
  world.server.cancel(old);  // the newer one takes its place
  ends.packages_once[kCruise] = {world.package};
  ends.functions[kCruise] = changed(world.package, 77);
  ends.orders.emplace_back(order_function(world, kCruise, 2, ends.functions[kCruise]),
                           State::kActive);
}

void place_deactivation(World& world, Ends& ends) {
  const OrderId id = have_function(world, kCruise, world.package);
  ends.packages_once[kCruise] = {world.package};
  world.server.deactivate(id, kCruise);
  ends.orders.emplace_back(id, State::kDeactivated);
}

void place_renewal(World& world, Ends& ends) {
  world.server.licence_until = kStart + 30 * kDaySeconds;
  const OrderId id = have_function(world, kCruise, world.package);
  ends.functions[kCruise] = world.package;
  world.server.renew(id, kCruise, kStart + 60 * kDaySeconds);
  ends.licence_counters[kCruise] = 2;
  ends.orders.emplace_back(id, State::kActive);
}

void place_late_renewal(World& world, Ends& ends) {
  world.server.licence_until = kStart + 10 * kDaySeconds;
  const OrderId id = have_function(world, kCruise, world.package);
  world.server.cancel(id);
  world.vehicle.park_locked();
  LAYBY_ASSERT(world.run_days(11, [&] { return world.vehicle.functions.empty(); }));
  world.run(20);
  ends.functions[kCruise] = world.package;
  ends.packages_once[kCruise] = {world.package};
  ends.orders.emplace_back(world.server.order_licence(kCruise, manifest::LicenceState::kActive,
                                                      world.clock.now() + 30 * kDaySeconds),
                           State::kActive);
}

void place_maps(World& world, Ends& ends) {
  world.publish_maps();
  ends.maps = "new";
  ends.orders.emplace_back(world.server.order({"maps/DE/2.tar", "maps/FR/2.tar", "maps/NL/2.tar"}),
                           State::kActive);
}

void place_software(World& world, Ends& ends) {
  world.publish_software();
  ends.software = "new";
  ends.orders.emplace_back(world.server.order({"software/hu-4/2.0.0.img"}), State::kActive);
}

void place_failing_maps(World& world, Ends& ends) {
  place_maps(world, ends);
  world.vehicle.fail_reload = 1;
}

void place_failing_software(World& world, Ends& ends) {
  place_software(world, ends);
  world.vehicle.fail_health = 1;
}

void place_together(World& world, Ends& ends) {
  const Bytes seats = noise(20'000, 31), lights = noise(25'000, 32);
  world.server.licence_until = kStart + 30 * kDaySeconds;
  const OrderId to_renew = have_function(world, "heated-seats", seats);
  const OrderId to_switch_off = have_function(world, "matrix-lights", lights);
  ends.functions["heated-seats"] = seats;
  ends.packages_once["matrix-lights"] = {lights};
  place_function(world, ends);
  place_maps(world, ends);
  place_software(world, ends);
  world.server.renew(to_renew, "heated-seats", kStart + 60 * kDaySeconds);
  ends.licence_counters["heated-seats"] = 2;
  ends.orders.emplace_back(to_renew, State::kActive);
  world.server.deactivate(to_switch_off, "matrix-lights");
  ends.orders.emplace_back(to_switch_off, State::kDeactivated);
}

void place_cancelled(World& world, Ends& ends) {
  world.publish_maps();
  const OrderId maps = world.server.order({"maps/DE/2.tar", "maps/FR/2.tar", "maps/NL/2.tar"});
  const OrderId function = order_function(world, kCruise, 1, world.package);
  LAYBY_ASSERT(world.run_until_state(function, State::kDownloaded, 3600));
  world.run(20);
  world.agent.reset();
  world.server.cancel(maps);
  world.server.cancel(function);
  ends.orders.emplace_back(maps, std::nullopt);
  ends.orders.emplace_back(function, std::nullopt);
}

}  // namespace

const std::vector<UpdateKind>& update_kinds() {
  static const std::vector<UpdateKind> kinds = {
      {"function", place_function},
      {"newer function", place_newer_function},
      {"deactivation", place_deactivation},
      {"licence renewal", place_renewal},
      {"late licence renewal", place_late_renewal},
      {"three map regions", place_maps},
      {"software", place_software},
      {"all together", place_together},
      {"maps that fail once", place_failing_maps},
      {"software that fails once", place_failing_software},
      {"cancelled order", place_cancelled},
  };
  return kinds;
}

// ---- driving ------------------------------------------------------------------------------------

WholeUpdate::WholeUpdate(const UpdateKind& kind) : kind_(&kind) {
  kind.place(world, ends_);
  world.agent.reset();
  watch_commands();
}

WholeUpdate::WholeUpdate(const WholeUpdate& other)
    : world(other.world),
      kind_(other.kind_),
      ends_(other.ends_),
      licence_floors_(other.licence_floors_),
      release_floor_(other.release_floor_) {
  watch_commands();
}

void WholeUpdate::watch_commands() {
  world.vehicle.at_command = [this](const std::string&) {
    if (!world.agent) return;
    for (const auto& [id, function] : world.agent->record().functions) {
      std::uint64_t& floor = licence_floors_[id.text()];
      floor = std::max(floor, function.newest.counter);
    }
  };
}

void WholeUpdate::restart(MemoryDisk::Survives survives, std::uint32_t seed) {
  world.agent.reset();
  world.disk.restart(survives, seed);
  // A process that was killed leaves the car as it was, on trial perhaps.
  if (survives != MemoryDisk::Survives::kEverything) world.vehicle.power_cut();
  world.clock.advance(20);
  look();
  check_counters();
  forbid_marked_chunks();
}

bool WholeUpdate::has_ended() const {
  if (!world.agent) return false;
  const Record& record = world.agent->record();
  if (record.report_counter > record.report_acknowledged) return false;
  for (const auto& [id, counter] : ends_.licence_counters) {
    const auto known = record.functions.find(manifest::FunctionId::parse(id).value());
    if (known == record.functions.end() || known->second.newest.counter < counter) return false;
  }
  return std::all_of(ends_.orders.begin(), ends_.orders.end(), [&](const auto& end) {
    if (world.state(end.first) != end.second) return false;
    if (!end.second) return true;
    const auto told = world.server.reported(end.first);
    return told && manifest::to_string(told->state) == agent::to_string(*end.second);
  });
}

// As the daemon does it: an error ends the process, and it is started again.
bool WholeUpdate::step_once() {
  if (!world.agent) {
    auto opened =
        agent::Agent::open(world.disk, world.clock, world.server, world.vehicle, world.options);
    if (!opened) {
      ++errors_of_agent;
      world.clock.advance(30);
      return false;
    }
    world.agent = std::move(*opened);
  }
  const auto next = world.agent->step();
  if (!next) {
    ++errors_of_agent;
    world.agent.reset();
    world.clock.advance(30);
    return false;
  }
  if (next->wait_ms > 0) world.clock.advance_ms(next->wait_ms);
  return next->idle;
}

void WholeUpdate::step_until_idle(std::int64_t seconds) {
  const std::int64_t end_ms = world.clock.monotonic_ms() + seconds * 1000;
  for (int steps = 0; steps < kStepsMax && !has_ended(); ++steps) {
    const bool is_idle = step_once();
    if (world.clock.monotonic_ms() >= end_ms && (is_idle || !world.agent)) return;
  }
}

bool WholeUpdate::drive(int rounds_max) {
  for (int round = 0; round < rounds_max && !has_ended(); ++round) {
    const std::int64_t seconds = round < 3 ? 40 : 1200;  // a backoff may be a quarter of an hour
    world.vehicle.drive();
    step_until_idle(seconds);
    world.vehicle.stand_open();
    step_until_idle(0);
    world.vehicle.park_locked();
    step_until_idle(seconds);
  }
  if (!has_ended()) return false;
  for (int i = 0; i < 3; ++i) step_once();  // what is left to tidy up, and nothing else happens
  step_until_idle(600);
  return has_ended();
}

// ---- what has to hold ---------------------------------------------------------------------------

void WholeUpdate::violate(const std::string& what) {
  violations.push_back(std::string(kind_->name) + ": " + what);
}

void WholeUpdate::look() {
  const std::string maps = world.live_maps();
  if (maps != "old" && maps != ends_.maps) violate("a reader of maps sees " + maps);
  const std::string software = world.kept_software();
  if (software != "old" && software != ends_.software) violate("the kept slot holds " + software);
  const MemoryDisk::Quiet quiet(world.disk);
  for (const auto& [id, path] : world.vehicle.functions) {
    const auto bytes = read_file(world.disk, path, 1 << 20);
    if (!bytes) {
      violate(id + " is on without its package: " + bytes.error().message());
      continue;
    }
    const auto wanted = ends_.functions.find(id);
    const auto before = ends_.packages_once.find(id);
    const bool is_old = before != ends_.packages_once.end() &&
                        std::count(before->second.begin(), before->second.end(), *bytes) > 0;
    if (!is_old && (wanted == ends_.functions.end() || wanted->second != *bytes))
      violate(id + " runs with a package that is neither old nor new");
  }
}

void WholeUpdate::look_at_change(const std::string& path) {
  const std::string state(kState);
  for (const char* folder : {"/maps/", "/software/", "/functions/"})
    if (path.starts_with(state + folder)) return look();
}

void WholeUpdate::check_counters() {
  const MemoryDisk::Quiet quiet(world.disk);
  const auto record = agent::Journal::read(world.disk, kState);
  if (!record) return violate("the journal is lost: " + record.error().message());
  for (const auto& [id, floor] : licence_floors_) {
    const auto known = record->functions.find(manifest::FunctionId::parse(id).value());
    if (known == record->functions.end() || known->second.newest.counter < floor)
      violate("the licence counter of " + id + " went back below " + std::to_string(floor));
  }
}

void WholeUpdate::forbid_marked_chunks() {
  const MemoryDisk::Quiet quiet(world.disk);
  const auto record = agent::Journal::read(world.disk, kState);
  if (!record) return;
  std::map<std::string, std::uint64_t> floors;
  for (const OrderRecord& order : record->orders)
    for (const agent::ImageProgress& image : order.images)
      if (const manifest::Payload* payload = image.payload(); payload && image.chunk_count > 0)
        floors[to_hex(payload->sha256)] = image.bytes_done;
  world.server.at_payload = [this, floors](const std::string& sha256,
                                           const agent::ByteRange& range) {
    const auto floor = floors.find(sha256);
    if (floor != floors.end() && range.offset < floor->second) ++broken_marks_;
  };
}

void WholeUpdate::check_reports() {
  std::map<std::string, std::uint64_t> counters;
  std::uint64_t last = 0;
  for (const manifest::EcuReport& report : world.server.reports()) {
    if (report.counter <= last) violate("a report's counter did not rise");
    last = report.counter;
    for (const auto& [id, function] : report.functions) {
      std::uint64_t& floor = counters[id.text()];
      if (function.counter < floor) violate("the car reported an older licence of " + id.text());
      floor = std::max(floor, function.counter);
    }
  }
  for (const auto& [id, state] : ends_.orders) {
    if (!state) continue;
    const auto wanted = manifest::parse_order_state(agent::to_string(*state)).value();
    const int said = world.server.count_reported(id, wanted);
    if (said == 0) violate("the end of " + id.text() + " was not reported");
  }
}

std::vector<std::string> WholeUpdate::tree() {
  std::vector<std::string> paths;
  const std::function<void(const std::string&)> walk = [&](const std::string& path) {
    const auto status = world.disk.status(path);
    if (!status) return;
    paths.push_back(path);
    if (status->kind != FileStatus::Kind::kDirectory) return;
    const std::vector<std::string> names = world.disk.list(path).value();
    for (const std::string& name : names) walk(path + "/" + name);
  };
  walk(kState);
  return paths;
}

void WholeUpdate::check_functions(const std::map<std::string, Bytes>& wanted) {
  for (const auto& [id, bytes] : wanted)
    if (!world.vehicle.functions.contains(id)) violate(id + " is not on in the end");
  for (const auto& [id, path] : world.vehicle.functions)
    if (!wanted.contains(id)) violate(id + " is on in the end");
}

// A medium that keeps its damage: what is installed may be hit, and names may stay that cannot be
// removed.
void WholeUpdate::check_end_or_before() {
  const std::string& path = world.disk.struck_path();
  bool is_installed = false;  // what lay there before or lies there now, seen by its reader too
  for (const char* folder : {"/maps", "/software/", "/functions/"})
    is_installed = is_installed || path.starts_with(kState + std::string(folder));
  if (!is_installed) look();
  if (!has_ended()) return;
  check_reports();
  check_functions(ends_.functions);
  if (!is_installed && world.live_maps() != ends_.maps) violate("the maps are not of the end");
  if (!is_installed && world.kept_software() != ends_.software)
    violate("the software is not of the end");
}

void WholeUpdate::check_end() {
  if (!has_ended()) {
    std::string states;
    if (world.agent)
      for (const OrderRecord& order : world.agent->record().orders)
        states += fmt::format(" {}={} {}", order.id.text(), agent::to_string(order.state),
                              order.error ? order.error->message() : "");
    if (world.agent && world.agent->record().poll_error)
      states += " poll: " + world.agent->record().poll_error->message();
    if (world.agent)
      states += fmt::format(" report {} of {}", world.agent->record().report_acknowledged,
                            world.agent->record().report_counter);
    for (const auto& [id, counter] : ends_.licence_counters)
      if (const auto id_ = manifest::FunctionId::parse(id).value();
          world.agent && world.agent->record().functions.contains(id_))
        states += fmt::format(" {} {} of {}", id,
                              world.agent->record().functions.at(id_).newest.counter, counter);
    violate("it does not come to its end:" + states);
    return;
  }
  look();
  if (world.live_maps() != ends_.maps) violate("the maps are not those of the end");
  if (world.kept_software() != ends_.software) violate("the software is not that of the end");
  check_functions(ends_.functions);
  check_reports();
  check_counters();
  if (broken_marks_ > 0) violate("chunks that the journal had marked came again");
  const MemoryDisk::Quiet quiet(world.disk);
  static std::map<std::string, std::vector<std::string>> undisturbed;
  const std::vector<std::string> left = tree();
  const auto [wanted, is_first] = undisturbed.emplace(kind_->name, left);
  if (is_first) return;
  for (const std::string& path : left)
    if (!std::binary_search(wanted->second.begin(), wanted->second.end(), path))
      violate("left over: " + path);
  for (const std::string& path : wanted->second)
    if (!std::binary_search(left.begin(), left.end(), path)) violate("missing: " + path);
}

}  // namespace layby::tests
