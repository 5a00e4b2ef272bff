// Images that only a supplier's delegated role names: who may speak of what to this car, and what
// is asked for and kept of it (Uptane 2.1.0, 5.4.4.7; P5.1).
#include <catch2/catch.hpp>
#include <ctime>

#include "agent/delegated_files.h"
#include "base/limits.h"
#include "manifest/envelope.h"
#include "manifest/metadata_json.h"
#include "tests/agent/world.h"

using namespace layby;
using namespace layby::agent;
using namespace layby::tests;

namespace {

constexpr const char* kImage = "maps/DE/2.tar";
constexpr const char* kRole = "/v1/repositories/image/metadata/1.mapper.json";
constexpr const char* kNextRole = "/v1/repositories/image/metadata/2.mapper.json";
constexpr const char* kDelegated = "/car/trust/image/delegated";
constexpr const char* kFile = "/car/trust/image/delegated/mapper.json";
constexpr std::int64_t kIntervalMax = 990;  // between two looks

manifest::HardwareId hardware(const char* text) {
  return manifest::HardwareId::parse(text).value();
}

struct Supplied : World {
  explicit Supplied(const char* path = "maps/*/*.tar",
                    const std::vector<manifest::HardwareId>& for_hardware = {}) {
    server.suppliers["mapper"] = {.path = path, .hardware = for_hardware};
    publish();
  }

  void publish() {
    server.publish({.name = kImage,
                    .bytes = new_regions["DE"],
                    .base = old_regions["DE"],
                    .release_counter = 2,
                    .supplier = "mapper"});
  }

  int requests(const std::string& path) { return server.paths[path]; }
  int all_requests() {
    int sum = 0;
    for (const auto& [path, count] : server.paths) sum += count;
    return sum;
  }
  // Until one more look is over.
  void look() {
    const UnixSeconds last = agent->record().poll_last;
    REQUIRE(run(kIntervalMax + 60, [&] { return agent->record().poll_last > last; }));
  }
  std::vector<std::string> kept_roles() {
    const MemoryDisk::Quiet quiet(disk);
    return disk.list(kDelegated).value_or(std::vector<std::string>{});
  }
};

// Turns requests for one file away.
class Closed final : public Transport {
 public:
  Closed(FakeServer& server, std::string path) : server_(server), path_(std::move(path)) {}
  Result<HttpResponse> exchange(const HttpRequest& request, const BodySink& sink) override {
    if (status == 0 || request.path != path_) return server_.exchange(request, sink);
    HttpResponse response;
    response.status = status;
    return response;
  }
  int status = 0;

 private:
  FakeServer& server_;
  std::string path_;
};

}  // namespace

TEST_CASE("an image of a supplier within its paths and hardware is installed (P5.1)") {
  const bool is_limited = GENERATE(false, true);
  Supplied world("maps/?E/*.tar", is_limited ? std::vector{hardware("gw-1"), hardware(kHardware)}
                                             : std::vector<manifest::HardwareId>{});
  const auto id = world.server.order({kImage});
  world.run(60);
  world.exit_and_lock();
  REQUIRE(world.run_until_state(id, State::kActive, 300));
  CHECK(world.requests(kRole) == 1);
  CHECK(world.kept_roles() == std::vector<std::string>{"mapper.json"});
}

TEST_CASE("a look with nothing new asks for no role again, after a restart neither (P5.1)") {
  Supplied world;
  world.server.order({kImage});
  world.run(60);
  const auto requests_of_a_look = [&] {
    const int before = world.all_requests();
    world.look();
    return world.all_requests() - before;
  };
  REQUIRE(world.requests(kRole) == 1);
  requests_of_a_look();
  const int plain = requests_of_a_look();
  CHECK(world.requests(kRole) == 1);
  world.start();
  world.run(60);
  CHECK(world.requests(kRole) == 1);
  CHECK(requests_of_a_look() == plain);
  CHECK(world.requests(kRole) == 1);
  CHECK_FALSE(world.agent->record().poll_error);

  // Damaged or gone, it costs just one request.
  const bool is_gone = GENERATE(false, true);
  world.agent.reset();
  if (is_gone)
    REQUIRE(world.disk.remove(kFile));
  else
    REQUIRE(replace_file(world.disk, kFile, as_bytes("{}")));
  world.start();
  world.run(60);
  CHECK(world.requests(kRole) == 2);
  CHECK_FALSE(world.agent->record().poll_error);
  world.start();
  world.run(60);
  CHECK(world.requests(kRole) == 2);
}

