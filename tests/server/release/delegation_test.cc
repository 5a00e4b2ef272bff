// Suppliers sign their own images (Uptane 2.1.0, 5.1.2.1 and 5.3.1): what the server publishes of
// delegated roles, what it withdraws, and what it hands out.
#include <algorithm>
#include <array>
#include <catch2/catch.hpp>

#include "manifest/json_value.h"
#include "manifest/metadata_json.h"
#include "manifest/target_search.h"
#include "server/fleet/account.h"
#include "server/fleet/json_answer.h"
#include "server/release/image_repository.h"
#include "server/release/payload_job.h"
#include "server/release/release_keys.h"
#include "server/release/routes.h"
#include "tests/server/release/suppliers.h"

using namespace layby;
using namespace layby::server;
using namespace layby::tests;

TEST_CASE("Uptane 5.3.1: a supplier publishes its own images, and cars find them") {
  Suppliers world;
  manifest::TrustedRepository before = world.client();
  world.let_acme();
  world.repository.add(world.acme, {.name = "maps/DE/1.tar", .bytes = "the region"});
  const Publication first = world.published(world.repository.publish(world.acme));
  CHECK(first.version == 1);
  CHECK(first.new_images == Names{"maps/DE/1.tar"});
  CHECK(first.jobs == 1);
  CHECK(first.warnings.empty());
  run_all_jobs(world.test.services);
  CHECK(world.available("maps/DE/1.tar") == Availability::kAvailable);

  CHECK(world.finds("maps/DE/1.tar"));
  CHECK_FALSE(world.finds("maps/DE/1.tar", "hu-5"));
  world.refresh(before);
  CHECK(*world.search(before, "maps/DE/1.tar") != nullptr);
  const auto& files = (*before.snapshot())->files;
  CHECK(files.at("acme.json").version == 1);
  CHECK(files.at("targets.json").version == 2);

  const Response document = world.get("1.acme.json");
  REQUIRE(document.status == 200);
  CHECK(document.headers.at("Cache-Control") == "public, max-age=31536000, immutable");
  CHECK_FALSE(document.headers.at("ETag").empty());
}

TEST_CASE("numbered documents of a delegated role stay, and its entry never goes down") {
  Suppliers world;
  world.let_acme();
  world.repository.add(world.acme, {.name = "maps/DE/1.tar", .bytes = "one"});
  const std::string first = world.acme.sign();
  world.published(world.repository.publish(world.acme));
  const std::string published = body_of(world.get("1.acme.json"));
  manifest::TrustedRepository client = world.client();
  REQUIRE(*world.search(client, "maps/DE/1.tar") != nullptr);
  world.repository.add(world.acme, {.name = "maps/DE/2.tar", .bytes = "two", .release_counter = 2});
  CHECK(world.published(world.repository.publish(world.acme)).version == 2);
  CHECK(body_of(world.get("1.acme.json")) == published);
  world.refresh(client);
  CHECK((*client.snapshot())->files.at("acme.json").version == 2);
  CHECK(*world.search(client, "maps/DE/2.tar") != nullptr);

  SECTION("nor does it go when nobody delegates to the role any more") {
    undelegate(world.repository.next, world.acme);
    world.published(world.repository.publish());
    world.refresh(client);
    CHECK((*client.snapshot())->files.at("acme.json").version == 2);
    CHECK(world.get("2.acme.json").status == 200);
  }
  SECTION("nor when timestamp and snapshot are signed anew") {
    for (int week = 0; week < 8; ++week) {
      world.test.clock.advance(6 * kDaySeconds);
      world.refresh(client);
    }
    CHECK((*client.snapshot())->files.at("acme.json").version == 2);
    CHECK(*world.search(client, "maps/DE/2.tar") != nullptr);
  }
}

