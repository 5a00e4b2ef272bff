// A partner's package: the very checks of a download, without a connection (P3.1, P5.3).
#include "agent/offline_install.h"

#include <catch2/catch.hpp>

#include "tests/agent/world.h"

using namespace layby;
using namespace layby::agent;
using namespace layby::tests;

namespace {

const std::vector<std::string> kMaps = {"maps/DE/2.tar", "maps/FR/2.tar", "maps/NL/2.tar"};
constexpr const char* kPackage = "/stick/package.tar";

struct Workshop : World {
  Workshop() {
    publish_maps();
    REQUIRE(disk.make_dirs("/stick"));
  }

  Result<std::vector<OfflineOrder>> take(const Bytes& archive_bytes,
                                         const std::function<bool()>& interrupted = {}) {
    agent.reset();  // the daemon does not run
    REQUIRE(replace_file(disk, kPackage, archive_bytes));
    disk.set_free_bytes(free_bytes);
    if (cut_after > 0) disk.cut_power_at(disk.operations() + cut_after);
    return install_offline(disk, clock,
                           {.state_directory = kState,
                            .package_path = kPackage,
                            .interrupted = interrupted,
                            .progress = {}});
  }

  std::uint64_t free_bytes = 1ull << 40;  // once the package lies there
  std::uint64_t cut_after = 0;            // operations of the disk, from the next package on

  // All bytes below the state directory, as one text.
  std::string everything(const std::string& directory = kState) {
    std::string out;
    const std::vector<std::string> names = disk.list(directory).value();
    for (const std::string& name : names) {
      const std::string path = directory + "/" + name;
      const FileStatus status = disk.status(path).value();
      out += path + " ";
      if (status.kind == FileStatus::Kind::kSymlink) out += disk.read_symlink(path).value();
      if (status.kind == FileStatus::Kind::kDirectory) out += everything(path);
      if (status.kind == FileStatus::Kind::kFile)
        out += to_hex(crypto::sha256(read_file(disk, path, 1 << 24).value()));
      out += "\n";
    }
    return out;
  }

  // Refused with this code, and nothing has changed.
  void refuses(const Bytes& archive_bytes, ErrorCode code) {
    agent.reset();
    const std::string before = everything();
    const auto taken = take(archive_bytes);
    REQUIRE_FALSE(taken);
    CHECK(to_string(taken.error().code()) == to_string(code));
    CHECK(everything() == before);
  }
};

bool is_delta(const manifest::Payload& payload) {
  return payload.base.has_value();
}

bool is_whole(const manifest::Payload& payload) {
  return !payload.base;
}

}  // namespace

TEST_CASE("without a server a package's order is taken, and installed after exit-and-lock (P3.1)") {
  Workshop world;
  const auto id = world.server.order_offline(kMaps);
  const Bytes package = world.server.offline_package();
  world.server.offline = true;
  const auto taken = world.take(package);
  REQUIRE(taken);
  REQUIRE(taken->size() == 1);
  CHECK(taken->front().id == id);
  CHECK(taken->front().state == State::kDownloaded);
  CHECK(taken->front().is_taken());
  CHECK(world.live_maps() == "old");
  CHECK(world.take(package)->front().state == State::kDownloaded);  // again: nothing to do

  world.run(10);
  world.exit_and_lock();
  REQUIRE(world.run_until_state(id, State::kActive, 120));
  CHECK(world.live_maps() == "new");
  CHECK(world.server.payload_bytes_sent == 0);
  CHECK(world.server.reports().empty());
  world.server.offline = false;  // the report was kept for the next connection
  REQUIRE(world.run(1800, [&] {
    const auto said = world.server.reported(id);
    return said && said->state == manifest::OrderState::kActive;
  }));
}

TEST_CASE("over the air an order of a partner's waits for the partner (P3.1)") {
  Workshop world;
  const auto id = world.server.order_offline(kMaps);
  world.run(1000);
  CHECK(world.state(id) == State::kOffered);
  CHECK(world.order(id)->waiting_for == std::vector<std::string>{"partner-package"});
  CHECK(world.server.payload_bytes_sent == 0);
  const bool said = std::ranges::any_of(world.vehicle.lines, [](const std::string& line) {
    return line.find("service partner") != std::string::npos;
  });
  CHECK(said);
  const auto taken = world.take(world.server.offline_package());
  REQUIRE(taken);
  CHECK(taken->front().is_taken());
}

