#include <catch2/catch.hpp>

#include "server/rollout/rollout.h"
#include "server/shop/order.h"
#include "tests/server/openapi/api_world.h"

namespace layby::tests {

using manifest::Json;
using State = manifest::OrderState;

namespace {

const std::string kCar = "/v1/cars/" + std::string(kVin);
const std::string kOrder = "post /v1/orders";
const Json kFixed{{"term", {{"kind", "fixed"}, {"days", 90}}}, {"renewable", true}};

Call placing(Api& api, Json changes, const std::string& token = "") {
  Json body{{"vin", kVin}};
  body.update(changes);
  Call made = call("/v1/orders", token.empty() ? api.owner_token : token, body);
  made.headers["idempotency-key"] = "key-" + std::to_string(++api.keys_made);
  return made;
}

Call function_order(Api& api, const std::string& product, const std::string& token = "") {
  return placing(api, {{"kind", "function"}, {"product", product}}, token);
}

Call map_order(Api& api, const Json& regions) {
  return placing(api, {{"kind", "map"}, {"regions", regions}});
}

void provoke_catalogue(Record& record) {
  Api api(record);
  const std::string put = "put /v1/catalogue/products/{id}";
  const auto with = [&](const std::string& id, Json changes) {
    Json body{{"title", {{"en", "New"}}},
              {"image", "functions/new/1.0.pkg"},
              {"price_cents", 100},
              {"currency", "EUR"},
              {"term", {{"kind", "unlimited"}}}};
    body.update(changes);
    return call("/v1/catalogue/products/" + id, api.operator_token, body);
  };
  CHECK(api.send(put, with("new", Json::object())).status == 201);
  CHECK(api.send(put, with("new", Json::object())).status == 200);
  api.expect({400, "bad-format"}, put, with("new", {{"currency", "euro"}}));
  api.expect({400, "invalid-argument"}, put, with("-new", Json::object()));
  api.send(put, with("new", {{"image", "maps/DE/1.tar"}}));
}

void provoke_offline(Record& record) {
  Api api(record);
  const std::string package = "post /v1/cars/{vin}/offline-package";
  Call made = call(kCar + "/offline-package", api.partner_token);
  api.expect({409, "conflict"}, package, made);  // nothing is ordered
  made.query["payloads"] = "some";
  api.expect({400, "invalid-argument"}, package, made);
  const auto order = [&](const std::string& token) {
    return placing(api, {{"kind", "map"}, {"regions", {"DE"}}, {"delivery", "offline"}}, token);
  };
  api.expect({403, "forbidden"}, kOrder, order(api.owner_token));
  api.publish("maps/DE/2.tar", 2);
  CHECK(api.send(kOrder, order(api.partner_token)).status == 201);
}

void provoke_ordering(Record& record) {
  Api api(record);
  Call keyless = function_order(api, "adaptive-cruise");
  keyless.headers.clear();
  api.expect({400, "idempotency-key-required"}, kOrder, keyless);
  api.expect({400, "invalid-argument"}, kOrder, placing(api, {{"kind", "software"}}));
  api.expect({400, "invalid-argument"}, kOrder, placing(api, {{"kind", "horse"}}));
  api.expect({404, "not-found"}, kOrder, function_order(api, "flying"));
  api.expect({403, "owner-only"}, kOrder, function_order(api, "adaptive-cruise", api.second_token));
  api.sell("tank", {{"fit", {{"hardware", {"tracks"}}}}});
  api.expect({422, "does-not-fit"}, kOrder, function_order(api, "tank"));
  Call renewing =
      placing(api, {{"kind", "function"}, {"product", "adaptive-cruise"}, {"auto_renew", true}});
  api.expect({409, "not-renewable"}, kOrder, renewing);
  api.expect({422, "too-many-regions"}, kOrder, map_order(api, {"DE", "FR", "IT", "NL"}));
  api.expect({422, "unknown-region"}, kOrder, map_order(api, {"XX"}));
  api.publish("maps/DE/1.tar", 1);
  api.expect({409, "up-to-date"}, kOrder, map_order(api, {"DE"}));
  REQUIRE(api.send(kOrder, function_order(api, "adaptive-cruise")).status == 201);
  api.expect({409, "already-ordered"}, kOrder, function_order(api, "adaptive-cruise"));
  api.car.obey();
  api.expect({409, "already-active"}, kOrder, function_order(api, "adaptive-cruise"));
  api.sell("tracker", {{"protects", true}});
  REQUIRE(api.post(kCar + "/stolen", api.owner_token).status == 200);
  api.expect({409, "reported-stolen"}, kOrder, function_order(api, "tracker"));
}

// As many as may be open for one car.
void provoke_too_many_orders(Record& record) {
  Api api(record);
  const std::string id = api.order_function("adaptive-cruise", api.owner_token).body["id"];
  const auto vin = manifest::Vin::parse(kVin).value();
  const std::string text = api.services.store.get(server::order_key(vin, id)).value().value();
  server::Batch batch;
  for (std::size_t i = 1; i < server::kOpenOrdersMax; ++i) {
    const std::string copy = fmt::format("ord_{:026}", i);
    std::string other = text;
    other.replace(other.find(id), id.size(), copy);
    batch.writes.push_back({server::order_key(vin, copy), other});
  }
  REQUIRE(api.services.store.commit(batch));
  api.expect({409, "conflict"}, kOrder, function_order(api, "adaptive-cruise"));
  api.publish("maps/DE/2.tar", 2);
  api.expect({409, "conflict"}, "post /v1/vehicle/map-requests",
             by_car(api, "/v1/vehicle/map-requests", {{"regions", {"DE"}}}));
}

const std::string kCancel = "post /v1/orders/{id}/cancel";
const std::string kWithdraw = "post /v1/orders/{id}/withdraw";
const std::string kRenewal = "put /v1/orders/{id}/renewal";
const std::string kRenew = "post /v1/orders/{id}/renew";

// The four things that an owner says of an order.
struct Word {
  std::string operation;
  std::string path;
  Json body;
};
std::vector<Word> words(const std::string& id) {
  const std::string path = "/v1/orders/" + id;
  return {{kCancel, path + "/cancel", nullptr},
          {kWithdraw, path + "/withdraw", nullptr},
          {kRenewal, path + "/renewal", {{"auto", true}}},
          {kRenew, path + "/renew", nullptr}};
}

// Renewing needs a key; the others do not mind one.
Call said_by(Api& api, const std::string& token, const Word& word) {
  Call made = call(word.path, token, word.body);
  made.headers["idempotency-key"] = "key-" + std::to_string(++api.keys_made);
  return made;
}

void expect_of_all(Api& api, const NamedProblem& problem, const std::string& id,
                   const std::string& token) {
  for (const Word& word : words(id)) api.expect(problem, word.operation, said_by(api, token, word));
}

std::string active(Api& api, const std::string& product, const Json& changes) {
  api.sell(product, changes);
  const std::string id = api.order_function(product, api.owner_token).body["id"];
  api.car.obey();
  REQUIRE(api.order_state(id) == "active");
  return id;
}

void provoke_words(Record& record) {
  Api api(record);
  const std::string cruise = active(api, "adaptive-cruise", Json::object());
  const std::string fixed = active(api, "fixed", kFixed);
  const std::string month = active(api, "month", {{"term", {{"kind", "subscription"}}}});
  const auto say = [&](const std::string& id, std::size_t word, const NamedProblem& problem) {
    const Word said = words(id)[word];
    api.expect(problem, said.operation, said_by(api, api.owner_token, said));
  };
  expect_of_all(api, {404, "not-found"}, "ord_01HZX000000000000000000000", api.owner_token);
  api.add_user(api.owner_token, api.second_token);
  expect_of_all(api, {403, "owner-only"}, fixed, api.second_token);
  say(cruise, 0, {409, "too-late"});
  say(fixed, 1, {409, "not-withdrawable"});
  say(cruise, 2, {409, "not-renewable"});
  say(cruise, 3, {409, "not-renewable"});
  say(month, 3, {409, "not-renewable"});
  say(fixed, 3, {409, "too-early"});
  const Word renewing = words(fixed)[3];
  api.expect({400, "idempotency-key-required"}, renewing.operation,
             call(renewing.path, api.owner_token));
  api.sell("brief", kFixed);
  const std::string brief = api.order_function("brief", api.owner_token).body["id"];
  say(brief, 3, {409, "wrong-state"});
  say(brief, 1, {409, "not-withdrawable"});
  api.go_to("2026-12-07T06:00:00Z");
  say(cruise, 1, {409, "too-late"});
  api.go_to("2027-05-01T06:00:00Z");
  say(fixed, 2, {409, "wrong-state"});
  say(fixed, 0, {409, "wrong-state"});

  const std::string tracker = active(api, "tracker", {{"protects", true}, {"withdrawal_days", 28}});
  REQUIRE(api.post(kCar + "/stolen", api.owner_token).status == 200);
  say(tracker, 1, {409, "reported-stolen"});
  REQUIRE(api.call(server::Method::kDelete, kCar + "/stolen", api.owner_token).status == 200);
  REQUIRE(api.post("/v1/orders/" + tracker + "/withdraw", api.owner_token).status == 200);
  api.car.obey();
  say(tracker, 0, {409, "wrong-state"});
}

void provoke_failed_order(Record& record) {
  Api api(record);
  const std::string id = api.order_function("adaptive-cruise", api.owner_token).body["id"];
  api.car.say(id, State::kFailed);
  REQUIRE(api.car.report().status == 200);
  REQUIRE(api.order_state(id) == "failed");
  api.expect({409, "wrong-state"}, kWithdraw,
             call("/v1/orders/" + id + "/withdraw", api.owner_token));
}

// Cancelling what protects a stolen car, before it is in the car.
void provoke_stolen(Record& record) {
  Api api(record);
  api.sell("tracker", {{"protects", true}});
  const std::string id = api.order_function("tracker", api.owner_token).body["id"];
  REQUIRE(api.post(kCar + "/stolen", api.owner_token).status == 200);
  api.expect({409, "reported-stolen"}, kCancel,
             call("/v1/orders/" + id + "/cancel", api.owner_token));
}

void provoke_inherited(Record& record) {
  Api api(record);
  const std::string fixed = active(api, "fixed", kFixed);
  REQUIRE(api.post(kCar + "/hand-over", api.owner_token).status == 200);
  api.expect({403, "forbidden"}, "post /v1/vehicle/map-requests",
             by_car(api, "/v1/vehicle/map-requests", {{"regions", {"DE"}}}));
  api.car.pair(api.second_token);
  expect_of_all(api, {409, "inherited"}, fixed, api.second_token);
}

void provoke_by_cars(Record& record) {
  Api api(record);
  const std::string wish = "post /v1/vehicle/map-requests";
  const auto wishing = [&](const Json& body) {
    return by_car(api, "/v1/vehicle/map-requests", body);
  };
  CHECK(api.send(wish, wishing({{"regions", {"DE"}}})).status == 200);
  api.expect({400, "invalid-argument"}, wish, wishing({{"regions", Json::array()}}));
  api.publish("maps/DE/2.tar", 2);
  CHECK(api.send(wish, wishing({{"regions", {"DE"}}, {"start", "announce"}})).status == 200);
  CHECK(api.send(wish, wishing({{"regions", {"DE"}}})).status == 201);
  api.expect({409, "already-ordered"}, wish, wishing({{"regions", {"DE"}}}));

  const std::string post = "post /v1/vehicle/manifest";
  const auto saying = [&](const Bytes& bytes) {
    Call made = by_car(api, "/v1/vehicle/manifest");
    made.bytes = std::string(as_text(bytes));
    return made;
  };
  const Bytes first = api.car.new_manifest();
  CHECK(api.send(post, saying(first)).status == 200);
  CHECK(api.send(post, saying(first)).status == 200);
  --api.car.counter;
  api.car.clock_ahead = 1;
  api.expect({409, "replay"}, post, saying(api.car.new_manifest()));
  api.expect({422, "bad-manifest"}, post, saying(to_bytes("{}")));
}

void provoke_rollouts(Record& record) {
  Api api(record);
  const std::string put = "put /v1/rollouts/{id}";
  const auto with = [&](const std::string& id, const std::string& image,
                        const std::string& state = "running") {
    return call("/v1/rollouts/" + id, api.operator_token, {{"image", image}, {"state", state}});
  };
  api.publish("software/hu-4/2.0.img", 2);
  api.expect({400, "invalid-argument"}, put, with("spring", "maps/DE/2.tar"));
  api.expect({400, "bad-format"}, put, with("spring", "software/hu-4/2.0.img", "walking"));
  api.expect({404, "not-found"}, put, with("spring", "software/hu-4/9.img"));
  CHECK(api.send(put, with("r0", "software/hu-4/2.0.img")).status == 201);
  CHECK(api.send(put, with("r0", "software/hu-4/2.0.img")).status == 200);
  for (std::size_t i = 1; i < server::kRolloutsMax; ++i)
    api.put("/v1/rollouts/r" + std::to_string(i), api.operator_token,
            {{"image", "software/hu-4/2.0.img"}, {"state", "paused"}});
  api.expect({413, "too-large"}, put, with("last", "software/hu-4/2.0.img"));
  api.withdraw("software/hu-4/2.0.img");
  api.expect({409, "conflict"}, put, with("r0", "software/hu-4/2.0.img"));
}

}  // namespace

void provoke_in_shop(Record& record) {
  provoke_catalogue(record);
  provoke_offline(record);
  provoke_ordering(record);
  provoke_too_many_orders(record);
  provoke_words(record);
  provoke_failed_order(record);
  provoke_stolen(record);
  provoke_inherited(record);
  provoke_by_cars(record);
  provoke_rollouts(record);
}

}  // namespace layby::tests