TEST_CASE("an image of a supplier who may not speak of it is not even asked for (P5.1)") {
  struct Case {
    const char* path;
    const char* hardware;
    bool is_delegated;
    const char* reason;
  };
  const Case c =
      GENERATE(Case{"software/*/*.img", "", true, "its path is delegated to nobody"},
               Case{"maps/*/*.tar", "gw-1", true, "its path is delegated, but for other hardware"},
               Case{"maps/*/*.tar", "", false, "nobody else may speak"});
  const std::string only = c.hardware;
  Supplied world(c.path, only.empty() ? std::vector<manifest::HardwareId>{}
                                      : std::vector{hardware(c.hardware)});
  world.server.suppliers["mapper"].is_delegated = c.is_delegated;
  world.server.sign_images();
  const auto id = world.server.order({kImage});
  world.run(60);
  INFO(c.reason);
  CHECK_FALSE(world.state(id));
  REQUIRE(world.agent->record().poll_error);
  CHECK(world.agent->record().poll_error->code() == ErrorCode::kRepositoriesDisagree);
  CHECK(world.agent->record().poll_error->message().find(c.reason) != std::string::npos);
  CHECK(world.requests(kRole) == 0);
  CHECK(world.server.payload_bytes_sent == 0);
  CHECK(world.server.reports().back().attack.starts_with("repositories-disagree: maps/DE/2.tar"));
  // The operator says it himself: that needs nobody else.
  world.publish_maps();
  REQUIRE(world.run(2 * kIntervalMax, [&] { return world.state(id).has_value(); }));
  CHECK(world.requests(kRole) == 0);
}

TEST_CASE(
    "a role that cannot be had, or is no good, is refused by name; the next good one is taken "
    "(P5.1)") {
  Supplied world;
  FakeServer::Supplier& mapper = world.server.suppliers["mapper"];
  std::optional<ErrorCode> expected;
  SECTION("missing") {
    world.server.image_files().erase("1.mapper.json");
    expected = ErrorCode::kNotFound;
  }
  SECTION("signed by somebody else") {
    mapper.signs_with = crypto::MemorySigner::generate();
    world.server.sign_images();
    expected = ErrorCode::kBadSignature;
  }
  SECTION("expired") {
    mapper.valid_seconds = 0;
    world.server.sign_images();
    expected = ErrorCode::kFreeze;
  }
  SECTION("other bytes than the snapshot names") {
    world.server.image_files()["1.mapper.json"].back() ^= 1;
    expected = ErrorCode::kMixAndMatch;
  }
  SECTION("more bytes") {
    world.server.image_files()["1.mapper.json"].push_back(' ');
    expected = ErrorCode::kEndlessData;
  }
  const auto id = world.server.order({kImage});
  const auto error = [&] { return world.agent->record().poll_error; };
  REQUIRE(world.run(60, [&] { return error().has_value(); }));
  CHECK_FALSE(world.state(id));
  CHECK(to_string(error()->code()) == to_string(*expected));
  CHECK(world.kept_roles().empty());
  // What is missing once may be a proxy's doing; what stays away is kept back.
  const std::string attack = fmt::format("{}: ", to_string(*expected));
  if (expected == ErrorCode::kNotFound) {
    CHECK(world.agent->record().attack.empty());
    world.look();
  }
  CHECK(world.agent->record().attack.starts_with(attack));
  world.run(60);
  CHECK(world.server.reports().back().attack.starts_with(attack));
  mapper.signs_with.reset();
  mapper.valid_seconds = 30 * kDaySeconds;
  mapper.version = 2;
  world.server.sign_images();
  REQUIRE(world.run(2 * kIntervalMax, [&] { return world.state(id).has_value(); }));
  CHECK(world.requests(kNextRole) == 1);
  CHECK_FALSE(world.agent->record().poll_error);
}