TEST_CASE("a package with deltas alone is enough for what the car has, and only for that (P3.3)") {
  Workshop world;
  const auto id = world.server.order_offline(kMaps);
  const Bytes deltas = world.server.offline_package(is_delta);
  SECTION("as the server knew it") {
    REQUIRE(world.take(deltas)->front().is_taken());
  }
  SECTION("the car has lost a region: the whole image is needed") {
    REQUIRE(world.disk.remove_tree(std::string(kState) + "/maps/regions"));
    const auto taken = world.take(deltas);
    REQUIRE(taken);
    CHECK_FALSE(taken->front().is_taken());
    CHECK(taken->front().state == State::kOffered);
    CHECK(taken->front().error->code() == ErrorCode::kWrongBase);
    const auto whole = world.take(world.server.offline_package());
    REQUIRE(whole);
    CHECK(whole->front().is_taken());
  }
}

TEST_CASE("what was begun over the air goes on from a package") {
  Workshop world;
  const auto id = world.server.order(kMaps);
  REQUIRE(world.run_until_state(id, State::kDownloading, 60));
  SECTION("with the same payloads") {
    REQUIRE(world.take(world.server.offline_package())->front().is_taken());
  }
  SECTION("with others") {
    REQUIRE(world.take(world.server.offline_package(is_whole))->front().is_taken());
  }
  SECTION("not with none: it may still come over the air") {
    const auto none = [](const manifest::Payload&) { return false; };
    CHECK(world.take(world.server.offline_package(none))->empty());
  }
  world.run(30);
  world.exit_and_lock();
  REQUIRE(world.run_until_state(id, State::kActive, 600));
  CHECK(world.live_maps() == "new");
}

TEST_CASE("a package that was interrupted goes on from its chunk") {
  Workshop world;
  const auto id = world.server.order_offline(kMaps);
  const Bytes package = world.server.offline_package();
  int chunks = 0;
  const auto cut = world.take(package, [&] { return ++chunks > 12; });
  REQUIRE_FALSE(cut);
  CHECK(cut.error().code() == ErrorCode::kCancelled);
  world.start();
  CHECK(world.state(id) == State::kDownloading);
  CHECK(world.take(package)->front().is_taken());
}

TEST_CASE("packages of another car, older, expired or forged ones leave no trace (P5.3, P5.1)") {
  Workshop world;
  const auto id = world.server.order_offline(kMaps);
  SECTION("another car's") {
    world.server.director_vin = "WVWZZZ1JZXW000025";
    world.refuses(world.server.offline_package(), ErrorCode::kWrongVehicle);
    world.server.director_vin = kVin;
    CHECK(world.take(world.server.offline_package())->front().is_taken());  // nothing is wedged
  }
  SECTION("an older one after a newer one") {
    const Bytes older = world.server.offline_package();
    const Bytes newer = world.server.offline_package();
    REQUIRE(world.take(newer));
    world.refuses(older, ErrorCode::kRollback);
  }
  SECTION("one from before what the car knows over the air") {
    const Bytes older = world.server.offline_package();
    world.server.sign_director();
    world.run(10);
    world.refuses(older, ErrorCode::kRollback);
  }
  SECTION("an expired one") {
    const Bytes package = world.server.offline_package();
    world.run(10);
    world.agent.reset();
    world.clock.advance_ms(31 * kDaySeconds * 1000);
    world.refuses(package, ErrorCode::kFreeze);
  }
  SECTION("a time that a stray key signed") {
    Bytes package = world.server.offline_package();
    const std::string text(as_text(package));
    const std::size_t sig = text.find("\"sig\":\"");
    REQUIRE(sig < 4096);
    package[sig + 10] = package[sig + 10] == '0' ? '1' : '0';
    world.refuses(package, ErrorCode::kBadSignature);
  }
  SECTION("a payload that is damaged, in a package for which all else holds") {
    Bytes package = world.server.offline_package();
    package[package.size() - 1024 - 600] ^= 1;
    world.refuses(package, ErrorCode::kWrongImage);
  }
  SECTION("a byte of the metadata, wherever it is") {
    const Bytes package = world.server.offline_package();
    const std::string text(as_text(package));
    const std::size_t payloads = text.find("payloads/");
    REQUIRE(payloads < package.size());
    const std::string before = world.everything();
    for (std::size_t at = 0; at < payloads; at += 101) {
      Bytes bent = package;
      bent[at] ^= 1;
      INFO("byte " << at);
      CHECK_FALSE(world.take(bent));
      CHECK(world.everything() == before);
    }
  }
  SECTION("one that is no archive") {
    world.refuses(noise(5000, 4), ErrorCode::kBadFormat);
    world.refuses({}, ErrorCode::kBadFormat);
  }
  CHECK_FALSE(world.take({}));
}

