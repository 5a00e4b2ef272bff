// What asking for an offline package does on the server (P5.3, P5.4).
#include <catch2/catch.hpp>
#include <vector>

#include "base/time_text.h"
#include "manifest/offline_package.h"
#include "server/release/image.h"
#include "tests/server/release/test_repository.h"
#include "tests/server/shop/shop_world.h"

using namespace layby;
using namespace layby::tests;
using server::Method;

namespace {

const std::string kPackage = "/v1/cars/" + std::string(kVin) + "/offline-package";

// Without the payloads, which are files.
std::string text_of(const server::Response& response) {
  std::string text;
  for (const auto& piece : std::get<server::BodyPieces>(response.body))
    if (const auto* head = std::get_if<std::string>(&piece)) text += *head;
  return text;
}

server::Response ask_for_package(ReadyWorld& world) {
  return ask(world.router, {.method = Method::kPost,
                            .path = kPackage,
                            .headers = {{"authorization", "Bearer " + world.partner_token}}});
}

void put_product(ReadyWorld& world, const std::string& id, const std::string& image) {
  REQUIRE(world
              .put("/v1/catalogue/products/" + id, world.operator_token,
                   {{"title", {{"en", id}}},
                    {"image", image},
                    {"price_cents", 49900},
                    {"currency", "EUR"},
                    {"term", {{"kind", "unlimited"}}}})
              .status == 201);
}

}  // namespace

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
  put_product(world, "lane-assist", image);
  const std::string id = world.order_function("lane-assist", world.owner_token).body["id"];
  world.car.obey();
  REQUIRE(world.order_state(id) == "active");
  CHECK(world.post(kPackage, world.partner_token).code() == "conflict");  // it has it

  SimCar wiped(world, kVin);
  wiped.pair(world.owner_token);
  REQUIRE(wiped.report().status == 200);
  REQUIRE(world.order_state(id) == "active");
  const server::Response response = ask_for_package(world);
  REQUIRE(response.status == 200);
  CHECK(response.headers.at("Layby-Orders") == id);
  const auto payloads =
      server::payloads_of(server::scanner(world.services.store), crypto::sha256(as_bytes(image)))
          .value();
  REQUIRE(payloads.size() == 1);
  CHECK_THAT(text_of(response),
             Catch::Contains(manifest::package_payload_name(payloads[0].sha256)));
  // The trail says what left.
  CHECK_THAT(world.get("/v1/cars/" + std::string(kVin) + "/audit", world.operator_token).text,
             Catch::Contains("\"offline-package\""));
}

TEST_CASE("an offline package has the delegated roles that its images need, and no others (P5.3)") {
  ReadyWorld world;
  TestRepository repository(world.services);
  Supplier acme("acme");
  Supplier between("between");
  Supplier other("other");
  delegate(repository.next, between, {.paths = {"functions/*/*"}});
  delegate(repository.next, other, {.paths = {"maps/*/*"}});
  REQUIRE(repository.publish());
  delegate(between.next, acme, {.paths = {"functions/*/*"}});
  REQUIRE(repository.publish(between));
  REQUIRE(repository.publish(other));
  const std::string image = "functions/lane-assist/1.0.pkg";
  repository.add(acme, {.name = image, .bytes = image});
  acme.next.expires = world.services.clock.now() + kDaySeconds;  // before anything else
  const UnixSeconds expires = acme.next.expires;
  REQUIRE(repository.publish(acme));
  run_all_jobs(world.services);
  put_product(world, "lane-assist", image);
  REQUIRE(world.order_function("lane-assist", world.owner_token).status == 201);
  const server::Response response = ask_for_package(world);
  REQUIRE(response.status == 200);
  CHECK(response.headers.at("Layby-Expires") == format_utc(expires));
  const std::string text = text_of(response);
  const std::size_t first = text.find("image/1.acme.json");
  const std::size_t second = text.find("image/1.between.json");
  REQUIRE(second != std::string::npos);
  CHECK(text.find("image/2.targets.json") < first);
  CHECK(first < second);
  CHECK(text.find("image/1.other.json") == std::string::npos);
}

TEST_CASE("a supplier's role that has expired: the package is made without its images (P5.3)") {
  ReadyWorld world;
  TestRepository repository(world.services);
  Supplier acme("acme");
  delegate(repository.next, acme, {.paths = {"functions/*/*"}});
  REQUIRE(repository.publish());
  const std::string image = "functions/lane-assist/1.0.pkg";
  repository.add(acme, {.name = image, .bytes = image});
  acme.next.expires = world.services.clock.now() + kDaySeconds;
  REQUIRE(repository.publish(acme));
  run_all_jobs(world.services);
  put_product(world, "lane-assist", image);
  REQUIRE(world.order_function("lane-assist", world.owner_token).status == 201);
  REQUIRE(ask_for_package(world).status == 200);
  world.base.clock.advance(kDaySeconds);
  const server::Response expired = ask_for_package(world);
  CHECK(expired.status == 409);
  CHECK_THAT(body_of(expired), Catch::Contains("no order of this car has anything to bring"));
}

TEST_CASE("no package is made that the car could not look through (P5.3)") {
  ReadyWorld world;
  TestRepository repository(world.services);
  // On the way to each function lie more than 9 MB: a car takes 16 MiB in all.
  struct Way {
    std::string id;
    Supplier first, second;
  };
  std::vector<Way> ways;
  ways.push_back({"lane-assist", Supplier("a"), Supplier("b")});
  ways.push_back({"park-assist", Supplier("c"), Supplier("d")});
  for (Way& way : ways)
    for (Supplier* supplier : {&way.first, &way.second}) {
      supplier->padding_bytes = 4'700'000;
      delegate(repository.next, *supplier, {.paths = {"functions/" + way.id + "/*"}});
    }
  REQUIRE(repository.publish());
  for (Way& way : ways) {
    const std::string image = "functions/" + way.id + "/1.0.pkg";
    repository.add(way.second, {.name = image, .bytes = image});
    REQUIRE(repository.publish(way.first));
    REQUIRE(repository.publish(way.second));
    put_product(world, way.id, image);
  }
  run_all_jobs(world.services);
  REQUIRE(world.order_function("lane-assist", world.owner_token).status == 201);
  CHECK(ask_for_package(world).status == 200);
  REQUIRE(world.order_function("park-assist", world.owner_token).status == 201);
  const server::Response refused = ask_for_package(world);
  CHECK(refused.status == 409);
  CHECK_THAT(body_of(refused), Catch::Contains("16777216 are allowed") &&
                                   Catch::Contains("Cancel some of its open orders"));
}
