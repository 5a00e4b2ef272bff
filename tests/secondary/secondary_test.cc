// A secondary that is told lies: everything that a malicious primary could bring is refused, named
// in the signed reports of a day, and forgotten then when the truth has come.
#include <catch2/catch.hpp>

#include "tests/agent/world.h"
#include "tests/secondary/carrier.h"

using namespace layby;
using namespace layby::tests;
using secondary::MessageType;
using secondary::Phase;
using secondary::Verification;

namespace {

std::string slot_text() {
  return std::string("software.") + kBrakeHardware;
}

// A day of truth after it was told.
void check_forgotten(EcuWorld& world) {
  REQUIRE(world.carry_news());
  CHECK_FALSE(world.report().attack.empty());  // the report before may have been kept back
  world.clock.advance(kDaySeconds);
  world.server.sign_director();
  REQUIRE(world.carry_news());
  CHECK(world.report().attack.empty());
}

// The refusal is in the answer and in the next report; what was wanted before still is; nothing
// keeps the truth from coming later.
void check_refused(EcuWorld& world, const Result<void>& said, ErrorCode code) {
  REQUIRE_FALSE(said);
  CHECK(said.error().code() == code);
  const std::string name(to_string(code));
  const auto report = world.report();
  CHECK(report.attack.starts_with(name + ": "));
  CHECK(world.kept_bytes() == "old");
  world.tamper = {};
  world.server.alter_director = {};
  world.server.director_vin = kCarVin;
  world.server.sign_director();
  check_forgotten(world);
}

using Alter = std::function<void(manifest::DirectorContent&)>;

struct Lie {
  const char* what;
  ErrorCode code;
  Alter alter;
};

manifest::HardwareId hardware(const char* text) {
  return manifest::HardwareId::parse(text).value();
}

manifest::EcuSerial serial(const char* text) {
  return manifest::EcuSerial::parse(text).value();
}

}  // namespace

TEST_CASE("A secondary installs what the Director gives it, with either verification") {
  for (const auto verification : {Verification::kFull, Verification::kPartial}) {
    EcuWorld world(verification);
    const auto first = world.report();
    CHECK(first.installed.at(manifest::Slot::parse(slot_text()).value()).image.text() ==
          "software/brake-2/factory.img");
    world.order(2, world.new_image, 2);
    REQUIRE(world.carry_news());
    CHECK(world.ecu->state().wanted->release_counter == 2);
    REQUIRE(world.stage(world.new_image));
    CHECK(world.kept_bytes() == "old");
    REQUIRE(world.command(MessageType::kActivate, world.new_image));
    CHECK(world.running_bytes() == "new");
    CHECK_FALSE(world.command(MessageType::kKeep, world.new_image));  // it has not passed its check
    REQUIRE(world.command(MessageType::kCheck, world.new_image));
    REQUIRE(world.command(MessageType::kKeep, world.new_image));
    CHECK(world.kept_bytes() == "new");
    const auto second = world.report();
    CHECK(second.counter > first.counter);
    CHECK(second.time == world.clock.now());
    CHECK(second.installed.begin()->second.sha256 == crypto::sha256(world.new_image));
    CHECK(second.attack.empty());
    // Each may be asked again, as after an answer that was lost.
    REQUIRE(world.install(world.new_image));
    CHECK(world.kept_bytes() == "new");
    world.start();
    CHECK(world.running_bytes() == "new");
  }
}

TEST_CASE("What is not well is taken back; a trial that was not judged does not survive a start") {
  EcuWorld world(Verification::kPartial);
  world.order(2, world.new_image, 2);
  REQUIRE(world.carry_news());
  REQUIRE(world.stage(world.new_image));
  REQUIRE(world.command(MessageType::kActivate, world.new_image));
  world.firmware.is_well = false;
  const auto unwell = world.command(MessageType::kCheck, world.new_image);
  REQUIRE_FALSE(unwell);
  CHECK(unwell.error().code() == ErrorCode::kHealthCheckFailed);
  REQUIRE(world.command(MessageType::kRevert, world.new_image));
  CHECK(world.running_bytes() == "old");
  CHECK(world.ecu->state().phase == Phase::kStaged);  // need not come again

  world.firmware.is_well = true;
  REQUIRE(world.command(MessageType::kActivate, world.new_image));
  world.start();
  CHECK(world.running_bytes() == "old");
  CHECK(world.ecu->state().phase == Phase::kStaged);

  // One that was judged well waits for the word of the set, whichever it is.
  REQUIRE(world.command(MessageType::kActivate, world.new_image));
  REQUIRE(world.command(MessageType::kCheck, world.new_image));
  world.start();
  CHECK(world.ecu->state().phase == Phase::kPassed);
  REQUIRE(world.command(MessageType::kRevert, world.new_image));
  CHECK(world.kept_bytes() == "old");
  CHECK(world.report().attack.empty());
}

