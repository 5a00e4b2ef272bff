// Owners, secondary users, invitations, hand-over (P1.10), and the certificate of a car (P2.6).
#include <catch2/catch.hpp>
#include <set>

#include "server/fleet/invitation.h"
#include "server/fleet/one_time_code.h"
#include "tests/server/shop/shop_world.h"

using namespace layby;
using namespace layby::tests;
using manifest::Json;
using server::Method;

namespace {

const std::string kCar = "/v1/cars/" + std::string(kVin);

std::set<std::string> seen_messages(ShopWorld& world, const std::string& path,
                                    const std::string& token) {
  std::set<std::string> seen;
  const Answered answer = world.get(path, token);
  for (const Json& event : answer.body["events"])
    seen.insert(event["data"]["message"].get<std::string>());
  return seen;
}

server::PeerCertificate certificate_from(const Answered& answer) {
  const auto facts = crypto::read_certificate(answer.body["certificate"].get<std::string>());
  REQUIRE(facts);
  return {.common_name = facts->common_name, .fingerprint = facts->fingerprint};
}

Json renewal() {
  return {{"certificate_request", *crypto::make_request(crypto::generate_tls_key(), kVin)}};
}

int time_status(ShopWorld& world, const server::PeerCertificate& peer) {
  // Any route for cars: an empty manifest is refused only once the car has been let in.
  return world.call(Method::kPost, "/v1/vehicle/manifest", "", Json::object(), "", &peer).status;
}
constexpr int kLetIn = 422;
constexpr int kShutOut = 401;

}  // namespace

TEST_CASE("a secondary user comes by invitation: one code, one use, a week") {
  ReadyWorld world;
  const Answered invited = world.post(kCar + "/invitations", world.owner_token);
  REQUIRE(invited.status == 201);
  const std::string code = invited.body["code"];
  CHECK(code.size() == 8);
  CHECK(world.all_stored().find(code) == std::string::npos);
  const Json body{{"code", code}};
  CHECK(world.post("/v1/invitations/accept", world.owner_token, body).status == 400);
  CHECK(world.post("/v1/invitations/accept", world.partner_token, body).status == 403);
  CHECK(world.get(kCar, world.second_token).status == 404);
  REQUIRE(world.post("/v1/invitations/accept", world.second_token, body).status == 200);
  CHECK(world.get(kCar, world.second_token).status == 200);
  CHECK(world.get("/v1/cars", world.second_token).body["cars"][0]["as"] == "secondary");
  CHECK(world.get(kCar + "/users", world.owner_token).body["users"][0]["account"] == world.second);
  const std::string third = world.new_account(server::Role::kOwner, "Carl");
  CHECK(world.post("/v1/invitations/accept", third, body).code() == "wrong-code");
  CHECK(seen_messages(world, kCar + "/events", world.owner_token).contains("user-joined"));

  // Too old, and taken back.
  const Json old{{"code", world.post(kCar + "/invitations", world.owner_token).body["code"]}};
  world.base.clock.advance(server::kInvitationSeconds);
  CHECK(world.post("/v1/invitations/accept", third, old).code() == "wrong-code");
  const Json back{{"code", world.post(kCar + "/invitations", world.owner_token).body["code"]}};
  REQUIRE(world.call(Method::kDelete, kCar + "/invitations", world.owner_token).status == 204);
  CHECK(world.post("/v1/invitations/accept", third, back).code() == "wrong-code");
  // The user may leave, and has no access from the next request on.
  REQUIRE(world.call(Method::kDelete, kCar + "/users/" + world.second, world.second_token).status ==
          204);
  CHECK(world.get(kCar, world.second_token).status == 404);
  CHECK(world.get("/v1/cars", world.second_token).body["cars"].empty());
  world.check_audit();
}

