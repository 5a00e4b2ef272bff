// P1.6: what a car may fetch follows its orders, not what it has once learned.
#include "server/shop/entitlement.h"

#include <catch2/catch.hpp>

#include "server/director/director_keys.h"
#include "server/release/image.h"
#include "server/release/release_keys.h"
#include "tests/server/shop/shop_world.h"

using namespace layby;
using namespace layby::tests;
using State = manifest::OrderState;

namespace {

constexpr const char* kCruise = "functions/adaptive-cruise/1.0.pkg";

crypto::Digest256 payload_of(const std::string& image) {
  return crypto::sha256(as_bytes("payload of " + image));
}

bool may(ReadyWorld& world, const std::string& image = kCruise, const std::string& vin = kVin) {
  const auto allowed = server::may_fetch_payload(world.services, manifest::Vin::parse(vin).value(),
                                                 payload_of(image));
  REQUIRE(allowed);
  return *allowed;
}

void say(ReadyWorld& world, const std::string& order, State state) {
  world.car.say(order, state);
  REQUIRE(world.car.report().status == 200);
}

}  // namespace

TEST_CASE("P1.6: a car may fetch a payload from the offer of the order to its end, no longer") {
  ReadyWorld world;
  CHECK_FALSE(may(world));
  const std::string id = world.order_function("adaptive-cruise", world.owner_token).body["id"];
  CHECK(may(world));
  CHECK_FALSE(may(world, kCruise, kOtherVin));
  CHECK_FALSE(may(world, "functions/other/1.0.pkg"));
  say(world, id, State::kDownloading);
  CHECK(may(world));

  SECTION("cancelled by the owner") {
    REQUIRE(world.post("/v1/orders/" + id + "/cancel", world.owner_token).status == 200);
    CHECK_FALSE(may(world));
  }
  SECTION("cancelled by the window") {
    world.base.clock.advance(28 * kDaySeconds);
    CHECK_FALSE(may(world));  // also before the sweep has come to it
    world.sweep();
    CHECK_FALSE(may(world));
  }
  SECTION("downloaded in time, the window no longer matters; active, it is over") {
    say(world, id, State::kDownloaded);
    world.base.clock.advance(60 * kDaySeconds);
    CHECK(may(world));
    world.car.obey();
    CHECK(world.order_state(id) == "active");
    CHECK_FALSE(may(world));
  }
  SECTION("failed") {
    say(world, id, State::kFailed);
    CHECK_FALSE(may(world));
  }
  SECTION("withdrawn: it is told to deactivate, and needs no bytes for that") {
    say(world, id, State::kDownloaded);
    REQUIRE(world.post("/v1/orders/" + id + "/withdraw", world.owner_token).status == 200);
    CHECK_FALSE(may(world));
  }
  SECTION("the image is withdrawn") {
    auto image = **server::image(world.services.store, kCruise);
    image.listing = server::Listing::kWithdrawn;
    REQUIRE(world.services.store.commit(
        {.expectations = {},
         .writes = {{server::image_key(kCruise), server::encode_image(image)}}}));
    CHECK_FALSE(may(world));
  }
}

TEST_CASE("P1.6: what waits for its payload cannot be fetched yet") {
  ReadyWorld world;
  world.sell("seats");
  world.publish("maps/DE/2.tar", 2, ShopWorld::Payload::kMissing);
  const Answered order = world.order_map({"DE"}, world.owner_token);
  REQUIRE(order.body["state"] == "ordered");
  CHECK_FALSE(may(world, "maps/DE/2.tar"));
}

TEST_CASE("what a partner's package brings is not to be fetched over the air (P3.1)") {
  ReadyWorld world;
  world.publish("maps/FR/2.tar", 2);
  const Answered made = world.post(
      "/v1/orders", world.partner_token,
      {{"vin", kVin}, {"kind", "map"}, {"regions", {"FR"}}, {"delivery", "offline"}}, "key");
  REQUIRE(made.status == 201);
  CHECK_FALSE(may(world, "maps/FR/2.tar"));
  REQUIRE(
      world.post("/v1/orders/" + made.body["id"].get<std::string>() + "/cancel", world.owner_token)
          .status == 200);
  REQUIRE(world.order_map({"FR"}, world.owner_token).status == 201);
  CHECK(may(world, "maps/FR/2.tar"));
}

TEST_CASE("a car that says that it has another compressor gets its metadata anew") {
  ReadyWorld world;
  const std::string key = server::director_timestamp_key(kVin);
  const auto is_kept_by = [&](const manifest::ReEncoders& re_encoders) {
    REQUIRE(world.services.store.commit({{}, {{key, "as it was signed"}}}));
    world.car.re_encoders = re_encoders;
    REQUIRE(world.car.report().status == 200);
    return world.services.store.get(key).value().has_value();
  };
  CHECK_FALSE(is_kept_by({{"zstd", "1.5.4"}}));
  CHECK(is_kept_by({{"zstd", "1.5.4"}}));
  CHECK_FALSE(is_kept_by({{"zstd", "1.5.5"}}));
  CHECK_FALSE(is_kept_by({}));
  CHECK(is_kept_by({}));
}