TEST_CASE("a role goes neither back nor away from under the car (P5.1)") {
  Supplied world;
  world.server.suppliers["mapper"].version = 2;
  world.publish();
  const auto id = world.server.order({kImage});
  world.run(60);
  REQUIRE(world.state(id));
  const Bytes trusted = world.server.image_files().at("2.mapper.json");
  std::optional<ErrorCode> expected;
  SECTION("an older version, as a thief of the online keys would publish it") {
    world.server.suppliers["mapper"].version = 1;
    world.server.sign_images();
    expected = ErrorCode::kRollback;
  }
  SECTION("no longer in the snapshot") {
    world.server.suppliers.clear();
    world.server.sign_images();
    expected = ErrorCode::kRollback;
  }
  SECTION("an older file under the newer name") {
    world.server.suppliers["mapper"].version = 3;
    world.server.sign_images();
    world.server.image_files()["3.mapper.json"] = trusted;
    expected = ErrorCode::kMixAndMatch;
  }
  world.look();
  REQUIRE(world.agent->record().poll_error);
  CHECK(to_string(world.agent->record().poll_error->code()) == to_string(*expected));
  const MemoryDisk::Quiet quiet(world.disk);
  CHECK(read_file(world.disk, kFile, 1 << 20).value() == trusted);
}

TEST_CASE("an order whose supplier was revoked is refused, and the role's file goes (P5.1)") {
  Supplied world;
  const auto id = world.server.order({kImage});
  world.run(60);
  REQUIRE(world.state(id));
  REQUIRE(world.kept_roles() == std::vector<std::string>{"mapper.json"});
  world.server.suppliers["mapper"].is_delegated = false;
  world.server.sign_images();
  world.look();
  REQUIRE(world.agent->record().poll_error);
  CHECK(world.agent->record().poll_error->code() == ErrorCode::kRepositoriesDisagree);
  // The server gives it up for what the operator stands behind: nobody needs the role any more.
  world.server.cancel(id);
  const auto software = order_software(world);
  REQUIRE(world.run(2 * kIntervalMax, [&] { return world.state(software).has_value(); }));
  CHECK(world.kept_roles().empty());
  CHECK(world.requests(kRole) == 1);
}

TEST_CASE(
    "a server in trouble with a role is asked again later, and nothing is believed meanwhile") {
  Supplied world;
  Closed gate(world.server, kRole);
  world.agent = Agent::open(world.disk, world.clock, gate, world.vehicle, world.options).value();
  gate.status = 503;
  const auto id = world.server.order({kImage});
  world.run(60);
  CHECK_FALSE(world.state(id));
  REQUIRE(world.agent->record().poll_error);
  CHECK(world.agent->record().poll_error->code() == ErrorCode::kUnavailable);
  CHECK(world.agent->record().attack.empty());
  gate.status = 403;
  world.run(kIntervalMax);
  CHECK(world.agent->record().poll_error->code() == ErrorCode::kNotFound);
  gate.status = 0;
  REQUIRE(world.run(2 * kIntervalMax, [&] { return world.state(id).has_value(); }));
}

TEST_CASE(
    "of the top-level documents, too, one that its parent names and that stays away is told") {
  struct Case {
    const char* file;
    bool is_told;
  };
  // Nothing says that there is a timestamp: without it there is just no repository.
  const Case c = GENERATE(Case{"timestamp.json", false}, Case{"snapshot.json", true},
                          Case{"targets.json", true});
  Supplied world;
  const std::string name = c.file;
  const std::string file =
      c.is_told ? fmt::format("{}.{}", world.server.images_version(), name) : name;
  Closed gate(world.server, "/v1/repositories/image/metadata/" + file);
  gate.status = 404;
  world.agent = Agent::open(world.disk, world.clock, gate, world.vehicle, world.options).value();
  const auto id = world.server.order({kImage});
  const auto error = [&] { return world.agent->record().poll_error; };
  REQUIRE(world.run(60, [&] { return error().has_value(); }));
  CHECK(world.agent->record().attack.empty());
  world.look();
  CHECK(error()->code() == ErrorCode::kNotFound);
  CHECK(world.agent->record().attack.starts_with("not-found: ") == c.is_told);
  world.look();
  CHECK(world.agent->record().attack.empty() != c.is_told);
  gate.status = 0;
  REQUIRE(world.run(2 * kIntervalMax, [&] { return world.state(id).has_value(); }));
}