TEST_CASE("the very same bytes of a delegated role change nothing") {
  Suppliers world;
  world.let_acme();
  world.repository.add(world.acme, {.name = "maps/DE/1.tar", .bytes = "one"});
  world.published(world.repository.publish(world.acme));
  const std::string before = world.timestamp();
  const std::string bytes = body_of(world.get("1.acme.json"));
  const auto again = publish_delegated(world.test.services, "acme", as_bytes(bytes));
  REQUIRE(again);
  CHECK(again->version == 1);
  CHECK(again->jobs == 0);
  CHECK(world.timestamp() == before);
}

TEST_CASE("a delegated role that no car would believe is refused") {
  Suppliers world;
  const NewImage image{.name = "maps/DE/1.tar", .bytes = "the region"};

  SECTION("nobody delegates to it") {
    world.repository.add(world.acme, image);
    const Error error = world.refused(world.acme);
    CHECK(error.code() == ErrorCode::kNotFound);
    CHECK_THAT(error.message(), Catch::Contains("acme"));
  }
  world.let_acme();
  world.repository.add(world.acme, image);
  SECTION("signed by another key") {
    std::swap(world.acme.key, world.other.key);
    CHECK(world.refused(world.acme).code() == ErrorCode::kBadSignature);
    std::swap(world.acme.key, world.other.key);
    world.published(world.repository.publish(world.acme));
  }
  SECTION("a first version that is not 1") {
    world.acme.next.version = 2;
    CHECK(world.refused(world.acme).code() == ErrorCode::kRollback);
  }
  SECTION("a version that skips one") {
    world.published(world.repository.publish(world.acme));
    ++world.acme.next.version;
    CHECK(world.refused(world.acme).code() == ErrorCode::kRollback);
    --world.acme.next.version;
    world.published(world.repository.publish(world.acme));
  }
  SECTION("the present version with other content") {
    world.published(world.repository.publish(world.acme));
    --world.acme.next.version;
    world.acme.next.expires -= 1;
    CHECK(world.refused(world.acme).code() == ErrorCode::kRollback);
  }
  SECTION("expired") {
    world.acme.next.expires = world.test.clock.now();
    CHECK(world.refused(world.acme).code() == ErrorCode::kFreeze);
  }
}

TEST_CASE("images that a supplier may not sign for, or that are not there, are refused") {
  Suppliers world;
  const NewImage image{.name = "maps/DE/1.tar", .bytes = "the region"};
  world.let_acme();
  world.repository.add(world.acme, image);
  SECTION("an image outside its paths") {
    world.repository.add(world.acme, {.name = "functions/acc/1.pkg", .bytes = "code"});
    const Error error = world.refused(world.acme);
    CHECK(error.code() == ErrorCode::kForbidden);
    CHECK_THAT(error.message(), Catch::Contains("functions/acc/1.pkg") && Catch::Contains("acme"));
  }
  SECTION("an image for hardware that was not delegated to it") {
    world.repository.add(
        world.acme, {.name = "maps/FR/1.tar", .bytes = "france", .hardware_ids = {"hu-4", "hu-5"}});
    const Error error = world.refused(world.acme);
    CHECK(error.code() == ErrorCode::kForbidden);
    CHECK_THAT(error.message(), Catch::Contains("maps/FR/1.tar") && Catch::Contains("acme") &&
                                    Catch::Contains("hu-5"));
  }
  SECTION("an image whose bytes were never uploaded") {
    const NewImage absent{.name = "maps/FR/1.tar", .bytes = "nowhere"};
    world.acme.next.targets[absent.name] = world.repository.entry_of(absent);
    CHECK(world.refused(world.acme).code() == ErrorCode::kNotFound);
  }
  SECTION("a length that the bytes do not have") {
    world.acme.next.targets[image.name].length += 1;
    CHECK(world.refused(world.acme).code() == ErrorCode::kWrongImage);
  }
  SECTION("what is no image") {
    world.acme.next.targets["maps/DE/../1.tar"] = world.acme.next.targets[image.name];
    CHECK(world.refused(world.acme).code() == ErrorCode::kBadFormat);
  }
  SECTION("no JSON") {
    const auto result = publish_delegated(world.test.services, "acme", as_bytes("["));
    CHECK(result.error().code() == ErrorCode::kBadJson);
  }
  SECTION("a name of the operator's, with other facts") {
    world.repository.add({.name = "maps/DE/1.tar", .bytes = "the operator's"});
    world.published(world.repository.publish());
    CHECK(world.refused(world.acme).code() == ErrorCode::kConflict);
  }
  SECTION("the operator's own image, just so, is no conflict") {
    world.repository.add(image);
    world.published(world.repository.publish());
    CHECK(world.published(world.repository.publish(world.acme)).new_images.empty());
  }
  SECTION("a release counter that was reached already, by whomever") {
    world.repository.add({.name = "maps/DE/9.tar", .bytes = "nine", .release_counter = 9});
    world.published(world.repository.publish());
    CHECK(world.refused(world.acme).code() == ErrorCode::kImageRollback);
  }
}

