// Accounts, tokens and who calls.
#include <catch2/catch.hpp>

#include "server/fleet/auth.h"
#include "tests/server/shop/shop_world.h"

using namespace layby;
using namespace layby::tests;
using manifest::Json;

TEST_CASE("a token is shown once, is stored as a digest, ends by revocation and by time") {
  ShopWorld world;
  const Json wanted{{"name", "Dora"}, {"role", "owner"}, {"email", "dora@example.org"}};
  const Answered made = world.post("/v1/accounts", world.operator_token, wanted, "once");
  REQUIRE(made.status == 201);
  const std::string token = made.body["token"];
  CHECK(token.size() == 3 + 64);
  CHECK(token.rfind("lt_", 0) == 0);
  // The same request again gives the same answer; nothing in the store tells the token.
  CHECK(world.post("/v1/accounts", world.operator_token, wanted, "once").text == made.text);
  CHECK(world.all_stored().find(token) == std::string::npos);
  CHECK(world.get("/v1/catalogue/products", token).status == 200);
  const std::string tokens = "/v1/accounts/" + made.body["id"].get<std::string>() + "/tokens";
  const Answered second = world.post(tokens, world.operator_token);
  REQUIRE(second.status == 201);
  CHECK(world.get("/v1/catalogue/products", second.body["token"]).status == 200);
  CHECK(world.call(server::Method::kDelete, tokens, world.owner_token).status == 403);
  REQUIRE(world.call(server::Method::kDelete, tokens, world.operator_token).status == 204);
  CHECK(world.get("/v1/catalogue/products", token).status == 401);
  CHECK(world.get("/v1/catalogue/products", second.body["token"]).status == 401);

  CHECK(world.get("/v1/catalogue/products", world.owner_token).status == 200);
  world.base.clock.advance(server::kTokenLifeSeconds);
  CHECK(world.get("/v1/catalogue/products", world.owner_token).status == 401);
}

TEST_CASE("tokens have scopes, an end and a name, and end one by one") {
  ReadyWorld world;
  const std::string tokens = "/v1/accounts/me/tokens";
  const Answered narrow =
      world.post(tokens, world.owner_token,
                 {{"scopes", {"read", "orders"}}, {"expires_days", 2}, {"note", "the shop's app"}});
  REQUIRE(narrow.status == 201);
  const std::string token = narrow.body["token"];
  const std::string car = "/v1/cars/" + std::string(kVin);
  CHECK(world.get(car, token).status == 200);
  CHECK(world.order_function("adaptive-cruise", token).status == 201);
  CHECK(world.post(car + "/hand-over", token).status == 403);
  CHECK(world.post("/v1/pairing-codes", token).status == 403);
  CHECK(world.post(tokens, token, {{"scopes", {"orders"}}}).status == 403);
  // No wider than the one that asks, and nothing that is not known.
  const std::string accounts_only =
      world.post(tokens, world.owner_token, {{"scopes", {"accounts"}}}).body["token"];
  CHECK(world.post(tokens, accounts_only, Json::object()).status == 403);
  CHECK(world.post(tokens, accounts_only, {{"scopes", {"accounts", "cars"}}}).status == 403);
  CHECK(world.post(tokens, accounts_only, {{"scopes", {"accounts"}}}).status == 201);
  CHECK(world.post(tokens, world.owner_token, {{"scopes", {"everything"}}}).status == 400);
  CHECK(world.post(tokens, world.owner_token, {{"expires_days", 0}}).status == 400);
  CHECK(world.post(tokens, world.owner_token, {{"expires_days", 366}}).status == 400);
  // The list names them without what is secret; one is ended, the others go on.
  const Answered list = world.get(tokens, world.owner_token);
  CHECK(list.body["tokens"].size() == 4);
  CHECK_THAT(list.text, Catch::Contains("the shop's app") && !Catch::Contains(token));
  CHECK(world.get("/v1/accounts/" + world.owner + "/tokens", world.second_token).status == 403);
  const std::string one = tokens + "/" + narrow.body["token_id"].get<std::string>();
  CHECK(world.call(server::Method::kDelete, one, world.second_token).status == 404);
  REQUIRE(world.call(server::Method::kDelete, one, world.owner_token).status == 204);
  CHECK(world.get(car, token).status == 401);
  CHECK(world.get(car, world.owner_token).status == 200);
  const std::string brief =
      world.post(tokens, world.owner_token, {{"expires_days", 1}}).body["token"];
  world.base.clock.advance(kDaySeconds - 1);
  CHECK(world.get(car, brief).status == 200);
  world.base.clock.advance(1);
  CHECK(world.get(car, brief).status == 401);
}

TEST_CASE("each route refuses who may not call it") {
  ReadyWorld world;
  const Json account{{"name", "x"}, {"role", "operator"}};
  for (const std::string& token : {world.owner_token, world.partner_token})
    CHECK(world.post("/v1/accounts", token, account).status == 403);
  CHECK(world.post("/v1/accounts", "", account).status == 401);
  CHECK(world.post("/v1/accounts", "lt_wrong", account).status == 401);
  CHECK(world.post("/v1/pairing-codes", world.operator_token).status == 403);
  CHECK(world.get("/v1/events", world.owner_token).status == 403);
  const std::string car = "/v1/cars/" + std::string(kVin);
  CHECK(world.get(car, world.second_token).status == 404);
  CHECK(world.get(car, world.partner_token).status == 200);
  CHECK(world.get(car + "/audit", world.owner_token).status == 200);
  // A car is not a person.
  CHECK(world.call(server::Method::kGet, car, "", nullptr, "", &world.car.certificate).status ==
        403);
  // A secondary user looks, changes nothing, and sees no trail.
  world.add_user(world.owner_token, world.second_token);
  CHECK(world.get(car, world.second_token).status == 200);
  CHECK(world.get(car + "/audit", world.second_token).code() == "owner-only");
  CHECK(world.post(car + "/invitations", world.second_token).code() == "owner-only");
  CHECK(world.get(car + "/users", world.second_token).code() == "owner-only");
  REQUIRE(world.call(server::Method::kDelete, car + "/users/" + world.second, world.owner_token)
              .status == 204);
  CHECK(world.get(car, world.second_token).status == 404);
}

TEST_CASE("a car is registered once, with a VIN that its market accepts") {
  ShopWorld world;
  Json car{{"vin", "1M8GDM9AXKP042788"},
           {"model", "aurora"},
           {"model_year", 2026},
           {"country", "US"},
           {"ecus", {{{"serial", "HU-1"}, {"hardware_id", "hu-4"}}}}};
  CHECK(world.post("/v1/cars", world.owner_token, car).status == 403);
  car["vin"] = "1M8GDM9A1KP042788";  // position 9 should be X
  CHECK(world.post("/v1/cars", world.operator_token, car).status == 400);
  car["country"] = "DE";
  CHECK(world.post("/v1/cars", world.operator_token, car).status == 201);
  CHECK(world.post("/v1/cars", world.operator_token, car).status == 409);
  car["vin"] = "WVWZZZ1JZXW00001O";
  CHECK(world.post("/v1/cars", world.operator_token, car).status == 400);
  car["vin"] = kVin;
  car["colour"] = "red";
  CHECK_THAT(world.post("/v1/cars", world.operator_token, car).text, Catch::Contains("colour"));
}