TEST_CASE("the time of a package moves trusted time forward, never back") {
  Workshop world;
  world.server.order_offline(kMaps);
  const Bytes package = world.server.offline_package();
  world.start();
  world.run(10);
  SECTION("back") {
    world.agent.reset();
    world.clock.advance_ms(3 * kDaySeconds * 1000);
    world.start();
    world.run(10);  // the time is signed anew, the metadata is not
    const UnixSeconds before = world.agent->trusted_now();
    REQUIRE(before >= kStart + 3 * kDaySeconds);
    REQUIRE(world.take(package));  // of three days ago, and good for longer
    world.start();
    CHECK(world.agent->trusted_now() >= before);
    CHECK(world.agent->record().time_signed >= kStart + 3 * kDaySeconds);
  }
  SECTION("forward") {
    world.server.time_ahead = 3 * kDaySeconds;  // the car's clock stood still
    const UnixSeconds before = world.agent->trusted_now();
    REQUIRE(world.take(world.server.offline_package()));
    world.server.offline = true;
    world.start();
    CHECK(world.agent->trusted_now() >= before + 3 * kDaySeconds);
  }
}

TEST_CASE("a package brings the Director's new keys along") {
  Workshop world;
  world.server.order_offline(kMaps);
  world.run(10);
  world.server.rotate_director_key();
  CHECK(world.take(world.server.offline_package())->front().is_taken());
}

TEST_CASE("a package brings back a time that a thief of the old key had set ahead") {
  Workshop world;
  world.server.order_offline(kMaps);
  world.server.time_ahead = 10 * 365 * kDaySeconds;
  world.run(60);
  REQUIRE(world.agent->trusted_now() > kStart + 9 * 365 * kDaySeconds);
  world.server.time_ahead = 0;
  world.server.rotate_director_key();
  const auto taken = world.take(world.server.offline_package());
  REQUIRE(taken);
  CHECK(taken->front().is_taken());
  world.server.offline = true;
  world.start();
  CHECK(world.agent->trusted_now() < kStart + kDaySeconds);
}

TEST_CASE("a package's time is not believed from a key that its own root revokes (P5.1)") {
  Workshop world;
  world.server.order_offline(kMaps);
  world.run(10);
  const Bytes stolen = world.server.offline_package();  // its time is signed with the old key
  world.server.rotate_director_key();
  const Bytes genuine = world.server.offline_package();
  // The time is the first member: a head of 512 bytes, and a document within the same blocks.
  const auto time_bytes = [](const Bytes& package) {
    const std::string text(as_text(package));
    return text.find("director/");
  };
  REQUIRE(time_bytes(stolen) == time_bytes(genuine));
  Bytes mixed = genuine;
  std::copy_n(stolen.begin(), static_cast<long>(time_bytes(stolen)), mixed.begin());
  world.refuses(mixed, ErrorCode::kBadSignature);
  CHECK(world.take(genuine)->front().is_taken());
}

TEST_CASE("a package that a wrong wall clock refuses says so") {
  Workshop world;
  world.server.order_offline(kMaps);
  const Bytes package = world.server.offline_package();
  world.run(10);
  world.agent.reset();
  world.clock.advance_ms(31 * kDaySeconds * 1000);
  const auto taken = world.take(package);
  REQUIRE_FALSE(taken);
  CHECK(taken.error().code() == ErrorCode::kFreeze);
  CHECK(taken.error().message().find("wall clock") != std::string::npos);
}

TEST_CASE("a package takes nothing from an order whose base it does not have") {
  Workshop world;
  const auto id = world.server.order(kMaps);
  REQUIRE(world.run_until_state(id, State::kDownloading, 60));
  REQUIRE(world.run(60, [&] { return world.order(id)->bytes_done() > 0; }));
  REQUIRE(world.state(id) == State::kDownloading);
  world.agent.reset();
  {
    Journal journal = Journal::open(world.disk, kState).value();
    for (auto& [slot, held] : journal.record().slots) held.sha256[0] ^= 1;  // other versions
    REQUIRE(journal.save());
  }
  const auto before = Journal::read(world.disk, kState).value();
  const auto taken = world.take(world.server.offline_package(is_delta));
  REQUIRE(taken);
  REQUIRE(taken->size() == 1);
  CHECK_FALSE(taken->front().is_taken());
  CHECK(taken->front().error->code() == ErrorCode::kWrongBase);
  const auto after = Journal::read(world.disk, kState).value();
  for (std::size_t i = 0; i < kMaps.size(); ++i) {
    CHECK(after.orders[0].images[i].chosen == before.orders[0].images[i].chosen);
    CHECK(after.orders[0].images[i].bytes_done == before.orders[0].images[i].bytes_done);
  }
}