TEST_CASE("a name that another supplier uses with other facts is a conflict") {
  Suppliers world;
  delegate(world.repository.next, world.acme);
  delegate(world.repository.next, world.other);
  world.published(world.repository.publish());
  world.repository.add(world.acme, {.name = "maps/DE/1.tar", .bytes = "one"});
  world.published(world.repository.publish(world.acme));
  world.repository.add(world.other, {.name = "maps/DE/1.tar", .bytes = "another"});
  CHECK(world.refused(world.other).code() == ErrorCode::kConflict);
  world.other.next.targets.clear();
  world.repository.add(world.other, {.name = "maps/FR/1.tar", .bytes = "france"});
  world.published(world.repository.publish(world.other));
  CHECK(world.finds("maps/DE/1.tar"));
  CHECK(world.finds("maps/FR/1.tar"));
}

TEST_CASE("who comes later in the order is refused where a search does not reach him") {
  Suppliers world;
  SECTION("behind a terminating delegation") {
    delegate(world.repository.next, world.acme, {.terminating = true});
    delegate(world.repository.next, world.other);
    world.published(world.repository.publish());
    world.published(world.repository.publish(world.acme));
  }
  SECTION("behind a role that has published nothing: a search ends there") {
    delegate(world.repository.next, world.acme);
    delegate(world.repository.next, world.other);
    const Publication publication = world.published(world.repository.publish());
    REQUIRE(publication.warnings.size() == 2);
    CHECK_THAT(publication.warnings[0], Catch::Contains("acme"));
  }
  world.repository.add(world.other, {.name = "maps/DE/1.tar", .bytes = "one"});
  CHECK(world.refused(world.other).code() == ErrorCode::kForbidden);
}