TEST_CASE("five wrong invitation codes lock the account that guesses") {
  ReadyWorld world;
  const Json wrong{{"code", "22222222"}};
  for (std::uint64_t i = 0; i < server::kCodeTriesMax; ++i)
    CHECK(world.post("/v1/invitations/accept", world.second_token, wrong).code() == "wrong-code");
  const Json right{{"code", world.post(kCar + "/invitations", world.owner_token).body["code"]}};
  const Answered locked = world.post("/v1/invitations/accept", world.second_token, right);
  CHECK(locked.status == 429);
  CHECK(locked.code() == "code-locked");
  world.base.clock.advance(server::kCodeLockSeconds);
  CHECK(world.post("/v1/invitations/accept", world.second_token, right).status == 200);
}

TEST_CASE("P1.10: handed over, the old owner and all users lose access at once") {
  ReadyWorld world;
  world.add_user(world.owner_token, world.second_token);
  const std::string order = world.order_function("adaptive-cruise", world.owner_token).body["id"];
  world.car.obey();
  REQUIRE(world
              .put(kCar + "/consents/software-updates", world.owner_token,
                   {{"language", "de"}, {"text_version", "7"}})
              .status == 200);
  const Answered open = world.post(kCar + "/invitations", world.owner_token);
  const std::string pending = open.body["code"];
  CHECK(world.post(kCar + "/hand-over", world.second_token).code() == "owner-only");
  CHECK(world.post(kCar + "/hand-over", world.partner_token).code() == "owner-only");
  const Answered gone = world.post(kCar + "/hand-over", world.owner_token, Json::object(), "once");
  REQUIRE(gone.status == 200);
  CHECK(world.post(kCar + "/hand-over", world.owner_token, Json::object(), "once").text ==
        gone.text);
  for (const std::string& token : {world.owner_token, world.second_token}) {
    CHECK(world.get(kCar, token).status == 404);
    CHECK(world.get(kCar + "/orders", token).status == 404);
    CHECK(world.get(kCar + "/events", token).status == 404);
    CHECK(world.get(kCar + "/audit", token).status == 404);
    CHECK(world.get("/v1/orders/" + order, token).status == 404);
    CHECK(world.order_function("adaptive-cruise", token).code() == "owner-only");
    CHECK(world.get("/v1/cars", token).body["cars"].empty());
  }
  const std::string third = world.new_account(server::Role::kOwner, "Carl");
  CHECK(world.post("/v1/invitations/accept", third, {{"code", pending}}).code() == "wrong-code");
  // The car itself goes on, and what was told to the old owner stays readable to that person.
  CHECK(world.car.report().status == 200);
  CHECK(seen_messages(world, "/v1/messages", world.owner_token).contains("activated"));
  CHECK(seen_messages(world, "/v1/messages", world.owner_token).contains("handed-over"));
  world.check_audit();
}

TEST_CASE("P1.10: the new owner pairs with his own code and sees nothing of the old one") {
  ReadyWorld world;
  world.add_user(world.owner_token, world.second_token);
  world.order_function("adaptive-cruise", world.owner_token);
  world.car.obey();
  REQUIRE(world
              .put(kCar + "/consents/software-updates", world.owner_token,
                   {{"language", "de"}, {"text_version", "7"}})
              .status == 200);
  std::string next_id;
  const std::string next = world.new_account(server::Role::kOwner, "Nora", &next_id);
  SECTION("after a hand-over") {
    REQUIRE(world.post(kCar + "/hand-over", world.owner_token).status == 200);
  }
  SECTION("without one, from the car itself") {}
  world.base.clock.advance(60);
  world.car.pair(next);
  CHECK(world.get(kCar, world.owner_token).status == 404);
  CHECK(world.get(kCar, world.second_token).status == 404);
  const Answered seen = world.get(kCar, next);
  REQUIRE(seen.status == 200);
  CHECK(seen.body["owner"] == next_id);
  CHECK(seen.body["consents"]["software-updates"]["state"] == "none");
  CHECK(seen_messages(world, kCar + "/events", next) == std::set<std::string>{"paired"});
  const Answered trail = world.get(kCar + "/audit", next);
  REQUIRE(trail.status == 200);
  CHECK(trail.body["records"].size() == 1);
  for (const Answered& answer : {seen, trail, world.get(kCar + "/events", next)}) {
    CHECK_THAT(answer.text, !Catch::Contains(world.owner));
    CHECK_THAT(answer.text, !Catch::Contains(world.second));
    CHECK_THAT(answer.text, !Catch::Contains("49900"));
  }
  // Partners and operators see the whole history of the car.
  CHECK(world.get(kCar + "/audit", world.partner_token).body["records"].size() > 5);
  world.check_audit();
}