TEST_CASE("looks that fail with other roles each time fill no disk") {
  MemoryDisk disk;
  const DelegatedFiles files(disk, "/roles");
  const auto write = [&](char look, int roles, std::size_t bytes) {
    std::set<std::string> names;
    for (int i = 0; i < roles; ++i) {
      const std::string role = fmt::format("{}-{}", look, i);
      names.insert(role);
      files.write(role, Bytes(bytes));
    }
    return names;
  };
  const auto kept = [&] { return disk.list("/roles").value().size(); };
  const auto first = write('a', 60, 10);
  files.keep_within_bounds({});
  CHECK(kept() == 60);  // what an earlier look needed stays, as long as there is room
  const auto second = write('b', 5, 10);
  files.keep_within_bounds(second);
  CHECK(kept() == 5);
  write('c', 4, 4 * kMiB);
  files.keep_within_bounds(second);
  CHECK(kept() == 5);  // sixteen MiB of others are too much, too
  CHECK(files.read(*second.begin()));
}

TEST_CASE("a car whose looks fail with other roles each time stays within its bounds (P5.1)") {
  World world;
  const auto roles_of_a_look = [&](char look) {
    for (int i = 0; i < 40; ++i) {
      const std::string region = fmt::format("{}{:02}", look, i);
      // The last one has expired.
      world.server.suppliers[region] = {.path = "maps/" + region + "/*.tar",
                                        .valid_seconds = i == 39 ? -1 : 30 * kDaySeconds};
      world.server.publish({.name = "maps/" + region + "/2.tar",
                            .bytes = noise(2000, 7),
                            .base = {},
                            .supplier = region});
    }
    std::vector<std::string> images;
    for (int i = 0; i < 40; ++i) images.push_back(fmt::format("maps/{}{:02}/2.tar", look, i));
    return world.server.order_offline(images);
  };
  for (const char look : {'A', 'B', 'C'}) {
    const auto id = roles_of_a_look(look);
    REQUIRE(world.run(2 * kIntervalMax, [&] {
      return world.server.paths[fmt::format("/v1/repositories/image/metadata/1.{}39.json", look)] >
             0;
    }));
    world.run(60);
    REQUIRE(world.agent->record().poll_error);
    CHECK(world.disk.list(kDelegated).value().size() <= 64);
    world.server.cancel(id);
  }
}

TEST_CASE("more delegated roles than a car keeps are refused before they are fetched") {
  World world;
  // Each of 65 regions has a supplier of its own.
  std::vector<std::string> images;
  for (int i = 0; i < 65; ++i) {
    const std::string region = fmt::format("R{:02}", i);
    world.server.suppliers[region] = {.path = "maps/" + region + "/*.tar"};
    images.push_back("maps/" + region + "/2.tar");
  }
  for (const std::string& image : images)
    world.server.publish(
        {.name = image, .bytes = noise(2000, 7), .base = {}, .supplier = image.substr(5, 3)});
  world.server.order_offline({images.begin(), images.begin() + 64});
  world.run(60);
  CHECK_FALSE(world.agent->record().poll_error);
  CHECK(world.disk.list(kDelegated).value().size() == 64);
  world.server.order_offline({images.back()});
  REQUIRE(
      world.run(2 * kIntervalMax, [&] { return world.agent->record().poll_error.has_value(); }));
  CHECK(world.agent->record().poll_error->code() == ErrorCode::kTooLarge);
  CHECK(world.agent->record().attack.starts_with("too-large: more than 64 delegated roles"));
  CHECK(world.server.paths["/v1/repositories/image/metadata/1.R64.json"] == 0);
}