TEST_CASE("a supplier delegates on, and cannot give on what it was not given") {
  Suppliers world;
  world.let_acme();
  delegate(world.acme.next, world.other, {.paths = {"maps/DE/*"}});
  const Publication nested = world.published(world.repository.publish(world.acme));
  REQUIRE(nested.warnings.size() == 1);
  CHECK_THAT(nested.warnings[0], Catch::Contains("other") && Catch::Contains("acme"));

  world.repository.add(world.other, {.name = "maps/DE/1.tar", .bytes = "one"});
  CHECK(world.published(world.repository.publish(world.other)).warnings.empty());
  CHECK(world.finds("maps/DE/1.tar"));

  SECTION("neither paths") {
    world.repository.add(world.other, {.name = "maps/FR/1.tar", .bytes = "france"});
    CHECK(world.refused(world.other).code() == ErrorCode::kForbidden);
  }
  SECTION("nor hardware") {
    world.repository.add(
        world.other, {.name = "maps/DE/1-5.tar", .bytes = "for another", .hardware_ids = {"hu-5"}});
    CHECK(world.refused(world.other).code() == ErrorCode::kForbidden);
  }
  SECTION("when the one in between goes, what stands on it goes") {
    undelegate(world.repository.next, world.acme);
    CHECK(world.published(world.repository.publish()).withdrawn == Names{"maps/DE/1.tar"});
    CHECK_FALSE(world.finds("maps/DE/1.tar"));
    CHECK(world.refused(world.other).code() == ErrorCode::kNotFound);
  }
  SECTION("who delegates nearer to the top decides which keys sign") {
    const auto key = std::exchange(world.other.key, crypto::MemorySigner::generate());
    delegate(world.repository.next, world.other, {.paths = {"maps/DE/*"}});
    const Publication two = world.published(world.repository.publish());
    REQUIRE(two.warnings.size() == 1);
    CHECK_THAT(two.warnings[0], Catch::Contains("targets delegates"));
    const auto sign_by = [&](std::vector<const crypto::Signer*> keys) {
      return manifest::make_targets(world.other.next, keys).value();
    };
    const std::string before = world.timestamp();
    CHECK(
        world.refused(publish_delegated(world.test.services, "other", sign_by({key.get()})), before)
            .code() == ErrorCode::kBadSignature);
    // Cars come by acme first, whose keys have not signed, and look no further.
    const Publication one = world.published(world.repository.publish(world.other));
    CHECK(one.withdrawn == Names{"maps/DE/1.tar"});
    REQUIRE(one.warnings.size() == 2);
    CHECK_THAT(one.warnings[0], Catch::Contains("acme delegates"));
    CHECK_THAT(one.warnings[1], Catch::Contains("maps/DE/1.tar"));
    const Publication both = world.published(publish_delegated(
        world.test.services, "other", sign_by({world.other.key.get(), key.get()})));
    CHECK(both.listed_again == Names{"maps/DE/1.tar"});
    CHECK(both.warnings.empty());
  }
  SECTION("when the one in between has expired, the answer says so") {
    world.test.clock.advance(world.acme.next.expires - world.test.clock.now());
    world.other.next.expires = world.test.clock.now() + kDaySeconds;
    const Error error = world.refused(world.other);
    CHECK(error.code() == ErrorCode::kNotFound);
    CHECK_THAT(error.message(),
               Catch::Contains("acme delegates to it") && Catch::Contains("its version 1 expired"));
  }
}

TEST_CASE("a supplier of a narrower scope goes on: what it named before stays withdrawn") {
  Suppliers world;
  world.let_acme({.paths = {"maps/IT/*", "maps/FR/*"}});
  world.repository.add(world.acme, {.name = "maps/IT/1.tar", .bytes = "italy"});
  world.repository.add(world.acme, {.name = "maps/FR/1.tar", .bytes = "france"});
  world.published(world.repository.publish(world.acme));
  run_all_jobs(world.test.services);
  delegate(world.repository.next, world.acme, {.paths = {"maps/FR/*"}});
  CHECK(world.published(world.repository.publish()).withdrawn == Names{"maps/IT/1.tar"});

  world.repository.add(world.acme, {.name = "maps/FR/2.tar", .bytes = "new", .release_counter = 2});
  const Publication next = world.published(world.repository.publish(world.acme));
  CHECK(next.new_images == Names{"maps/FR/2.tar"});
  CHECK(next.withdrawn.empty());
  CHECK(next.listed_again.empty());
  REQUIRE(next.warnings.size() == 1);
  CHECK_THAT(next.warnings[0], Catch::Contains("maps/IT/1.tar") && Catch::Contains("acme"));
  const std::string bytes = body_of(world.get("2.acme.json"));
  const auto again =
      world.published(publish_delegated(world.test.services, "acme", as_bytes(bytes)));
  CHECK(again.warnings == next.warnings);
  run_all_jobs(world.test.services);
  CHECK(world.available("maps/IT/1.tar") == Availability::kWithdrawn);
  CHECK(world.available("maps/FR/1.tar") == Availability::kAvailable);
  CHECK(world.available("maps/FR/2.tar") == Availability::kAvailable);
  CHECK_FALSE(world.finds("maps/IT/1.tar"));
  CHECK(world.finds("maps/FR/2.tar"));

  SECTION("a new image out of the scope is refused") {
    world.repository.add(world.acme,
                         {.name = "maps/IT/2.tar", .bytes = "newer", .release_counter = 2});
    CHECK(world.refused(world.acme).code() == ErrorCode::kForbidden);
  }
  SECTION("nor may one that is out of it change") {
    world.repository.add(world.acme, {.name = "maps/IT/1.tar", .bytes = "other bytes"});
    CHECK(world.refused(world.acme).code() == ErrorCode::kConflict);
  }
  SECTION("with the scope of before it is listed again") {
    delegate(world.repository.next, world.acme, {.paths = {"maps/IT/*", "maps/FR/*"}});
    CHECK(world.published(world.repository.publish()).listed_again == Names{"maps/IT/1.tar"});
  }
}