TEST_CASE("a delta whose base is gone gives way to the whole image of a package (P3.1)") {
  Workshop world;
  const auto id = world.server.order(kMaps);
  REQUIRE(world.run_until_state(id, State::kDownloading, 60));
  REQUIRE(world.run(60, [&] { return world.order(id)->bytes_done() > 0; }));
  world.agent.reset();
  std::uint64_t budget = 0;
  {
    Journal journal = Journal::open(world.disk, kState).value();
    for (auto& [slot, held] : journal.record().slots) held.sha256[0] ^= 1;  // other versions
    budget = journal.record().orders.front().bytes_budget;
    REQUIRE(journal.save());
  }
  const auto taken = world.take(world.server.offline_package());
  REQUIRE(taken);
  REQUIRE(taken->size() == 1);
  CHECK(taken->front().is_taken());
  CHECK(!taken->front().error);
  const auto after = Journal::read(world.disk, kState).value();
  CHECK(after.attack.empty());
  CHECK(after.orders.front().bytes_budget <= budget);  // it costs the data plan nothing
}

TEST_CASE("a package is not bounded by what came over the air (P3.1)") {
  Workshop world;
  const auto id = world.server.order(kMaps);
  REQUIRE(world.run_until_state(id, State::kDownloading, 60));
  world.agent.reset();
  std::uint64_t received = 0;
  {
    Journal journal = Journal::open(world.disk, kState).value();
    OrderRecord& order = *journal.record().order(id);
    received = order.bytes_received = order.bytes_budget;
    REQUIRE(journal.save());
  }
  CHECK(world.take(world.server.offline_package())->front().is_taken());
  CHECK(Journal::read(world.disk, kState)->order(id)->bytes_received == received);
}

TEST_CASE("a full disk is named, and nothing is begun") {
  Workshop world;
  world.server.order_offline(kMaps);
  world.start();
  world.free_bytes = 1 << 20;  // enough for metadata and the journal
  const auto taken = world.take(world.server.offline_package());
  REQUIRE(taken);
  CHECK_FALSE(taken->front().is_taken());
  CHECK(taken->front().error->code() == ErrorCode::kNotEnoughSpace);
  world.disk.set_free_bytes(1ull << 40);
  world.free_bytes = 1ull << 40;
  CHECK(world.take(world.server.offline_package())->front().is_taken());
}

TEST_CASE("a power cut at any instant of taking a package: the same command ends it (P4.7)") {
  std::uint64_t operations = 0;
  for (std::uint64_t cut = 1;; cut += cut < 100 ? 1 : 7) {
    Workshop world;
    const auto id = world.server.order_offline(kMaps);
    const Bytes package = world.server.offline_package();
    world.cut_after = cut;
    bool was_cut = false;
    try {
      const auto whole = world.take(package);
      if (!whole) FAIL(whole.error().message());
    } catch (const PowerCut&) {
      was_cut = true;
    }
    world.disk.restart(MemoryDisk::Survives::kOnlySynced, static_cast<std::uint32_t>(cut));
    if (!was_cut) break;
    ++operations;
    INFO("cut at " << cut);
    world.cut_after = 0;
    world.server.offline = true;
    REQUIRE(world.disk.make_dirs("/stick"));
    const auto taken = world.take(package);
    if (!taken) FAIL(taken.error().message());
    REQUIRE(taken->size() == 1);
    CHECK(taken->front().id == id);
    CHECK(taken->front().is_taken());
    CHECK(world.live_maps() == "old");
  }
  WARN(operations << " cuts");
  CHECK(operations > 5);
}

TEST_CASE("a package brings the roles of suppliers, and without them it is refused (P5.1, P5.3)") {
  Workshop world;
  world.server.suppliers["mapper"] = {.path = "maps/*/*.tar"};
  world.server.publish({.name = kMaps[0],
                        .bytes = world.new_regions["DE"],
                        .base = world.old_regions["DE"],
                        .release_counter = 2,
                        .supplier = "mapper"});
  const auto id = world.server.order_offline(kMaps);
  const Bytes whole = world.server.offline_package();
  Bytes role = std::exchange(world.server.image_files()["1.mapper.json"], {});
  world.server.image_files().erase("1.mapper.json");
  world.refuses(world.server.offline_package(), ErrorCode::kNotFound);
  role.back() ^= 1;
  world.server.image_files()["1.mapper.json"] = role;
  world.refuses(world.server.offline_package(), ErrorCode::kMixAndMatch);
  role.back() ^= 1;
  world.server.suppliers["mapper"].is_delegated = false;
  world.server.sign_images();
  world.refuses(world.server.offline_package(), ErrorCode::kRepositoriesDisagree);

  const auto taken = world.take(whole);
  REQUIRE(taken);
  CHECK(taken->front().id == id);
  CHECK(taken->front().is_taken());
  CHECK(read_file(world.disk, "/car/trust/image/delegated/mapper.json", 1 << 20).value() == role);
  world.run(10);
  world.exit_and_lock();
  REQUIRE(world.run_until_state(id, State::kActive, 120));
}
