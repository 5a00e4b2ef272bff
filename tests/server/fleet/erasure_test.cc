// Deleting an account (P2.7): what must be gone is looked for in the files of a real store.
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "server/fleet/account_erasure.h"
#include "server/shop/order.h"
#include "tests/server/shop/map_store.h"
#include "tests/server/shop/shop_world.h"

using namespace layby;
using namespace layby::tests;
using manifest::Json;
using server::Method;

namespace {

std::string files_of(const std::string& directory) {
  std::string all;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    all.append(std::istreambuf_iterator<char>(file), {});
  }
  return all;
}

struct Person {
  std::string id, token;
};

Person make_person(ShopWorld& world) {
  const Answered made = world.post("/v1/accounts", world.operator_token,
                                   {{"name", "Wilhelmina Quarrington"},
                                    {"role", "owner"},
                                    {"email", "wilhelmina@quarrington.example"}},
                                   "make-wilhelmina");
  REQUIRE(made.status == 201);
  return {made.body["id"], made.body["token"]};
}

}  // namespace

TEST_CASE("P2.7: what was erased with an account is gone from the files of the store") {
  ReadyWorld world;
  const Person person = make_person(world);
  const std::string car = "/v1/cars/" + std::string(kVin);
  world.car.pair(person.token);      // from the car itself: it changes hands
  world.owner_token = person.token;  // who looks at its orders
  REQUIRE(world.car.report().status == 200);
  REQUIRE(world
              .put(car + "/consents/software-updates", person.token,
                   {{"language", "de"}, {"text_version", "zq-text-7"}})
              .status == 200);
  REQUIRE(world.order_function("adaptive-cruise", person.token).status == 201);
  world.car.obey();
  world.add_user(person.token, world.second_token);
  const std::size_t records = world.get(car + "/audit", world.partner_token).body["records"].size();
  const std::string store = world.base.dir / "store";
  CHECK(files_of(store).find("Quarrington") != std::string::npos);

  CHECK(world.call(Method::kDelete, "/v1/accounts/" + person.id, world.second_token).status == 403);
  REQUIRE(world.call(Method::kDelete, "/v1/accounts/me", person.token).status == 204);
  CHECK(world.get("/v1/cars", person.token).status == 401);
  CHECK(world.get("/v1/accounts/" + person.id, world.operator_token).status == 404);
  CHECK(world.get(car, world.second_token).status == 404);
  CHECK(world.events("account-erased").size() == 1);
  const auto stored = world.services.store.scan("", "\xff", 100'000);
  REQUIRE(stored);
  for (const auto& entry : *stored) {
    INFO(entry.key);
    CHECK(entry.key.find("k/" + person.id) == std::string::npos);
    CHECK(entry.key.find("m/" + person.id) == std::string::npos);
    CHECK(entry.value.find("Wilhelmina") == std::string::npos);
  }
  REQUIRE(server::continue_erasures(world.services) == 1u);
  REQUIRE(server::continue_erasures(world.services) == 0u);
  const std::string left = files_of(store);
  for (const char* text : {"Wilhelmina", "Quarrington", "wilhelmina@"}) {
    INFO(text);
    CHECK(left.find(text) == std::string::npos);
  }
  // The car's own history is whole, and speaks of an id alone.
  world.check_audit();
  const Answered trail = world.get(car + "/audit?limit=1000", world.partner_token);
  CHECK(trail.body["records"].size() > records);
  CHECK_THAT(trail.text, Catch::Contains(person.id));
  CHECK(world.car.report().status == 200);
  CHECK(world.post(car + "/hand-over", world.second_token).status == 404);
}

TEST_CASE("P2.7: an erasure that a crash broke off goes on") {
  // Every commit of it may be the last one that happens.
  for (int survive = 0;; ++survive) {
    MapStore map;
    MeddlingStore store(map);
    ReadyWorld world(&store, nullptr);
    const Person person = make_person(world);
    world.car.pair(person.token);
    int commits = 0;
    std::function<void()> count = [&] {
      if (commits++ == survive)
        store.crash = MeddlingStore::Crash::kBefore;
      else
        store.before_commit = count;
    };
    store.before_commit = count;
    const auto erased = server::erase_account(world.services, person.id, "test");
    store.before_commit = nullptr;
    store.crash = MeddlingStore::Crash::kNone;
    const bool begun = map.pairs.contains("x/erase/" + person.id);
    CHECK(begun == (survive > 0));
    REQUIRE(server::continue_erasures(world.services));
    if (begun) {
      CHECK(world.get("/v1/cars", person.token).status == 401);
      CHECK(world.all_stored().find("Wilhelmina") == std::string::npos);
      CHECK(world.get("/v1/cars/" + std::string(kVin), world.operator_token).body.count("owner") ==
            0);
      world.check_audit();
    }
    if (erased) {
      CHECK(survive >= 3);
      break;
    }
  }
}

TEST_CASE("P2.7: an erasure that cannot be done keeps nobody else's from being done") {
  ReadyWorld world;
  const Answered order = world.order_function("adaptive-cruise", world.owner_token);
  REQUIRE(order.status == 201);
  const auto vin = *manifest::Vin::parse(kVin);
  const std::string key = server::order_key(vin, order.body["id"].get<std::string>());
  const std::string record = *world.services.store.get(key).value();
  REQUIRE(world.services.store.commit({.expectations = {}, .writes = {{key, "{"}}}));
  CHECK(world.call(Method::kDelete, "/v1/accounts/me", world.owner_token).status == 500);
  const Person person = make_person(world);
  REQUIRE(world.call(Method::kDelete, "/v1/accounts/me", person.token).status == 204);
  // It says so, after all that can be done is done.
  CHECK_FALSE(server::continue_erasures(world.services));
  const auto begun = [&](const std::string& id) {
    return world.services.store.get("x/erase/" + id).value().has_value();
  };
  CHECK(begun(world.owner));
  CHECK_FALSE(begun(person.id));
  CHECK(files_of(world.base.dir / "store").find("Quarrington") == std::string::npos);
  REQUIRE(world.services.store.commit({.expectations = {}, .writes = {{key, record}}}));
  CHECK(server::continue_erasures(world.services) == 1u);
  CHECK_FALSE(begun(world.owner));
}

TEST_CASE("an operator's account is erased by another operator, so that one is always left") {
  ShopWorld world;
  CHECK(world.call(Method::kDelete, "/v1/accounts/me", world.operator_token).status == 403);
  std::string id;
  world.new_account(server::Role::kOperator, "second", &id);
  CHECK(world.call(Method::kDelete, "/v1/accounts/" + id, world.operator_token).status == 204);
}
