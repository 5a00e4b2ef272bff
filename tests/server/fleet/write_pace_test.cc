// How fast one caller may write: nobody's noise is everybody's delay.
#include "server/fleet/write_pace.h"

#include <catch2/catch.hpp>

#include "tests/server/shop/shop_world.h"

using namespace layby;
using namespace layby::tests;
using server::Method;

namespace {

struct PacedWorld : ShopWorld {
  PacedWorld() : pace(services, 12) {
    guarded.guard_writes([this](const server::Request& request) { return pace.refuse(request); });
    for (const Method method : {Method::kGet, Method::kPost})
      guarded.add({.method = method, .path = "/v1/x", .handler = [](const server::Request&) {
                     server::Response response;
                     response.status = 200;
                     return response;
                   }});
  }

  server::Response send(Method method, const std::string& token, const std::string& car = "") {
    server::Request request;
    request.method = method;
    request.path = "/v1/x";
    if (!token.empty()) request.headers["authorization"] = "Bearer " + token;
    if (!car.empty()) request.peer = server::PeerCertificate{.common_name = car, .fingerprint = {}};
    return guarded.handle(std::move(request));
  }
  // How many writes in a row go through, at most `limit`.
  int burst(const std::string& token, const std::string& car = "", int limit = 1000) {
    int count = 0;
    while (count < limit && send(Method::kPost, token, car).status == 200) ++count;
    return count;
  }

  server::WritePace pace;
  server::Router guarded;
};

}  // namespace

TEST_CASE("an account that writes without end is told to wait, and nobody else is") {
  PacedWorld world;
  const std::string other = world.post("/v1/accounts/me/tokens", world.owner_token).body["token"];
  CHECK(world.burst(world.owner_token) == 60);
  const server::Response refused = world.send(Method::kPost, world.owner_token);
  CHECK(refused.status == 429);
  CHECK(refused.headers.at("Retry-After") == "5");
  CHECK_THAT(std::get<std::string>(refused.body),
             Catch::Contains("\"code\":\"too-many-requests\""));
  CHECK(world.send(Method::kPost, other).status == 429);  // the account's, whatever its token
  CHECK(world.send(Method::kGet, world.owner_token).status == 200);
  CHECK(world.burst(world.second_token) == 60);
  CHECK(world.burst(world.partner_token) == 60);
  CHECK(world.burst(world.operator_token) == 1000);
  // Who is nobody is for the handler to refuse.
  CHECK(world.burst("lt_unknown", "", 100) == 100);
  CHECK(world.burst("", "", 100) == 100);
  world.base.clock.advance_ms(4'999);
  CHECK(world.burst(world.owner_token) == 0);
  world.base.clock.advance_ms(1);
  CHECK(world.burst(world.owner_token) == 1);
  world.base.clock.advance(3600);
  CHECK(world.burst(world.owner_token) == 60);
}

TEST_CASE("a car that reports without end is told to wait, and no other car is") {
  PacedWorld world;
  CHECK(world.burst("", kVin) == 300);
  CHECK(world.send(Method::kPost, "", kVin).headers.at("Retry-After") == "2");
  CHECK(world.burst("", kOtherVin, 10) == 10);
  world.base.clock.advance(60);
  CHECK(world.burst("", kVin) == 30);
}