TEST_CASE("A Director's lies are refused by name, with either verification") {
  const Lie lies[] = {
      {"another car's metadata", ErrorCode::kWrongVehicle,
       [](auto& content) { content.vin = manifest::Vin::parse("WVWZZZ1JZXW000025").value(); }},
      {"its serial with other hardware", ErrorCode::kWrongEcu,
       [](auto& content) {
         content.images[0].ecus = {{serial(kBrake), hardware("steering-1")}};
       }},
      {"software of the primary", ErrorCode::kWrongEcu,
       [](auto& content) {
         for (auto& image : content.images)
           if (image.name == "software/hu-4/7.img")
             image.ecus = {{serial(kBrake), hardware(kBrakeHardware)}};
       }},
      {"two images", ErrorCode::kWrongEcu,
       [](auto& content) {
         for (auto& image : content.images)
           if (image.name != "software/hu-4/7.img")
             image.ecus = {{serial(kBrake), hardware(kBrakeHardware)}};
       }},
      {"metadata that is expired", ErrorCode::kFreeze,
       [](auto& content) { content.expires = 1'795'000'000 - 1; }},
      {"an older image than the installed one", ErrorCode::kImageRollback, [](auto&) {}},
  };
  for (const auto verification : {Verification::kFull, Verification::kPartial}) {
    for (const Lie& lie : lies) {
      DYNAMIC_SECTION(to_string(verification) << ": " << lie.what) {
        EcuWorld world(verification);
        world.server.publish({.name = "software/hu-4/7.img", .bytes = noise(500, 5), .base = {}});
        world.server.publish({.name = EcuWorld::image(9), .bytes = noise(500, 6), .base = {}});
        if (lie.code == ErrorCode::kImageRollback) {
          const auto first = world.order(3, world.old_image, 7);
          REQUIRE(world.carry_news());
          auto state = world.ecu->state();
          state.installed = state.wanted;
          world.server.cancel(first);
          // It has had release 7.
          REQUIRE(secondary::write_state(world.disk, secondary::EcuLayout(kEcuState), state));
          world.start();
          const auto second = world.order(2, world.new_image, 6);
          const auto said = world.carry_news();
          world.server.cancel(second);
          check_refused(world, said, lie.code);
          continue;
        }
        world.order(2, world.new_image, 2);
        world.server.order({"software/hu-4/7.img"});
        world.server.order({EcuWorld::image(9)});
        world.server.alter_director = [&](manifest::DirectorContent& content) {
          // The honest one gives no ECU two images.
          for (auto& image : content.images)
            if (image.name == EcuWorld::image(9))
              image.ecus = {{serial("BRK-9"), hardware(kBrakeHardware)}};
          lie.alter(content);
        };
        world.server.sign_director();
        const auto said = world.carry_news();
        REQUIRE_FALSE(said);
        CHECK(said.error().code() == lie.code);
        CHECK(world.report().attack.starts_with(std::string(to_string(lie.code)) + ": "));
        CHECK_FALSE(world.ecu->state().wanted);
      }
    }
  }
}

TEST_CASE("Another car's metadata is not kept, with either verification") {
  for (const auto verification : {Verification::kFull, Verification::kPartial}) {
    EcuWorld world(verification);
    world.server.sign_director();
    REQUIRE(world.carry_news());
    const auto kept = [&] {
      const std::string directory = "/ecu/trust/director";
      std::map<std::string, Bytes> files;
      const auto names = world.disk.list(directory).value();
      for (const std::string& name : names)
        files[name] = read_file(world.disk, directory + "/" + name, kMiB).value();
      return files;
    };
    const auto own = kept();
    REQUIRE(own.size() >= 2);
    world.server.director_vin = "WVWZZZ1JZXW000025";
    world.server.sign_director();
    const auto said = world.carry_news();
    REQUIRE_FALSE(said);
    CHECK(said.error().code() == ErrorCode::kWrongVehicle);
    CHECK(kept() == own);
  }
}

TEST_CASE("Every file that a primary could bring back, alter or leave out is refused by name") {
  for (const auto verification : {Verification::kFull, Verification::kPartial}) {
    EcuWorld world(verification);
    world.server.rotate_director_key();
    const auto old_director = world.server.director_files();
    const auto old_images = world.server.image_files();
    REQUIRE(world.carry_news());
    world.order(2, world.new_image, 2);
    REQUIRE(world.carry_news());
    const auto wanted = world.ecu->state().wanted;
    const bool is_full = verification == Verification::kFull;

    const auto role_of = [](const std::string& file) {
      return file.substr(file.find_first_not_of("0123456789."));
    };
    const auto lie = [&](const std::string& role, ErrorCode code,
                         const std::function<void(std::optional<Bytes>&)>& tampering) {
      DYNAMIC_SECTION(to_string(verification) << ": " << role << " " << to_string(code)) {
        world.tamper = [&](const secondary::WantBody& want, std::optional<Bytes>& file) {
          const bool is_it =
              role_of(want.file) == role && want.repository == secondary::RepositoryName::kDirector;
          if (is_it && (file || role == "root.json")) tampering(file);
        };
        REQUIRE(world.carry_time());
        check_refused(world, world.carry_metadata(), code);
        CHECK(world.ecu->state().wanted == wanted);
      }
    };
    const auto flip = [](std::optional<Bytes>& file) { (*file)[file->size() / 2] ^= 1; };
    const auto earlier = [&](const std::string& role) {
      return [&, role](std::optional<Bytes>& file) {
        for (const auto& [name, bytes] : old_director)
          if (role_of(name) == role && bytes != file) file = bytes;
      };
    };
    // Rollback of each file.
    lie("root.json", ErrorCode::kRollback, earlier("root.json"));
    if (is_full) lie("timestamp.json", ErrorCode::kRollback, earlier("timestamp.json"));
    if (!is_full) lie("targets.json", ErrorCode::kRollback, earlier("targets.json"));
    // Bytes that nobody signed. A flip breaks the JSON, a signature or a name: each is an attack.
    if (!is_full) {
      DYNAMIC_SECTION("partial: one byte of the targets is another") {
        world.tamper = [&](const auto& want, std::optional<Bytes>& file) {
          if (role_of(want.file) == "targets.json") flip(file);
        };
        REQUIRE(world.carry_time());
        const auto said = world.carry_metadata();
        REQUIRE_FALSE(said);
        check_refused(world, said, said.error().code());
      }
    }
    // The targets of another repository, signed by its keys: below this role's threshold.
    if (!is_full)
      lie("targets.json", ErrorCode::kBadSignature, [&](std::optional<Bytes>& file) {
        file = world.server.image_files().rbegin()->second;
        for (const auto& [name, bytes] : old_images)
          if (role_of(name) == "targets.json") file = bytes;
      });
    if (is_full) {
      // Mix and match: bytes that are not those that the parent names.
      world.server.sign_director();
      lie("snapshot.json", ErrorCode::kMixAndMatch, earlier("snapshot.json"));
    }
    lie(is_full ? "timestamp.json" : "targets.json", ErrorCode::kEndlessData,
        [&](std::optional<Bytes>& file) { file = Bytes(kTargetsBytesMax + 1, ' '); });
  }
}

TEST_CASE("A signed time is taken once, in answer to a question of this ECU's own") {
  EcuWorld world(Verification::kPartial);
  const auto without = world.carry_metadata();
  REQUIRE_FALSE(without);
  CHECK(without.error().code() == ErrorCode::kUntrustedTime);
  CHECK(world.report().attack.empty());  // only too early

  const Bytes nonce_bytes = world.ask({MessageType::kNonce}).value();
  manifest::TimeNonce nonce{};
  std::copy(nonce_bytes.begin(), nonce_bytes.end(), nonce.begin());
  const auto time_for = [&](const manifest::TimeNonce& joined,
                            std::vector<manifest::TimeNonce> list) {
    const auto response = world.server.exchange(
        {.path = "/v1/vehicle/time?nonce=" + to_hex(joined), .bytes_max = 4096}, {});
    return secondary::make_time({.nonces = std::move(list), .document = to_bytes(response->body)});
  };
  const manifest::TimeNonce list[] = {nonce};
  const auto good = time_for(manifest::join_time_nonces(list), {nonce});
  const auto refused = [&](const secondary::Message& message) {
    const auto said = world.ask(message);
    REQUIRE_FALSE(said);
    return said.error().code();
  };
  SECTION("a nonce that is not in what was signed") {
    const auto other = manifest::make_time_nonce();
    const manifest::TimeNonce others[] = {other};
    CHECK(refused(time_for(manifest::join_time_nonces(others), {nonce})) == ErrorCode::kReplay);
  }
  SECTION("another ECU's time") {
    const auto other = manifest::make_time_nonce();
    const manifest::TimeNonce others[] = {other};
    CHECK(refused(time_for(manifest::join_time_nonces(others), {other})) == ErrorCode::kReplay);
  }
  SECTION("the same one twice") {
    REQUIRE(world.ask(good));
    CHECK(refused(good) == ErrorCode::kReplay);
  }
  SECTION("one that a stray key signed") {
    world.server.sign_time_with_a_stray_key = true;
    CHECK(refused(time_for(manifest::join_time_nonces(list), {nonce})) == ErrorCode::kBadSignature);
    world.server.sign_time_with_a_stray_key = false;
  }
  SECTION("an older one, by the same keys") {
    REQUIRE(world.ask(good));
    world.server.time_ahead = -kDaySeconds;
    const auto said = world.carry_time();
    REQUIRE_FALSE(said);
    CHECK(said.error().code() == ErrorCode::kRollback);
    world.server.time_ahead = 0;
  }
  CHECK_FALSE(world.report().attack.empty());
  check_forgotten(world);
}

TEST_CASE("A refusal is told until somebody can have it, and the first one first") {
  EcuWorld world(Verification::kPartial);
  world.order(2, world.new_image, 2);
  REQUIRE(world.carry_news());
  CHECK_FALSE(world.stage(noise(500, 9)));
  // Good looks, reports that nobody sends on, a start, another lie: nothing takes it away.
  for (int i = 0; i < 5; ++i) {
    REQUIRE(world.carry_news());
    CHECK(world.report().attack.starts_with("wrong-image: "));
    CHECK_FALSE(world.ask({MessageType::kDone}));
    world.start();
  }
  check_forgotten(world);
  CHECK_FALSE(world.ask({MessageType::kDone}));
  CHECK(world.report().attack.starts_with("bad-format: "));
}

TEST_CASE("With partial verification one bad block does not take the version's floor away") {
  EcuWorld world(Verification::kPartial);
  const auto earlier = world.server.director_files();
  const auto version = world.server.director_version();
  world.order(2, world.new_image, 2);
  REQUIRE(world.carry_news());
  const std::string path = secondary::EcuLayout(kEcuState).director_trust() + "/targets.json";
  for (const std::string& damaged : {path, path + ".copy"}) {
    const Bytes good = read_file(world.disk, damaged, kTargetsBytesMax).value();
    REQUIRE(replace_file(world.disk, damaged, as_bytes("x")));
    world.start();
    world.tamper = [&](const auto& want, std::optional<Bytes>& file) {
      if (want.file == "targets.json") file = earlier.at(std::to_string(version) + ".targets.json");
    };
    REQUIRE(world.carry_time());
    const auto said = world.carry_metadata();
    REQUIRE_FALSE(said);
    CHECK(said.error().code() == ErrorCode::kRollback);
    REQUIRE(replace_file(world.disk, damaged, good));
  }
}

TEST_CASE("What a failed write may have left on the disk does not stay there unnoticed") {
  EcuWorld world(Verification::kPartial);
  world.order(2, world.new_image, 2);
  REQUIRE(world.carry_news());
  REQUIRE(world.ask(secondary::make_digest(MessageType::kBegin, crypto::sha256(world.new_image))));
  for (std::size_t at = 0; at < world.new_image.size(); at += 40'000)
    REQUIRE(world.ask(secondary::make_piece({at, ByteSpan(world.new_image).subspan(at, 40'000)})));
  // The write after the copy's last one: the copy says `staged`, and the ECU does not know it.
  int writes = 0;
  world.disk.observer = [&](const std::string& path) {
    const std::string state = secondary::EcuLayout(kEcuState).state();
    if (path.starts_with(state) && !path.starts_with(state + ".copy") && ++writes == 1)
      world.disk.inject({.kind = Fault::Kind::kWriteError});
  };
  CHECK_FALSE(world.command(MessageType::kEnd, world.new_image));
  world.disk.observer = {};
  CHECK(world.ecu->state().phase == Phase::kIdle);
  const secondary::EcuLayout layout(kEcuState);
  REQUIRE(secondary::read_state(world.disk, layout)->phase == Phase::kStaged);
  REQUIRE(world.carry_time());  // what the medium refused to take is not counted from
  REQUIRE(world.ask(secondary::make_digest(MessageType::kBegin, crypto::sha256(world.new_image))));
  CHECK(secondary::read_state(world.disk, layout)->phase == Phase::kIdle);
}

TEST_CASE("Frozen metadata is expired by a signed time, whatever the primary's clock says") {
  for (const auto verification : {Verification::kFull, Verification::kPartial}) {
    EcuWorld world(verification);
    world.order(2, world.new_image, 2);
    REQUIRE(world.carry_news());
    world.clock.advance(31 * kDaySeconds);
    REQUIRE(world.carry_time());
    const auto said = world.carry_metadata();
    REQUIRE_FALSE(said);
    CHECK(said.error().code() == ErrorCode::kFreeze);
    CHECK(world.report().attack.starts_with("freeze: "));
  }
}

TEST_CASE("Only the image that the Director gives this ECU, of its length and digest, is staged") {
  EcuWorld world(Verification::kPartial);
  world.order(2, world.new_image, 2);
  REQUIRE(world.carry_news());
  const auto refused = [&](const Result<void>& said, ErrorCode code) {
    REQUIRE_FALSE(said);
    CHECK(said.error().code() == code);
    CHECK(world.report().attack.starts_with(std::string(to_string(code)) + ": "));
    CHECK(world.ecu->state().phase == Phase::kIdle);
    CHECK_FALSE(world.command(MessageType::kActivate, world.new_image));
    CHECK(world.kept_bytes() == "old");
  };
  const auto begin = secondary::make_digest(MessageType::kBegin, crypto::sha256(world.new_image));
  SECTION("another ECU's image") {
    refused(world.stage(noise(500, 9)), ErrorCode::kWrongImage);
  }
  SECTION("other bytes under its name") {
    REQUIRE(world.ask(begin));
    const Bytes other = noise(world.new_image.size(), 77);
    REQUIRE(world.ask(secondary::make_piece({0, other})));
    refused(world.command(MessageType::kEnd, world.new_image), ErrorCode::kWrongImage);
  }
  SECTION("too few") {
    REQUIRE(world.ask(begin));
    REQUIRE(world.ask(secondary::make_piece({0, ByteSpan(world.new_image).first(100)})));
    refused(world.command(MessageType::kEnd, world.new_image), ErrorCode::kWrongImage);
  }
  SECTION("without end") {
    REQUIRE(world.ask(begin));
    const auto piece = secondary::make_piece({0, world.new_image});
    REQUIRE(world.ask(piece));
    refused(world.ask(secondary::make_piece({world.new_image.size(), as_bytes("x")}))
                .map([](const Bytes&) {}),
            ErrorCode::kEndlessData);
  }
  SECTION("drop by drop") {
    REQUIRE(world.ask(begin));
    world.clock.advance(3600);
    refused(world.ask(secondary::make_piece({0, as_bytes("x")})).map([](const Bytes&) {}),
            ErrorCode::kSlowRetrieval);
  }
  REQUIRE(world.install(world.new_image));
  CHECK(world.kept_bytes() == "new");
}

TEST_CASE("What only full verification sees: an image that the offline keys never signed") {
  for (const auto verification : {Verification::kFull, Verification::kPartial}) {
    EcuWorld world(verification);
    world.order(2, world.new_image, 2);
    // Whoever has all of the Director's online keys names other bytes.
    const Bytes evil = noise(1000, 66);
    world.server.alter_director = [&](manifest::DirectorContent& content) {
      content.images[0].image_target.length = evil.size();
      content.images[0].image_target.hashes.sha256 = crypto::sha256(evil);
      content.images[0].image_target.hashes.sha512 = crypto::sha512(evil);
    };
    world.server.sign_director();
    const auto said = world.carry_news();
    if (verification == Verification::kPartial) {
      CHECK(said);
      continue;
    }
    check_refused(world, said, ErrorCode::kRepositoriesDisagree);
  }
}

TEST_CASE("New keys of the Director's root are taken over, also where they sign the time") {
  for (const auto verification : {Verification::kFull, Verification::kPartial}) {
    EcuWorld world(verification);
    REQUIRE(world.carry_news());
    for (int i = 0; i < 3; ++i) world.server.rotate_director_key();
    world.order(2, world.new_image, 2);
    REQUIRE(world.carry_news());
    world.start();
    REQUIRE(world.carry_news());
    REQUIRE(world.install(world.new_image));
  }
}