TEST_CASE("the warning of images that no car finds names some of many") {
  Suppliers world;
  world.let_acme();
  for (int i = 100; i < 150; ++i)
    world.repository.add(world.acme, {.name = fmt::format("maps/R{}/1.tar", i),
                                      .bytes = fmt::format("region {}", i)});
  world.published(world.repository.publish(world.acme));
  delegate(world.repository.next, world.acme, {.paths = {"maps/FR/*"}});
  world.published(world.repository.publish());
  const Publication next = world.published(world.repository.publish(world.acme));
  REQUIRE(next.warnings.size() == 1);
  CHECK_THAT(next.warnings[0],
             Catch::Contains("maps/R100/1.tar") && Catch::Contains("and 40 more"));
}

TEST_CASE("what lies behind more roles than a car looks into is refused") {
  Suppliers world;
  std::vector<Supplier> many;
  for (std::size_t i = 0; i <= manifest::kSearchRolesMax; ++i) {
    many.emplace_back(fmt::format("r{:02}", i));
    delegate(world.repository.next, many.back());
  }
  world.published(world.repository.publish());
  Supplier last = std::move(many.back());
  many.pop_back();
  for (Supplier& supplier : many) world.published(world.repository.publish(supplier));
  world.repository.add(last, {.name = "maps/DE/1.tar", .bytes = "one"});
  const Error why = world.refused(last);
  CHECK(why.code() == ErrorCode::kTooLarge);
  CHECK_THAT(why.message(), Catch::Contains("maps/DE/1.tar") && Catch::Contains("32 roles"));

  world.repository.add(many.back(), {.name = "maps/FR/1.tar", .bytes = "two"});
  world.published(world.repository.publish(many.back()));
  CHECK(world.finds("maps/FR/1.tar"));
  // Somebody who is put before the others pushes it out.
  auto& roles = world.repository.next.delegations->roles;
  SECTION("by the targets, where he has published before") {
    last.next.targets.clear();
    world.published(world.repository.publish(last));
    std::rotate(roles.begin(), roles.end() - 1, roles.end());
    CHECK(world.refused_top().code() == ErrorCode::kTooLarge);
    CHECK(world.finds("maps/FR/1.tar"));
  }
  SECTION("by his first document") {
    std::rotate(roles.begin(), roles.end() - 1, roles.end());
    CHECK(world.published(world.repository.publish()).withdrawn == Names{"maps/FR/1.tar"});
    last.next.targets.clear();
    CHECK(world.refused(last).code() == ErrorCode::kTooLarge);
  }
}

