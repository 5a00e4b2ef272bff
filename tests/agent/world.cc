#include "tests/agent/world.h"

#include <random>
#include <set>

#include "agent/provision.h"
#include "base/assert.h"
#include "manifest/region_image.h"

namespace layby::tests {
namespace {

constexpr const char* kRegions[] = {"DE", "FR", "NL"};

void must(const Result<void>& result) {
  LAYBY_ASSERT(result.has_value());
}

}  // namespace

Bytes noise(std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  Bytes bytes(count);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
  return bytes;
}

Bytes changed(Bytes base, std::uint32_t seed) {
  std::mt19937 random(seed);
  for (int i = 0; i < 20; ++i) base[random() % base.size()] ^= 0x5a;
  const Bytes more = noise(900, seed);
  base.insert(base.begin() + static_cast<long>(base.size() / 2), more.begin(), more.end());
  return base;
}

World::World(std::uint64_t factory_counter)
    : server(clock, kVin, kEcu, kHardware),
      vehicle(clock, disk),
      old_software(noise(150'000, 1)),
      new_software(changed(old_software, 2)),
      package(noise(40'000, 3)) {
  must(disk.make_dirs("/factory"));
  must(replace_file(disk, "/factory/director-root.json", server.director_root()));
  must(replace_file(disk, "/factory/image-root.json", server.image_root()));
  must(replace_file(disk, "/factory/ca.pem", as_bytes("the fake server asks for none")));
  must(replace_file(disk, "/factory/software.img", old_software));
  agent::FactoryState factory{
      .identity = {.vin = manifest::Vin::parse(kVin).value(),
                   .ecu = manifest::EcuSerial::parse(kEcu).value(),
                   .hardware = manifest::HardwareId::parse(kHardware).value(),
                   .server_url = "https://server.test"},
      .director_root_path = "/factory/director-root.json",
      .image_root_path = "/factory/image-root.json",
      .ca_path = "/factory/ca.pem",
      .map_directories = {},
      .software_path = "/factory/software.img",
      .software_counter = factory_counter};
  std::uint32_t seed = 10;
  for (const char* region : kRegions) {
    const std::string old_directory = std::string("/factory/") + region;
    const std::string new_directory = std::string("/factory/new-") + region;
    write_region(old_directory, region, ++seed, false);
    write_region(new_directory, region, seed, true);
    old_regions[region] = archive(old_directory);
    new_regions[region] = archive(new_directory);
    factory.map_directories[manifest::RegionId::parse(region).value()] = old_directory;
  }
  const agent::Layout layout(kState);
  must(agent::provision(disk, layout, factory));
  must(replace_file(disk, layout.certificate(), as_bytes("the fake server asks for none")));
  const auto keys = agent::read_keys(disk, layout).value();
  server.know_car(keys.ecu->public_key(), keys.seal.public_key);
  vehicle.booted = vehicle.confirmed = layout.absolute("software/a.img");
}

World::World(const World& other)
    : clock(other.clock.now()),
      disk(other.disk),
      server(other.server, clock),
      vehicle(other.vehicle, clock, disk),
      options(other.options),
      old_regions(other.old_regions),
      new_regions(other.new_regions),
      old_software(other.old_software),
      new_software(other.new_software),
      package(other.package) {
  clock.advance_ms(other.clock.monotonic_ms() - clock.monotonic_ms());
}

void World::write_region(const std::string& directory, const std::string& region,
                         std::uint32_t seed, bool is_new) {
  must(disk.make_dirs(directory + "/tiles"));
  const Bytes tiles = noise(60'000, seed);
  must(replace_file(disk, directory + "/tiles/0.bin", is_new ? changed(tiles, seed) : tiles));
  must(replace_file(
      disk, directory + "/data.json",
      as_bytes("{\"region\":\"" + region + "\",\"release\":" + (is_new ? "2" : "1") + "}")));
}

Bytes World::archive(const std::string& directory) {
  const auto view = manifest::RegionImage::open(disk, directory).value();
  Bytes bytes(view->size());
  must(view->read_at(0, bytes));
  return bytes;
}

void World::publish_maps(manifest::NetworkNeed network) {
  for (const char* region : kRegions)
    server.publish({.name = std::string("maps/") + region + "/2.tar",
                    .bytes = new_regions[region],
                    .base = old_regions[region],
                    .release_counter = 2,
                    .network = network});
}

void World::publish_software(manifest::NetworkNeed network) {
  server.publish({.name = "software/hu-4/2.0.0.img",
                  .bytes = new_software,
                  .base = old_software,
                  .release_counter = 2,
                  .network = network});
}

void World::publish_function(const std::string& version, std::uint64_t release_counter) {
  server.publish({.name = "functions/adaptive-cruise/" + version + ".pkg",
                  .bytes = package,
                  .base = {},
                  .release_counter = release_counter});
}

void World::start() {
  agent.reset();
  auto opened = agent::Agent::open(disk, clock, server, vehicle, options);
  LAYBY_ASSERT(opened.has_value());
  agent = std::move(*opened);
}

bool World::run(std::int64_t seconds, const std::function<bool()>& done) {
  return run_in_strides(seconds, 0, done);
}

bool World::run_days(std::int64_t days, const std::function<bool()>& done) {
  return run_in_strides(days * kDaySeconds, 3'600'000, done);
}

bool World::run_in_strides(std::int64_t seconds, std::int64_t stride_ms_min,
                           const std::function<bool()>& done) {
  if (!agent) start();
  const std::int64_t end_ms = clock.monotonic_ms() + seconds * 1000;
  for (int steps = 0; steps < 100'000; ++steps) {
    const auto next = agent->step();
    LAYBY_ASSERT(next.has_value());
    if (done && done()) return true;
    if (next->idle && clock.monotonic_ms() >= end_ms) return !done;
    if (next->wait_ms > 0) clock.advance_ms(std::max(next->wait_ms, stride_ms_min));
  }
  return false;
}

bool World::run_until_state(const manifest::OrderId& id, agent::State wanted,
                            std::int64_t seconds) {
  return run(seconds, [&] { return state(id) == wanted; });
}

void World::exit_and_lock() {
  vehicle.stand_open();
  run(0);
  vehicle.park_locked();
}

const agent::OrderRecord* World::order(const manifest::OrderId& id) const {
  for (const agent::OrderRecord& order : agent->record().orders)
    if (order.id == id) return &order;
  return nullptr;
}

std::optional<agent::State> World::state(const manifest::OrderId& id) const {
  const agent::OrderRecord* found = order(id);
  if (found == nullptr) return std::nullopt;
  return found->state;
}

std::string World::live_maps() {
  const MemoryDisk::Quiet quiet(disk);
  const std::string current = std::string(kState) + "/maps/current";
  std::set<std::string> seen;
  for (const char* region : kRegions) {
    const auto view = manifest::RegionImage::open(disk, current + "/" + region);
    if (!view) return "missing " + std::string(region) + ": " + view.error().message();
    Bytes bytes((*view)->size());
    if (!(*view)->read_at(0, bytes)) return "unreadable";
    seen.insert(bytes == old_regions[region]   ? "old"
                : bytes == new_regions[region] ? "new"
                                               : "damaged");
  }
  return seen.size() == 1 ? *seen.begin() : "mixture";
}

std::string World::kept_software() {
  const MemoryDisk::Quiet quiet(disk);
  const auto bytes = read_file(disk, vehicle.confirmed, 1 << 20);
  if (!bytes) return "missing";
  return *bytes == old_software ? "old" : *bytes == new_software ? "new" : "damaged";
}

manifest::OrderId order_function(World& world) {
  world.publish_function();
  return world.server.order({"functions/adaptive-cruise/1.0.0.pkg"});
}

manifest::OrderId order_maps(World& world) {
  world.publish_maps();
  return world.server.order({"maps/DE/2.tar", "maps/FR/2.tar", "maps/NL/2.tar"});
}

manifest::OrderId order_software(World& world, manifest::NetworkNeed network) {
  world.publish_software(network);
  return world.server.order({"software/hu-4/2.0.0.img"});
}

}  // namespace layby::tests
