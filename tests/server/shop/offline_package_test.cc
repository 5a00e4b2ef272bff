// What asking for an offline package does on the server (P5.3, P5.4).
#include <catch2/catch.hpp>

#include "manifest/offline_package.h"
#include "server/release/image.h"
#include "tests/server/release/test_repository.h"
#include "tests/server/shop/shop_world.h"

using namespace layby;
using namespace layby::tests;
using server::Method;

namespace {
const std::string kPackage = "/v1/cars/" + std::string(kVin) + "/offline-package";
}

TEST_CASE("an offline package is asked for by POST; a look at it writes nothing (P5.4)") {
  ReadyWorld world;
  const std::string before = world.all_stored();
  for (const Method method : {Method::kGet, Method::kHead})
    CHECK(world.call(method, kPackage, world.partner_token).status == 405);
  CHECK(world.all_stored() == before);
}

TEST_CASE("a car without open orders gets no package, and asking for one writes nothing") {
  ReadyWorld world;
  const std::string before = world.all_stored();
  CHECK(world.post(kPackage, world.partner_token).code() == "conflict");
  CHECK(world.post(kPackage, world.owner_token).code() == "forbidden");
  CHECK(world.all_stored() == before);
}

TEST_CASE("a wiped car gets what is active in a partner's package too, as it does by air (P5.3)") {
  ReadyWorld world;
  TestRepository repository(world.services);
  const std::string image = "functions/lane-assist/1.0.pkg";
  repository.add({.name = image, .bytes = image});
  repository.publish_and_make_payloads();
  REQUIRE(world
              .put("/v1/catalogue/products/lane-assist", world.operator_token,
                   {{"title", {{"en", "Lane assist"}}},
                    {"image", image},
                    {"price_cents", 49900},
                    {"currency", "EUR"},
                    {"term", {{"kind", "unlimited"}}}})
              .status == 201);
  const std::string id = world.order_function("lane-assist", world.owner_token).body["id"];
  world.car.obey();
  REQUIRE(world.order_state(id) == "active");
  CHECK(world.post(kPackage, world.partner_token).code() == "conflict");  // it has it

  SimCar wiped(world, kVin);
  wiped.pair(world.owner_token);
  REQUIRE(wiped.report().status == 200);
  REQUIRE(world.order_state(id) == "active");
  const server::Response response =
      ask(world.router, {.method = Method::kPost,
                         .path = kPackage,
                         .headers = {{"authorization", "Bearer " + world.partner_token}}});
  REQUIRE(response.status == 200);
  CHECK(response.headers.at("Layby-Orders") == id);
  const auto payloads =
      server::payloads_of(server::scanner(world.services.store), crypto::sha256(as_bytes(image)))
          .value();
  REQUIRE(payloads.size() == 1);
  const std::string member = manifest::package_payload_name(payloads[0].sha256);
  std::string text;  // without the payloads, which are files
  for (const auto& piece : std::get<server::BodyPieces>(response.body))
    if (const auto* head = std::get_if<std::string>(&piece)) text += *head;
  CHECK_THAT(text, Catch::Contains(member));
  // The trail says what left.
  CHECK_THAT(world.get("/v1/cars/" + std::string(kVin) + "/audit", world.operator_token).text,
             Catch::Contains("\"offline-package\""));
}