TEST_CASE("delegations that lead nowhere or elsewhere are not published") {
  Suppliers world;
  Supplier bad("x");
  for (const char* name : {"../x", "a/b", ".", "..", "a b", "%2e%2e", "x\n", ".hidden"}) {
    INFO(name);
    bad.role = name;
    delegate(world.repository.next, bad);
    CHECK(world.refused_top().code() == ErrorCode::kBadFormat);
    undelegate(world.repository.next, bad);
  }
  bad.role = "x";
  delegate(world.repository.next, bad);
  SECTION("more signatures than there are keys") {
    world.repository.next.delegations->roles[0].keys.threshold = 2;
    CHECK(world.refused_top().code() == ErrorCode::kBadFormat);
  }
  SECTION("hash bins") {
    const auto keys = world.repository.next.delegations->roles[0].keys;
    world.repository.next.delegations->roles.clear();
    world.repository.next.delegations->succinct_roles = {keys, 4, "bin"};
    CHECK(world.refused_top().code() == ErrorCode::kUnsupported);
  }
  SECTION("a role that delegates to itself") {
    world.let_acme();
    delegate(world.acme.next, world.acme);
    CHECK(world.refused(world.acme).code() == ErrorCode::kBadFormat);
  }
  SECTION("one that can be followed is") {
    CHECK(world.repository.publish());
  }
}

namespace {

// acme has published one map, and cars can have it.
struct Published : Suppliers {
  Published() {
    let_acme();
    repository.add(acme, {.name = "maps/DE/1.tar", .bytes = "one"});
    published(repository.publish(acme));
    run_all_jobs(test.services);
    CHECK(available("maps/DE/1.tar") == Availability::kAvailable);
  }
};

}  // namespace

TEST_CASE("whose delegation goes or changes is withdrawn at once, and comes back with it") {
  Published world;

  SECTION("no longer delegated to") {
    undelegate(world.repository.next, world.acme);
    const Publication gone = world.published(world.repository.publish());
    CHECK(gone.withdrawn == Names{"maps/DE/1.tar"});
    CHECK(gone.jobs == 1);  // the cars that want it are told
    CHECK(gone.warnings.empty());
    CHECK(world.available("maps/DE/1.tar") == Availability::kWithdrawn);
    CHECK(world.refused(world.acme).code() == ErrorCode::kNotFound);
  }
  SECTION("with another key: until that one has signed") {
    world.acme.key = crypto::MemorySigner::generate();
    delegate(world.repository.next, world.acme);
    const Publication gone = world.published(world.repository.publish());
    CHECK(gone.withdrawn == Names{"maps/DE/1.tar"});
    REQUIRE(gone.warnings.size() == 1);
    CHECK_THAT(gone.warnings[0], Catch::Contains("acme") && Catch::Contains("0 of 1"));
    CHECK_FALSE(world.finds("maps/DE/1.tar"));
    const Publication back = world.published(world.repository.publish(world.acme));
    CHECK(back.listed_again == Names{"maps/DE/1.tar"});
    CHECK(back.new_images.empty());
    CHECK(back.warnings.empty());
    CHECK(world.finds("maps/DE/1.tar"));
    CHECK(world.available("maps/DE/1.tar") == Availability::kAvailable);
  }
  SECTION("for other paths") {
    delegate(world.repository.next, world.acme, {.paths = {"maps/FR/*"}});
    CHECK(world.published(world.repository.publish()).withdrawn == Names{"maps/DE/1.tar"});
  }
  SECTION("for other hardware") {
    delegate(world.repository.next, world.acme, {.hardware_ids = {"hu-5"}});
    CHECK(world.published(world.repository.publish()).withdrawn == Names{"maps/DE/1.tar"});
  }
  SECTION("behind another supplier who has published nothing yet") {
    undelegate(world.repository.next, world.acme);
    delegate(world.repository.next, world.other);
    delegate(world.repository.next, world.acme);
    CHECK(world.published(world.repository.publish()).withdrawn == Names{"maps/DE/1.tar"});
    const Publication other = world.published(world.repository.publish(world.other));
    CHECK(other.listed_again == Names{"maps/DE/1.tar"});
    CHECK(world.finds("maps/DE/1.tar"));
  }
}

