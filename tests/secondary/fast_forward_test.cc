// A thief of one of the Director's online keys ran versions up or set the time ahead. The root
// takes that key away, and the ECU comes back from there by itself: wherever the power goes.
#include <catch2/catch.hpp>

#include "tests/agent/world.h"
#include "tests/secondary/carrier.h"

using namespace layby;
using namespace layby::tests;
using manifest::Role;
using secondary::Verification;

namespace {

constexpr manifest::Version kRunUp = 1u << 31;

// Snapshot and timestamp were run up, and are in the ECU. Their owner has noticed, has taken one of
// the two keys away and offers an image.
struct Recovering : EcuWorld {
  explicit Recovering(Role taken_away) : EcuWorld(Verification::kFull) {
    server.run_up = kRunUp;
    server.sign_director();
    REQUIRE(carry_news());
    server.run_up = 0;
    server.rotate_director_keys({taken_away});
    order(2, new_image, 2);
  }
};

std::string trusted_file(const char* role) {
  return secondary::EcuLayout(kEcuState).director_trust() + "/" + role + ".json";
}

}  // namespace

TEST_CASE("P4.7: one of two stolen keys taken away, a power cut anywhere: an ECU recovers") {
  using Survives = MemoryDisk::Survives;
  for (const Role taken_away : {Role::kTimestamp, Role::kSnapshot}) {
    for (const auto survives : {Survives::kEverything, Survives::kOnlySynced, Survives::kPerhaps}) {
      for (std::uint64_t step = 1;; ++step) {
        Recovering world(taken_away);
        bool was_cut = false;
        world.disk.cut_power_at(world.disk.operations() + step);
        try {
          static_cast<void>(world.carry_news());
        } catch (const PowerCut&) {
          was_cut = true;
        }
        world.ecu.reset();
        world.disk.restart(survives, static_cast<std::uint32_t>(step));
        world.start();
        INFO(manifest::to_string(taken_away) << ", operation " << step);
        REQUIRE(world.carry_news());
        REQUIRE(world.install(world.new_image));
        if (!was_cut) break;
      }
    }
  }
}

TEST_CASE("One of two stolen keys taken away, a write that fails: an ECU recovers as it runs") {
  for (std::uint64_t at = 1;; ++at) {
    Recovering world(Role::kTimestamp);
    world.disk.inject({.kind = Fault::Kind::kWriteError, .at = at});
    static_cast<void>(world.carry_news());
    const bool has_struck = world.disk.has_struck();
    world.disk.heal();
    INFO("operation " << at);
    REQUIRE(world.carry_news());
    REQUIRE(world.install(world.new_image));
    if (!has_struck) break;
  }
}

TEST_CASE("A root that takes no key away takes no file from an ECU's disk, whenever it comes") {
  EcuWorld world(Verification::kFull);
  world.server.rotate_director_keys({Role::kTimestamp});
  REQUIRE(world.carry_news());
  const auto older = world.server.director_files();
  world.server.sign_director();
  REQUIRE(world.carry_news());
  const auto trusted = world.server.director_files();
  world.server.rotate_director_keys({});
  // The primary says at first that there is no newer root, and has no newer timestamp ever.
  int asked = 0;
  const auto* timestamps = &trusted;
  world.tamper = [&](const secondary::WantBody& want, std::optional<Bytes>& file) {
    if (want.repository != secondary::RepositoryName::kDirector) return;
    if (want.file == "3.root.json" && ++asked == 1) file.reset();
    if (want.file == "timestamp.json") file = timestamps->at(want.file);
  };
  REQUIRE(world.carry_metadata());
  REQUIRE(world.carry_metadata());
  CHECK(world.disk.status(trusted_file("timestamp")));
  CHECK(world.disk.status(trusted_file("snapshot")));
  world.start();
  timestamps = &older;
  REQUIRE(world.carry_time());
  const auto said = world.carry_metadata();
  REQUIRE_FALSE(said);
  CHECK(said.error().code() == ErrorCode::kRollback);
}

TEST_CASE("A time that a thief set ahead does not keep a refusal in the reports once it is over") {
  EcuWorld world(GENERATE(Verification::kFull, Verification::kPartial));
  world.server.time_ahead = 20 * kDaySeconds;  // the Director's word holds for 30
  REQUIRE(world.carry_news());
  CHECK_FALSE(world.ask({secondary::MessageType::kDone}));
  CHECK(world.report().attack.starts_with("bad-format: "));
  REQUIRE(world.carry_news());
  world.server.time_ahead = 0;
  world.server.rotate_director_keys({Role::kTimestamp});
  REQUIRE(world.carry_news());
  CHECK(world.report().time < world.clock.now() + kDaySeconds);
  CHECK(world.report().attack.starts_with("bad-format: "));
  world.clock.advance(kDaySeconds);
  REQUIRE(world.carry_news());
  CHECK(world.report().attack.empty());
  CHECK_FALSE(world.ask({secondary::MessageType::kDone}));  // the next one is told
  CHECK(world.report().attack.starts_with("bad-format: "));
}
