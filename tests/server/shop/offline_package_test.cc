// What asking for an offline package does on the server (P5.3, P5.4).
#include <catch2/catch.hpp>

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
