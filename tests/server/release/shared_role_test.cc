// Delegators that give their roles one name: whose word counts, and who may publish.
#include <array>
#include <catch2/catch.hpp>

#include "manifest/metadata_json.h"
#include "tests/server/release/suppliers.h"

using namespace layby;
using namespace layby::server;
using namespace layby::tests;

TEST_CASE("who delegates to another's role by its own key neither stops nor replaces it") {
  Suppliers world;
  Supplier hostile("hostile");
  Supplier claimed("acme");  // by a key of the hostile one's
  delegate(world.repository.next, world.acme, {.paths = {"maps/DE/*"}});
  delegate(world.repository.next, hostile, {.paths = {"maps/FR/*"}});
  world.published(world.repository.publish());
  delegate(hostile.next, claimed);
  world.published(world.repository.publish(hostile));
  CHECK(world.refused(claimed).code() == ErrorCode::kBadSignature);
  world.repository.add(world.acme, {.name = "maps/DE/1.tar", .bytes = "one"});
  const Publication publication = world.published(world.repository.publish(world.acme));
  CHECK(publication.new_images == Names{"maps/DE/1.tar"});
  REQUIRE(publication.warnings.size() == 1);
  CHECK_THAT(publication.warnings[0], Catch::Contains("hostile delegates"));
  const std::string top = body_of(world.get("2.targets.json"));
  CHECK(world.published(publish_targets(world.test.services, as_bytes(top))).warnings ==
        publication.warnings);
  CHECK(world.finds("maps/DE/1.tar"));
  claimed.next.version = world.acme.next.version;
  CHECK(world.refused(claimed).code() == ErrorCode::kBadSignature);
}

TEST_CASE("of suppliers that delegate to one role, the keys of one of them have to sign") {
  Suppliers world;
  Supplier third("third");
  Supplier shared_by_third("other");
  world.let_acme({.paths = {"maps/DE/*"}});
  delegate(world.repository.next, third, {.paths = {"maps/FR/*"}});
  world.published(world.repository.publish());
  delegate(world.acme.next, world.other);
  delegate(third.next, shared_by_third);
  world.published(world.repository.publish(world.acme));
  world.published(world.repository.publish(third));
  world.repository.add(shared_by_third, {.name = "maps/FR/1.tar", .bytes = "france"});
  const Publication publication = world.published(world.repository.publish(shared_by_third));
  REQUIRE(publication.warnings.size() == 1);
  CHECK_THAT(publication.warnings[0], Catch::Contains("acme delegates"));
  CHECK(world.finds("maps/FR/1.tar"));
  shared_by_third.key = crypto::MemorySigner::generate();
  CHECK(world.refused(shared_by_third).code() == ErrorCode::kBadSignature);
}

TEST_CASE("no supplier replaces what is published for another one under the same role name") {
  Suppliers world;
  Supplier third("third");
  Supplier shared_by_third("other");
  world.let_acme({.paths = {"maps/DE/*"}});
  delegate(world.repository.next, third, {.paths = {"maps/FR/*"}});
  world.published(world.repository.publish());
  delegate(world.acme.next, world.other);
  delegate(third.next, shared_by_third);
  world.published(world.repository.publish(world.acme));
  world.published(world.repository.publish(third));
  world.repository.add(shared_by_third, {.name = "maps/FR/1.tar", .bytes = "france"});
  shared_by_third.next.expires = world.test.clock.now() + kDaySeconds;
  world.published(world.repository.publish(shared_by_third));
  world.other.next.version = 2;
  world.other.next.expires = world.acme.next.expires;

  SECTION("by keys that his own delegation names") {
    const Error why = world.refused(world.other);
    CHECK(why.code() == ErrorCode::kBadSignature);
    CHECK_THAT(why.message(), Catch::Contains("third's delegation"));
    CHECK(world.finds("maps/FR/1.tar"));
    world.repository.add(shared_by_third,
                         {.name = "maps/FR/2.tar", .bytes = "new", .release_counter = 2});
    world.published(world.repository.publish(shared_by_third));
  }
  SECTION("nor when it has expired") {
    world.test.clock.advance(kDaySeconds);
    CHECK(world.refused(world.other).code() == ErrorCode::kBadSignature);
  }
  SECTION("but with him") {
    world.other.next.targets = shared_by_third.next.targets;
    const std::array<const crypto::Signer*, 2> by{world.other.key.get(), shared_by_third.key.get()};
    const Bytes both = manifest::make_targets(world.other.next, by).value();
    const auto publication = world.published(publish_delegated(world.test.services, "other", both));
    CHECK(publication.warnings.empty());
    CHECK(world.finds("maps/FR/1.tar"));
  }
  SECTION("or when he delegates to it no longer") {
    third.next.delegations.reset();
    world.published(world.repository.publish(third));
    world.published(world.repository.publish(world.other));
  }
}