TEST_CASE("images are withdrawn with a role that expires, and by its supplier") {
  Published world;
  SECTION("expired") {
    SECTION("which the next question for the timestamp brings about") {
      world.test.clock.advance(world.acme.next.expires - 1 - world.test.clock.now());
      world.timestamp();
      CHECK(world.available("maps/DE/1.tar") == Availability::kAvailable);
      world.test.clock.advance(1);
      world.timestamp();
      const auto jobs = open_jobs(*world.test.store, 10).value();
      REQUIRE(jobs.size() == 1);
      CHECK(jobs[0].kind == JobKind::kAnnounce);  // the cars that want it are told
    }
    SECTION("or the next publication") {
      world.test.clock.advance(world.acme.next.expires - world.test.clock.now());
      const Publication gone = world.published(world.repository.publish());
      CHECK(gone.withdrawn == Names{"maps/DE/1.tar"});
      REQUIRE(gone.warnings.size() == 1);
      CHECK_THAT(gone.warnings[0], Catch::Contains("expired"));
    }
    CHECK(world.available("maps/DE/1.tar") == Availability::kWithdrawn);
    world.acme.next.expires = world.test.clock.now() + kDaySeconds;
    CHECK(world.published(world.repository.publish(world.acme)).listed_again ==
          Names{"maps/DE/1.tar"});
    CHECK(world.finds("maps/DE/1.tar"));
  }
  SECTION("the supplier withdraws it") {
    world.acme.next.targets.clear();
    CHECK(world.published(world.repository.publish(world.acme)).withdrawn ==
          Names{"maps/DE/1.tar"});
    world.repository.add(world.acme, {.name = "maps/DE/1.tar", .bytes = "other bytes"});
    CHECK(world.refused(world.acme).code() == ErrorCode::kConflict);
  }
  SECTION("the operator publishes something else: it stays") {
    world.repository.add({.name = "maps/FR/1.tar", .bytes = "france"});
    const Publication publication = world.published(world.repository.publish());
    CHECK(publication.withdrawn.empty());
    CHECK(publication.new_images == Names{"maps/FR/1.tar"});
    CHECK(world.finds("maps/DE/1.tar"));
  }
}

TEST_CASE("jobs of suppliers' images have ids of their own") {
  Suppliers world;
  world.let_acme();
  world.repository.add({.name = "maps/FR/1.tar", .bytes = "france"});
  world.published(world.repository.publish());
  for (int version = 1; version <= 4; ++version) {
    world.repository.add(world.acme, {.name = fmt::format("maps/DE/{}.tar", version),
                                      .bytes = fmt::format("region {}", version),
                                      .release_counter = static_cast<std::uint64_t>(version)});
    world.published(world.repository.publish(world.acme));
  }
  std::size_t whole = 0;
  const auto jobs = list_jobs(*world.test.store, "", 100).value();
  for (const PayloadJob& job : jobs) whole += job.kind == JobKind::kFull ? 1 : 0;
  CHECK(whole == 5);
}

TEST_CASE("a server that is started again knows its delegated roles") {
  Suppliers world;
  world.let_acme();
  world.repository.add(world.acme, {.name = "maps/DE/1.tar", .bytes = "one"});
  world.published(world.repository.publish(world.acme));
  const NewImage absent{.name = "maps/DE/2.tar", .bytes = "not uploaded", .release_counter = 2};
  world.acme.next.targets[absent.name] = world.repository.entry_of(absent);
  world.test.store.reset();
  world.test.store = RocksDbStore::open(world.test.dir / "store").value();
  const Services again{.store = *world.test.store,
                       .payloads = world.test.services.payloads,
                       .disk = world.test.services.disk,
                       .clock = world.test.services.clock,
                       .keys = world.test.services.keys,
                       .vehicle_authority = world.test.services.vehicle_authority,
                       .data_dir = {},
                       .public_base_url = {}};
  CHECK(delegated_document(again.store, {.role = "acme", .version = 1})->has_value());
  CHECK(publish_delegated(again, "acme", as_bytes(world.acme.sign())).error().code() ==
        ErrorCode::kNotFound);  // the bytes of the image: all else is in order
  undelegate(world.repository.next, world.acme);
  const auto gone = publish_targets(again, as_bytes(world.repository.sign()));
  REQUIRE(gone);
  CHECK(gone->withdrawn == Names{"maps/DE/1.tar"});
}

