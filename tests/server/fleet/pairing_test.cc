// Pairing (P2.6).
#include "server/fleet/pairing.h"
#include "server/fleet/named_ecus.h"

#include <catch2/catch.hpp>

#include "tests/server/shop/shop_world.h"

using namespace layby;
using namespace layby::tests;
using manifest::Json;

namespace {
struct Unpaired : ShopWorld {
  Unpaired() : car(*this, kVin) { register_car(car); }
  std::string code() { return post("/v1/pairing-codes", owner_token).body["code"]; }
  Answered pair(const Json& request) { return post("/v1/pair", "", request); }
  SimCar car;
};
}  // namespace

TEST_CASE("P2.6: a code is good for one car and one use, and the owner is told") {
  Unpaired world;
  const std::string code = world.code();
  CHECK(code.size() == 8);
  CHECK(code.find_first_not_of(server::kCodeAlphabet) == std::string::npos);
  CHECK(world.all_stored().find(code) == std::string::npos);
  std::string typed = code.substr(0, 4) + "-" + code.substr(4);
  for (char& c : typed) c = static_cast<char>(std::tolower(c));
  const Json request = world.car.pair_request(typed);
  const Answered paired = world.pair(request);
  REQUIRE(paired.status == 200);
  CHECK(paired.body["poll_seconds"] == 900);
  CHECK(world.messages() == std::vector<std::string>{"paired"});
  // The answer was lost: the very same request gets it again. Another one does not.
  CHECK(world.pair(request).text == paired.text);
  CHECK(world.pair(world.car.pair_request(code)).code() == "wrong-code");
  CHECK(world.messages().size() == 1);
  const Json car = world.get("/v1/cars/" + std::string(kVin), world.owner_token).body;
  CHECK(car["paired"] == true);
  CHECK(car["owner"] == world.owner);
  world.check_audit();
}

TEST_CASE("P2.6: a code lives an hour, and only the newest of an account counts") {
  Unpaired world;
  const std::string first = world.code();
  const std::string second = world.code();
  CHECK(world.pair(world.car.pair_request(first)).code() == "wrong-code");
  world.base.clock.advance(server::kPairingCodeSeconds);
  CHECK(world.pair(world.car.pair_request(second)).code() == "wrong-code");
  CHECK(world.pair(world.car.pair_request(world.code())).status == 200);
}

TEST_CASE("P2.6: five wrong codes lock the car for an hour") {
  Unpaired world;
  for (std::uint64_t i = 0; i < server::kCodeTriesMax; ++i)
    CHECK(world.pair(world.car.pair_request("22222222")).code() == "wrong-code");
  const Json right = world.car.pair_request(world.code());
  const Answered locked = world.pair(right);
  CHECK(locked.status == 429);
  CHECK(locked.code() == "pairing-locked");
  world.base.clock.advance(server::kCodeLockSeconds - 1);
  CHECK(world.pair(right).code() == "pairing-locked");
  world.base.clock.advance(1);
  CHECK(world.pair(world.car.pair_request(world.code())).status == 200);
  // A car that is not registered looks like a wrong code.
  SimCar ghost(world, kOtherVin);
  CHECK(world.pair(ghost.pair_request(world.code())).code() == "wrong-code");
}

TEST_CASE("P2.6 attack: which ECUs a car has cannot be asked for, one guess after the other") {
  Unpaired world;
  const auto guess = [&](const std::string& code, const std::string& serial) {
    Json request = world.car.pair_request(code);
    request["ecus"].push_back(request["ecus"][0]);
    request["ecus"][1]["serial"] = serial;
    return world.pair(request);
  };
  // A wrong guess costs the code, and counts.
  const std::string code = world.code();
  const Answered wrong = guess(code, "HU-000001");
  CHECK(wrong.code() == "wrong-ecus");
  CHECK(world.pair(world.car.pair_request(code)).code() == "wrong-code");
  for (std::uint64_t i = 2; i < server::kCodeTriesMax; ++i)
    CHECK(guess(world.code(), "HU-00000" + std::to_string(i)).text == wrong.text);
  CHECK(guess(world.code(), "HU-000009").code() == "pairing-locked");
  CHECK(world.pair(world.car.pair_request(world.code())).code() == "pairing-locked");
  world.base.clock.advance(server::kCodeLockSeconds);
  // A partner has the car in front of him: he is told, and it costs nothing.
  Json request = world.car.pair_request(world.code());
  request["ecus"][0]["hardware_id"] = "hu-5";
  const Answered told = world.post("/v1/pair", world.partner_token, request);
  CHECK(told.code() == "wrong-ecus");
  REQUIRE(told.body["reasons"].size() == 1);
  CHECK(told.body["reasons"][0]["rule"] == "hardware-id");
  request["ecus"][0]["hardware_id"] = "hu-4";
  CHECK(world.post("/v1/pair", world.partner_token, request).status == 200);
  Json many = world.car.pair_request(world.code());
  for (std::size_t i = 0; i < server::kPairedEcusMax; ++i) many["ecus"].push_back(many["ecus"][0]);
  CHECK(world.pair(many).status == 413);
}

TEST_CASE("P2.6: another owner's car, other control units and odd requests are refused") {
  Unpaired world;
  Json request = world.car.pair_request(world.code());
  request["ecus"][0]["serial"] = "HU-OTHER";
  request["primary"] = "HU-OTHER";
  const Answered other = world.pair(request);
  CHECK(other.code() == "wrong-ecus");
  // Whoever has a code of his own and a VIN must not learn what the car is made of.
  CHECK_THAT(other.text, !Catch::Contains(world.car.serial));
  request = world.car.pair_request(world.code());
  request["ecus"][0]["hardware_id"] = "guessed";
  const Answered guessed = world.pair(request);
  CHECK(guessed.text == other.text);
  CHECK_FALSE(guessed.body.contains("reasons"));
  CHECK(world.pair(world.car.pair_request(world.code())).status == 200);
  const std::string seconds = world.post("/v1/pairing-codes", world.second_token).body["code"];
  CHECK(world.pair(world.car.pair_request(seconds)).code() == "already-paired");
  request = world.car.pair_request(world.code());
  request["certificate_request"] = "none";
  CHECK(world.pair(request).status >= 400);
  request.erase("seal_key");
  CHECK(world.pair(request).status == 400);
}

TEST_CASE("P2.6: paired again, the old certificate and the old keys end at once") {
  Unpaired world;
  world.car.pair(world.owner_token);
  REQUIRE(world.car.report().status == 200);
  SimCar renewed(world, kVin);
  renewed.pair(world.owner_token);
  CHECK(world.car.report().status == 401);
  CHECK(renewed.report().status == 200);
  renewed.key = world.car.key;
  CHECK(renewed.report().code() == "bad-manifest");
}