TEST_CASE(
    "more images of suppliers than a look searches for are refused, not worked on for hours") {
  World world;
  world.server.suppliers["mapper"] = {.path = "maps/*/2.tar"};
  const Bytes bytes = noise(300, 7);
  std::vector<std::string> images;
  for (int i = 0; i <= 256; ++i) {
    images.push_back(fmt::format("maps/R{}/2.tar", i));
    world.server.publish({.name = images.back(), .bytes = bytes, .base = {}, .supplier = "mapper"});
  }
  world.server.order_offline({images.begin(), images.begin() + 128});
  const auto second = world.server.order_offline({images.begin() + 128, images.end() - 1});
  world.run(60);
  CHECK_FALSE(world.agent->record().poll_error);
  CHECK(world.state(second));
  world.server.order_offline({images.back()});
  REQUIRE(
      world.run(2 * kIntervalMax, [&] { return world.agent->record().poll_error.has_value(); }));
  CHECK(world.agent->record().poll_error->code() == ErrorCode::kTooLarge);
  CHECK(world.agent->record().attack.starts_with("too-large: more than 256 images"));
  // What the operator names himself needs no search.
  world.server.publish({.name = images.back(), .bytes = bytes, .base = {}});
  REQUIRE(
      world.run(2 * kIntervalMax, [&] { return !world.agent->record().poll_error.has_value(); }));
}

TEST_CASE("a look reads a role once, however many of its images it is for") {
  constexpr int kImages = 250;
  Supplied world;
  const Bytes bytes = noise(300, 7);
  std::vector<std::string> images;
  for (int i = 0; i < kImages; ++i) {
    images.push_back(fmt::format("maps/R{}/2.tar", i));
    world.server.publish({.name = images.back(), .bytes = bytes, .base = {}, .supplier = "mapper"});
  }
  world.server.order_offline({images.begin(), images.begin() + kImages / 2});
  world.server.order_offline({images.begin() + kImages / 2, images.end()});
  world.run(60);
  REQUIRE_FALSE(world.agent->record().poll_error);
  const auto cpu_seconds = [](const auto& work) {
    const std::clock_t begun = std::clock();
    work();
    return static_cast<double>(std::clock() - begun) / CLOCKS_PER_SEC;
  };
  const Bytes& role = world.server.image_files().at("1.mapper.json");
  const double reading = cpu_seconds([&] {
    const auto envelope = manifest::Envelope::parse(role, role.size());
    REQUIRE(manifest::decode_targets(envelope.value().signed_part()));
  });
  const double looking = cpu_seconds([&] { world.look(); });
  INFO(looking << " s for a look, " << reading << " s for reading the role");
  CHECK_FALSE(world.agent->record().poll_error);
  CHECK(looking < kImages / 2 * reading);
}

TEST_CASE("P4.7: a power cut at any operation of a look with a role leaves a car that goes on") {
  Supplied before;
  before.run(60);
  // A role of before that goes, and one that comes.
  REQUIRE(before.disk.make_dirs(kDelegated));
  REQUIRE(replace_file(before.disk, std::string(kDelegated) + "/old.json", as_bytes("{}")));
  const auto id = before.server.order({kImage});
  before.agent.reset();
  using Survives = MemoryDisk::Survives;
  for (const auto survives : {Survives::kEverything, Survives::kOnlySynced, Survives::kPerhaps}) {
    for (std::uint64_t step = 1;; ++step) {
      Supplied world(before);
      const auto is_known = [&] { return world.state(id).has_value(); };
      bool was_cut = false;
      world.disk.cut_power_at(world.disk.operations() + step);
      try {
        static_cast<void>(world.run(2 * kIntervalMax, is_known));
      } catch (const PowerCut&) {
        was_cut = true;
      }
      world.agent.reset();
      world.disk.restart(survives, static_cast<std::uint32_t>(step));
      INFO("operation " << step);
      REQUIRE(world.run(2 * kIntervalMax, is_known));
      CHECK_FALSE(world.agent->record().poll_error);
      CHECK(world.agent->record().attack.empty());
      CHECK(world.kept_roles() == std::vector<std::string>{"mapper.json"});
      CHECK(world.requests(kRole) <= 2);
      if (!was_cut) break;
    }
  }
}