TEST_CASE("a store from before there were delegated roles loads, and takes them") {
  Suppliers world;
  world.repository.add({.name = "maps/FR/1.tar", .bytes = "france"});
  world.published(world.repository.publish());
  const std::string written = world.test.store->get(kImageStateKey)->value();
  auto state = parse_stored(kImageStateKey, written).value();
  REQUIRE(state.erase("delegated") == 1);  // as the release before wrote it
  REQUIRE(world.test.store->commit({{}, {{std::string(kImageStateKey), to_stored(state)}}}));
  world.let_acme();
  world.repository.add(world.acme, {.name = "maps/DE/1.tar", .bytes = "one"});
  world.published(world.repository.publish(world.acme));
  CHECK(world.finds("maps/DE/1.tar"));
  CHECK(world.finds("maps/FR/1.tar"));
}

TEST_CASE("a new root leaves delegated roles as they are") {
  Suppliers world;
  world.let_acme();
  world.repository.add(world.acme, {.name = "maps/DE/1.tar", .bytes = "one"});
  world.published(world.repository.publish(world.acme));
  const auto& offline = world.repository.offline();
  Change reading(*world.test.store);
  manifest::Root root = present_image_root(reading).value();
  ++root.version;
  const std::array<const crypto::Signer*, 1> by{offline.image_root.front().get()};
  REQUIRE(publish_image_root(world.test.services, manifest::make_root(root, by).value()));
  CHECK(world.finds("maps/DE/1.tar"));
}

TEST_CASE("over HTTP: names of delegated roles lead nowhere else; only an operator publishes") {
  Suppliers world;
  world.let_acme();
  world.repository.add(world.acme, {.name = "maps/DE/1.tar", .bytes = "one"});
  world.acme.next.expires = world.test.clock.now() + kDaySeconds;
  const std::string path = "/v1/repositories/image/delegated/acme";
  const auto put = [&](const std::map<std::string, std::string>& headers) {
    return ask(
        world.router,
        {.method = Method::kPut, .path = path, .headers = headers, .body = world.acme.sign()});
  };
  const auto bearer = [&](Role role) {
    const auto made = commit_with_retry(*world.test.store, [&](Change& change) {
      return create_account(change, {.name = "somebody", .role = role, .email = {}},
                            world.test.clock.now());
    });
    return "Bearer " + made.value().token;
  };
  CHECK(put({}).status == 401);
  CHECK(put({{"authorization", bearer(Role::kOwner)}}).status == 403);
  const Response response = put({{"authorization", bearer(Role::kOperator)}});
  REQUIRE(response.status == 200);
  const auto answer = manifest::parse_strict(as_bytes(body_of(response)), {1000}).value();
  CHECK(answer["version"] == 1);
  CHECK(answer["new_images"] == manifest::Json::array({"maps/DE/1.tar"}));
  CHECK(answer["listed_again"] == manifest::Json::array());
  CHECK(answer["warnings"] == manifest::Json::array());

  CHECK(world.get("1.acme.json").status == 200);
  for (const char* name : {"acme.json", "01.acme.json", "0.acme.json", "2.acme.json", "1.acme",
                           "1.acme.json.json", "1..json", "1...json", "1.a/b.json", "1.other.json",
                           "1.timestamp.json", "-1.acme.json", "1.acme/1.json", "1.ACME.json"})
    CHECK(world.get(name).status == 404);
}
