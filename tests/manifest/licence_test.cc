#include "manifest/licence.h"

#include "base/limits.h"
#include "manifest/envelope.h"
#include "manifest/json_value.h"
#include "tests/manifest/test_repository.h"

namespace layby::tests {
namespace {

using namespace manifest;

struct World {
  KeyPointer licence_key = new_key();
  crypto::SealKeyPair car = crypto::generate_seal_keys();
  Licence licence{.vin = *Vin::parse("WVWZZZ1JZXW000017"),
                  .function = *FunctionId::parse("adaptive-cruise"),
                  .order = OrderId::generate(kNow),
                  .counter = 5,
                  .state = LicenceState::kActive,
                  .issued = kNow,
                  .until = kNow + kDaySeconds};
  LicenceExpectation expected{.vin = licence.vin,
                              .function = licence.function,
                              .licence_key = PublicKey::from_ed25519(licence_key->public_key()),
                              .newest = std::nullopt};

  Bytes make() const { return must(make_licence(licence, *licence_key, car.public_key)); }
  Result<VerifiedLicence> open(ByteSpan sealed) const {
    return open_licence(sealed, car.secret_key, expected);
  }
};

TEST_CASE("a licence opens in the car that it was made for") {
  World world;
  const Bytes sealed = world.make();
  CHECK(sealed.size() < kKiB);
  const VerifiedLicence opened = must(world.open(sealed));
  CHECK(opened->vin == world.licence.vin);
  CHECK(opened->function == world.licence.function);
  CHECK(opened->order == world.licence.order);
  CHECK(opened->counter == 5);
  CHECK(opened->issued == kNow);
  CHECK(opened->until == kNow + kDaySeconds);
}

TEST_CASE("P1.3 a licence copied into another car does nothing there") {
  World world;
  SECTION("sealed to another car's key") {
    const Bytes sealed = world.make();
    world.car = crypto::generate_seal_keys();
    CHECK(code_of(world.open(sealed)) == ErrorCode::kLicenceRefused);
  }
  SECTION("sealed anew, but for another VIN") {
    world.expected.vin = *Vin::parse("WVWZZZ1JZXW000018");
    CHECK(code_of(world.open(world.make())) == ErrorCode::kLicenceRefused);
  }
  SECTION("for another function") {
    world.expected.function = *FunctionId::parse("seat-heating");
    CHECK(code_of(world.open(world.make())) == ErrorCode::kLicenceRefused);
  }
}

TEST_CASE("only the function's key makes licences") {
  World world;
  world.licence_key = new_key();
  CHECK(code_of(world.open(world.make())) == ErrorCode::kBadSignature);
}

TEST_CASE("any changed byte of a sealed licence is noticed") {
  const World world;
  const Bytes sealed = world.make();
  for (std::size_t at = 0; at < sealed.size(); at += 7) {
    Bytes changed = sealed;
    changed[at] ^= 0x10;
    CHECK_FALSE(world.open(changed));
  }
}

TEST_CASE("a licence older than the one the car has is refused") {
  World world;
  const VerifiedLicence newest = must(world.open(world.make()));
  world.expected.newest = newest.mark();
  SECTION("lower counter") {
    world.licence.counter = 4;
    CHECK(code_of(world.open(world.make())) == ErrorCode::kLicenceRefused);
  }
  SECTION("the same counter with other content") {
    world.licence.until = kNow + 100 * kDaySeconds;
    CHECK(code_of(world.open(world.make())) == ErrorCode::kLicenceRefused);
  }
  SECTION("the very same, sealed again") {
    CHECK(must(world.open(world.make())).mark() == newest.mark());
  }
  SECTION("a newer one") {
    world.licence.counter = 6;
    CHECK(must(world.open(world.make())).mark().counter == 6);
  }
}

TEST_CASE("P1.9 a term ends by itself, a revocation at once") {
  World world;
  const auto state = [&](UnixSeconds now) {
    return state_at(*must(world.open(world.make())), now);
  };
  CHECK(state(kNow) == FunctionState::kActive);
  CHECK(state(kNow + kDaySeconds - 1) == FunctionState::kActive);
  CHECK(state(kNow + kDaySeconds) == FunctionState::kExpired);
  world.licence.grace_seconds = 3 * kDaySeconds;
  CHECK(must(world.open(world.make()))->until == kNow + kDaySeconds);
  CHECK(state(kNow + 4 * kDaySeconds - 1) == FunctionState::kActive);
  CHECK(state(kNow + 4 * kDaySeconds) == FunctionState::kExpired);
  world.licence.grace_seconds = kGraceSecondsMax + 1;
  CHECK(code_of(world.open(world.make())) == ErrorCode::kBadFormat);
  world.licence.grace_seconds = 1;
  world.licence.until.reset();
  CHECK(code_of(world.open(world.make())) == ErrorCode::kBadFormat);
  world.licence.grace_seconds = 0;
  CHECK(state(kNow + 10'000 * kDaySeconds) == FunctionState::kActive);
  world.licence.state = LicenceState::kRevoked;
  CHECK(state(kNow) == FunctionState::kRevoked);
}

TEST_CASE("what is signed and sealed, but no licence, is refused") {
  const World world;
  const auto attempt = [&](const Json& part) {
    return code_of(world.open(
        must(crypto::seal(must(sign_envelope(part, *world.licence_key)), world.car.public_key))));
  };
  Json good{{"_type", "licence"},
            {"vin", world.licence.vin.text()},
            {"function", world.licence.function.text()},
            {"order", world.licence.order.text()},
            {"counter", 1},
            {"state", "active"},
            {"issued", "2026-11-22T06:00:00Z"}};
  CHECK(attempt(good) == std::nullopt);
  for (const char* field : {"_type", "vin", "function", "order", "counter", "state", "issued"}) {
    CAPTURE(field);
    Json part = good;
    part.erase(field);
    CHECK(attempt(part) == ErrorCode::kBadFormat);
    part[field] = "../nonsense";
    CHECK(attempt(part) == ErrorCode::kBadFormat);
  }
  good["until"] = "tomorrow";
  CHECK(attempt(good) == ErrorCode::kBadFormat);
  CHECK(code_of(world.open(Bytes(kLicenceBytesMax + 1))) == ErrorCode::kEndlessData);
}

}  // namespace
}  // namespace layby::tests
