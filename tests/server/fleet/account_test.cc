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

TEST_CASE("P1.1, P5.4: an operator who makes himself an owner's token is seen to have done so") {
  ReadyWorld world;
  const std::string tokens = "/v1/accounts/" + world.owner + "/tokens";
  const Answered made = world.post(tokens, world.operator_token, Json::object(), "twice");
  REQUIRE(made.status == 201);
  const std::string taken = made.body["token"];
  CHECK(world.post(tokens, world.operator_token, Json::object(), "twice").text == made.text);
  // The owner's own have ended: it is a replacement, and not a second key.
  CHECK(world.get("/v1/cars", world.owner_token).status == 401);
  // The owner reads it in the messages, everybody who gets events too, and it stays when the token
  // has gone.
  const std::string by = world.get("/v1/accounts/me", world.operator_token).body["id"];
  const Json list = world.get(tokens, world.operator_token).body["tokens"];
  REQUIRE(list.size() == 1);
  CHECK(list[0]["by"] == by);
  REQUIRE(world.call(server::Method::kDelete, tokens, taken).status == 204);
  REQUIRE(world.events("message").back()["data"] == Json{{"message", "token-made"}, {"by", by}});
  CHECK(world.events("message").back()["account"] == world.owner);
  const std::string own = world.post(tokens, world.operator_token).body["token"];
  const Answered messages = world.get("/v1/messages", own);
  CHECK(messages.body["events"].back()["data"]["message"] == "token-made");
  CHECK(world.get("/v1/cars/" + std::string(kVin) + "/events", own).status == 200);
  // One's own are one's own affair.
  const std::size_t before = world.events("message").size();
  CHECK(world.post("/v1/accounts/me/tokens", own).status == 201);
  CHECK(world.get("/v1/cars", own).status == 200);
  CHECK(world.events("message").size() == before);
}

TEST_CASE("P2.7: a kept answer does not name who is erased") {
  ReadyWorld world;
  const std::string tokens = "/v1/accounts/" + world.owner + "/tokens";
  const Answered made = world.post(tokens, world.operator_token, Json::object(), "kept");
  REQUIRE(made.status == 201);
  CHECK(made.body["id"] == world.owner);
  REQUIRE(world.call(server::Method::kDelete, "/v1/accounts/" + world.owner, world.operator_token)
              .status == 204);
  const Answered again = world.post(tokens, world.operator_token, Json::object(), "kept");
  CHECK(again.text == made.text);
  CHECK_THAT(again.text, !Catch::Contains("Anna"));
}

TEST_CASE("an account that cannot be read is not taken for one that is gone") {
  ShopWorld world;
  REQUIRE(world.services.store.commit(
      {.expectations = {}, .writes = {{server::account_key(world.second), "{"}}}));
  CHECK(world.get("/v1/accounts", world.operator_token).status == 500);
}

TEST_CASE("a repeat with another token of the account gets the answer, where it holds no secret") {
  ReadyWorld world;
  const std::string other =
      world.post("/v1/accounts/me/tokens", world.owner_token, Json::object(), "t").body["token"];
  const Json order{{"vin", kVin}, {"kind", "function"}, {"product", "adaptive-cruise"}};
  const Answered placed = world.post("/v1/orders", world.owner_token, order, "once");
  REQUIRE(placed.status == 201);
  CHECK(world.post("/v1/orders", other, order, "once").text == placed.text);
  CHECK(world.events("authorisation").size() == 1);
  // A token that was made is shown to the one that asked for it.
  CHECK(world.post("/v1/accounts/me/tokens", other, Json::object(), "t").code() ==
        "idempotency-key-reused");
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