TEST_CASE("P1.10 P2.6: somebody else's car cannot be had by its VIN and serials alone") {
  ReadyWorld world;
  const std::string code = world.post("/v1/pairing-codes", world.second_token).body["code"];
  const Json request = world.car.pair_request(code);
  CHECK(world.post("/v1/pair", "", request).code() == "already-paired");
  const server::PeerCertificate other{.common_name = kVin, .fingerprint = {1, 2, 3}};
  CHECK(world.call(Method::kPost, "/v1/pair", "", request, "", &other).code() == "already-paired");
  CHECK(world.call(Method::kPost, "/v1/pair", world.second_token, request).status == 403);
  CHECK(world.get(kCar, world.owner_token).status == 200);
  // A partner vouches, and stands in the trail and in the message.
  REQUIRE(world.call(Method::kPost, "/v1/pair", world.partner_token, request).status == 200);
  CHECK(world.get(kCar, world.owner_token).status == 404);
  const Json told = world.get(kCar + "/events", world.second_token).body["events"][0];
  CHECK(told["data"].contains("partner"));
  const Json last = world.get(kCar + "/audit", world.second_token).body["records"][0];
  CHECK(last["what"] == "paired");
  CHECK(last["who"] == told["data"]["partner"]);
}

TEST_CASE("P2.6: a certificate is renewed: the old one ends when the new one is first used") {
  ReadyWorld world;
  const server::PeerCertificate old = world.car.certificate;
  const Json request = renewal();
  const auto renew = [&](const Json& body) {
    return world.call(Method::kPost, "/v1/vehicle/certificate", "", body, "", &old);
  };
  CHECK(world.call(Method::kPost, "/v1/vehicle/certificate", world.owner_token, request).status ==
        403);
  const Answered first = renew(request);
  REQUIRE(first.status == 200);
  CHECK(renew(request).text == first.text);  // the answer was lost
  CHECK(time_status(world, old) == kLetIn);
  const Answered second = renew(renewal());  // the key was lost
  REQUIRE(second.status == 200);
  CHECK(time_status(world, certificate_from(first)) == kShutOut);
  CHECK(time_status(world, old) == kLetIn);
  CHECK(time_status(world, certificate_from(second)) == kLetIn);
  CHECK(time_status(world, old) == kShutOut);
  CHECK(renew(request).status == kShutOut);
  CHECK(time_status(world, certificate_from(second)) == kLetIn);
  world.check_audit();
}

TEST_CASE("P2.6: revoked, a certificate opens nothing from the next request on") {
  ReadyWorld world;
  const Answered renewed = world.call(Method::kPost, "/v1/vehicle/certificate", "", renewal(), "",
                                      &world.car.certificate);
  REQUIRE(renewed.status == 200);
  const std::string path = kCar + "/certificate";
  CHECK(world.call(Method::kDelete, path, world.owner_token).status == 403);
  REQUIRE(world.call(Method::kDelete, path, world.operator_token).status == 204);
  CHECK(world.call(Method::kDelete, path, world.operator_token).status == 204);
  CHECK(time_status(world, world.car.certificate) == kShutOut);
  CHECK(time_status(world, certificate_from(renewed)) == kShutOut);
  CHECK(world.get(kCar, world.owner_token).body.contains("certificate_revoked"));
  CHECK(seen_messages(world, kCar + "/events", world.owner_token).contains("certificate-revoked"));
  // It proves nothing any more either.
  const std::string code = world.post("/v1/pairing-codes", world.second_token).body["code"];
  CHECK(world
            .call(Method::kPost, "/v1/pair", "", world.car.pair_request(code), "",
                  &world.car.certificate)
            .code() == "already-paired");
  world.car.pair(world.owner_token);
  CHECK(world.car.report().status == 200);
}
