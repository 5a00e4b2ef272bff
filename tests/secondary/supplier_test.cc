// An ECU whose software only a supplier's delegated role names: with full verification it searches
// for its own image by itself (Uptane 2.1.0, 5.4.4.7; P5.1).
#include <catch2/catch.hpp>

#include "tests/agent/world.h"
#include "tests/secondary/carrier.h"

using namespace layby;
using namespace layby::tests;
using secondary::Verification;

namespace {

constexpr const char* kRoleFile = "1.brakes%20ltd.json";
constexpr const char* kDelegated = "/ecu/trust/image/delegated";

struct Supplied : EcuWorld {
  explicit Supplied(const char* path = "software/brake-?/*", const char* for_hardware = "",
                    Verification verification = Verification::kFull)
      : EcuWorld(verification) {
    FakeServer::Supplier supplier{.path = path};
    if (*for_hardware != '\0')
      supplier.hardware.push_back(manifest::HardwareId::parse(for_hardware).value());
    server.suppliers["brakes ltd"] = supplier;
    server.publish({.name = image(2),
                    .bytes = new_image,
                    .base = {},
                    .release_counter = 2,
                    .supplier = "brakes ltd"});
    server.order({image(2)});
    tamper = [this](const secondary::WantBody& want, std::optional<Bytes>& file) {
      asked.push_back(want.file);
      if (at_role && want.file == kRoleFile) at_role(file);
    };
  }

  std::vector<std::string> asked;
  std::function<void(std::optional<Bytes>&)> at_role;  // what a malicious primary makes of it

  std::ptrdiff_t asked_for_role() const { return std::ranges::count(asked, kRoleFile); }
  std::vector<std::string> kept_roles() {
    const MemoryDisk::Quiet quiet(disk);
    return disk.list(kDelegated).value_or(std::vector<std::string>{});
  }
};

}  // namespace

TEST_CASE("An ECU takes its supplier's software, and asks for the role once (P5.1)") {
  const char* for_hardware = GENERATE("", "brake-2");
  Supplied world("software/brake-?/*", for_hardware);
  REQUIRE(world.carry_news());
  CHECK(world.asked_for_role() == 1);
  CHECK(world.ecu->state().wanted->release_counter == 2);
  CHECK(world.kept_roles() == std::vector<std::string>{"brakes%20ltd.json"});
  // Nothing is new: the next roots, before the time and with the look, and both timestamps.
  const std::vector<std::string> of_a_look = {"2.root.json", "2.root.json", "timestamp.json",
                                              "2.root.json", "timestamp.json"};
  for (const bool restarts : {false, true}) {
    if (restarts) world.start();
    world.asked.clear();
    REQUIRE(world.carry_news());
    CHECK(world.asked == of_a_look);
  }
  REQUIRE(world.install(world.new_image));
  CHECK(world.kept_bytes() == "new");
}

TEST_CASE("An ECU that verifies partially believes the Director, and asks for no role") {
  Supplied world("software/brake-?/*", "", Verification::kPartial);
  REQUIRE(world.carry_news());
  CHECK(world.ecu->state().wanted->release_counter == 2);
  CHECK(world.asked_for_role() == 0);
}

TEST_CASE("An ECU refuses the software of a supplier who may not speak of it (P5.1)") {
  struct Case {
    const char* path;
    const char* hardware;
    bool is_delegated;
    const char* reason;
  };
  const Case c = GENERATE(
      Case{"software/radar-1/*", "", true, "its path is delegated to nobody"},
      Case{"software/*/*", "radar-1", true, "its path is delegated, but for other hardware"},
      Case{"software/*/*", "", false, "nobody else may speak"});
  Supplied world(c.path, c.hardware);
  world.server.suppliers["brakes ltd"].is_delegated = c.is_delegated;
  world.server.sign_images();
  const auto said = world.carry_news();
  REQUIRE_FALSE(said);
  CHECK(said.error().code() == ErrorCode::kRepositoriesDisagree);
  CHECK(said.error().message().find(c.reason) != std::string::npos);
  CHECK(world.asked_for_role() == 0);
  CHECK_FALSE(world.ecu->state().wanted);
  CHECK(world.report().attack.starts_with("repositories-disagree: "));
  CHECK_FALSE(world.stage(world.new_image));
}

TEST_CASE(
    "What a primary makes of a delegated role is refused by name, and forgotten then (P5.1)") {
  Supplied world;
  std::optional<ErrorCode> expected;
  SECTION("left out") {
    world.at_role = [](std::optional<Bytes>& file) { file.reset(); };
    expected = ErrorCode::kNotFound;
  }
  SECTION("altered") {
    world.at_role = [](std::optional<Bytes>& file) { file->back() ^= 1; };
    expected = ErrorCode::kMixAndMatch;
  }
  SECTION("longer than the snapshot says") {
    world.at_role = [](std::optional<Bytes>& file) { file->push_back(' '); };
    expected = ErrorCode::kEndlessData;
  }
  SECTION("the operator's targets in its place") {
    world.at_role = [&](std::optional<Bytes>& file) {
      file = world.server.image_files().at("1.targets.json");
    };
    expected = ErrorCode::kMixAndMatch;
  }
  const auto said = world.carry_news();
  REQUIRE_FALSE(said);
  CHECK(to_string(said.error().code()) == to_string(*expected));
  CHECK_FALSE(world.ecu->state().wanted);
  CHECK(world.kept_roles().empty());
  world.at_role = {};
  REQUIRE(world.carry_news());
  CHECK(world.ecu->state().wanted->release_counter == 2);
}

TEST_CASE("More roles than an ECU asks are refused, and told as an attack (P5.1)") {
  Supplied world;
  // All of them may speak of its image before the one that has it.
  for (int i = 0; i < 32; ++i)
    world.server.suppliers[fmt::format("a{}", i)] = {.path = "software/*/*"};
  world.server.sign_images();
  const auto said = world.carry_news();
  REQUIRE_FALSE(said);
  CHECK(said.error().code() == ErrorCode::kTooLarge);
  CHECK(world.asked_for_role() == 0);
  CHECK_FALSE(world.ecu->state().wanted);
  CHECK(world.report().attack.starts_with("too-large: "));
}

TEST_CASE("Roles that an ECU does not need any more go from its disk") {
  Supplied world;
  REQUIRE(world.carry_news());
  REQUIRE(replace_file(world.disk, std::string(kDelegated) + "/old.json.new", as_bytes("half")));
  REQUIRE(world.carry_news());
  CHECK(world.kept_roles() == std::vector<std::string>{"brakes%20ltd.json"});
  world.server.publish(
      {.name = EcuWorld::image(2), .bytes = world.new_image, .base = {}, .release_counter = 2});
  REQUIRE(world.carry_news());
  CHECK(world.kept_roles().empty());
}

TEST_CASE("P4.7: after a power cut at any operation of a look with a role an ECU goes on") {
  using Survives = MemoryDisk::Survives;
  for (const auto survives : {Survives::kEverything, Survives::kOnlySynced, Survives::kPerhaps}) {
    for (std::uint64_t step = 1;; ++step) {
      Supplied world;
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
      INFO("operation " << step);
      REQUIRE(world.carry_news());
      REQUIRE(world.ecu->state().wanted->release_counter == 2);
      REQUIRE(world.kept_roles() == std::vector<std::string>{"brakes%20ltd.json"});
      if (!was_cut) break;
    }
  }
}
