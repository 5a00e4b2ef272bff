#include "server/release/image_repository.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <latch>
#include <thread>
#include <utility>

#include "manifest/json_value.h"
#include "manifest/metadata_json.h"
#include "server/fleet/account.h"
#include "server/release/payload_job.h"
#include "server/release/release_keys.h"
#include "server/release/root_publication.h"
#include "server/release/routes.h"
#include "tests/server/release/test_repository.h"

using namespace layby;
using namespace layby::server;
using namespace layby::tests;

namespace {

constexpr const char* kMetadata = "/v1/repositories/image/metadata/";

manifest::TrustedRepository fresh_client(const TestRepository& repository) {
  return manifest::TrustedRepository::load({.root = repository.first().image_root,
                                            .timestamp = {},
                                            .snapshot = {},
                                            .targets = {}})
      .value();
}

// Nobody reads the timestamp before all are there to read it, and nobody writes before they have.
class CrowdedStore : public Store {
 public:
  CrowdedStore(Store& store, std::ptrdiff_t readers) : store_(store), readers_(readers) {}

  Result<std::optional<std::string>> get(std::string_view key) const override {
    auto value = store_.get(key);
    if (key == kImageTimestampKey && !std::exchange(has_read(), true)) readers_.arrive_and_wait();
    return value;
  }
  Result<std::vector<KeyValue>> scan(std::string_view begin, std::string_view end,
                                     std::size_t limit) const override {
    return store_.scan(begin, end, limit);
  }
  Result<void> commit(const Batch& batch) override {
    if (!batch.writes.empty()) ++commits;
    std::this_thread::sleep_for(std::chrono::milliseconds(200));  // time enough for the others
    return store_.commit(batch);
  }
  Result<void> purge(const std::vector<KeyRange>& ranges) override { return store_.purge(ranges); }

  std::atomic<int> commits = 0;

 private:
  static bool& has_read() {
    thread_local bool read = false;
    return read;
  }
  Store& store_;
  mutable std::latch readers_;
};

struct Setup {
  TestServices test;
  TestRepository repository{test.services};
  Router router;
  Setup() { add_release_routes(router, test.services); }

  void add_under_next_key(const NewImage& function) {
    std::swap(test.keys.licence, test.keys.next["licence"]);
    repository.add(function);
    std::swap(test.keys.licence, test.keys.next["licence"]);
  }

  ErrorCode refused() {
    const std::string before = published();
    const auto result = repository.publish();
    REQUIRE_FALSE(result);
    INFO(result.error().message());
    CHECK(published() == before);  // nothing of it was written
    CHECK(open_jobs(*test.store, 10)->empty());
    return result.error().code();
  }
  std::string token_of(Role role) {
    const auto made = commit_with_retry(*test.store, [&](Change& change) {
      return create_account(change, {.name = "somebody", .role = role, .email = {}},
                            test.clock.now());
    });
    return made.value().token;
  }
  std::string published() {
    return body_of(ask(router, {.path = std::string(kMetadata) + "timestamp.json"}));
  }
};

}  // namespace

TEST_CASE("a seeded Image repository is complete for a client, and is seeded once") {
  Setup setup;
  manifest::TrustedRepository client = fresh_client(setup.repository);
  REQUIRE(refresh_over(setup.router, kMetadata, {}, client, setup.test.clock.now()));
  CHECK((*client.targets())->version == 1);
  CHECK((*client.targets())->targets.empty());
  const auto again = seed_repositories(*setup.test.store, setup.test.keys, setup.repository.first(),
                                       setup.test.clock.now());
  CHECK(again.error().code() == ErrorCode::kAlreadyExists);
}

TEST_CASE("published targets reach a new client and one that has the set before") {
  Setup setup;
  manifest::TrustedRepository client = fresh_client(setup.repository);
  REQUIRE(refresh_over(setup.router, kMetadata, {}, client, setup.test.clock.now()));
  setup.repository.add({.name = "maps/DE/1.tar", .bytes = "the region"});
  const auto publication = setup.repository.publish();
  REQUIRE(publication);
  CHECK(publication->version == 2);
  CHECK(publication->new_images == std::vector<std::string>{"maps/DE/1.tar"});
  CHECK(publication->jobs == 1);

  const auto refreshed = refresh_over(setup.router, kMetadata, {}, client, setup.test.clock.now());
  REQUIRE(refreshed);
  CHECK(refreshed->files ==
        std::vector<std::string>{"timestamp.json", "2.snapshot.json", "2.targets.json"});
  CHECK((*client.targets())->targets.contains("maps/DE/1.tar"));
  manifest::TrustedRepository late = fresh_client(setup.repository);
  REQUIRE(refresh_over(setup.router, kMetadata, {}, late, setup.test.clock.now()));
  CHECK((*late.targets())->version == 2);

  const auto image = server::image(*setup.test.store, "maps/DE/1.tar");
  REQUIRE(image->has_value());
  CHECK((*image)->entry.facts.release_counter == 1);
  CHECK((*image)->target ==
        setup.repository.entry_of({.name = "maps/DE/1.tar", .bytes = "the region"}));
}

TEST_CASE("the same targets once more change nothing: an answer that got lost can be asked again") {
  Setup setup;
  setup.repository.add({.name = "maps/DE/1.tar", .bytes = "the region"});
  const std::string document = setup.repository.sign();
  REQUIRE(publish_targets(setup.test.services, as_bytes(document)));
  const std::string before = setup.published();
  const auto again = publish_targets(setup.test.services, as_bytes(document));
  REQUIRE(again);
  CHECK(again->version == 2);
  CHECK(again->jobs == 0);
  CHECK(setup.published() == before);
}

TEST_CASE("targets that a car would refuse, or that promise what is not there, are refused") {
  Setup setup;
  const NewImage image{.name = "maps/DE/1.tar", .bytes = "the region"};

  SECTION("a version that skips one") {
    setup.repository.next.version = 3;
    CHECK(setup.refused() == ErrorCode::kRollback);
  }
  SECTION("the present version with other content") {
    setup.repository.next.version = 1;
    setup.repository.next.expires -= 1;
    CHECK(setup.refused() == ErrorCode::kRollback);
  }
  SECTION("expired") {
    setup.repository.next.expires = setup.test.clock.now();
    CHECK(setup.refused() == ErrorCode::kFreeze);
  }
  SECTION("signed by another key") {
    const auto other = crypto::MemorySigner::generate();
    const std::string before = setup.published();
    const auto result =
        publish_targets(setup.test.services, as_bytes(setup.repository.sign(*other)));
    CHECK(result.error().code() == ErrorCode::kBadSignature);
    CHECK(setup.published() == before);
  }
  SECTION("signed by an online key of the server") {
    const auto result = publish_targets(
        setup.test.services, as_bytes(setup.repository.sign(*setup.test.keys.image_snapshot)));
    CHECK(result.error().code() == ErrorCode::kBadSignature);
  }
  SECTION("an image that was never uploaded") {
    setup.repository.next.targets[image.name] = setup.repository.entry_of(image);
    CHECK(setup.refused() == ErrorCode::kNotFound);
  }
  SECTION("a length that the bytes do not have") {
    setup.repository.add(image);
    setup.repository.next.targets[image.name].length += 1;
    CHECK(setup.refused() == ErrorCode::kWrongImage);
  }
  SECTION("a SHA-512 that the bytes do not have") {
    setup.repository.add(image);
    (*setup.repository.next.targets[image.name].hashes.sha512)[0] ^= 1;
    CHECK(setup.refused() == ErrorCode::kWrongImage);
  }
  SECTION("mustMatch that is nonsense") {
    setup.repository.add(image);
    std::string& custom = setup.repository.next.targets[image.name].custom;
    const std::size_t at = custom.find("map.DE");
    REQUIRE(at != std::string::npos);
    custom.replace(at, 6, "map.FR");  // the slot of another region
    CHECK(setup.refused() == ErrorCode::kBadFormat);
  }
  SECTION("a function that obeys a licence key that is not ours") {
    const NewImage function{.name = "functions/acc/1.pkg", .bytes = "code"};
    setup.repository.add(function);
    std::string& custom = setup.repository.next.targets[function.name].custom;
    const std::string ours = setup.test.keys.licence->public_part().value;
    const std::size_t at = custom.find(ours);
    REQUIRE(at != std::string::npos);
    custom.replace(at, ours.size(), setup.test.keys.image_snapshot->public_part().value);
    CHECK(setup.refused() == ErrorCode::kBadFormat);
  }
  SECTION("no JSON") {
    CHECK(publish_targets(setup.test.services, as_bytes("{}")).error().code() ==
          ErrorCode::kBadFormat);
    CHECK(publish_targets(setup.test.services, as_bytes("[")).error().code() ==
          ErrorCode::kBadJson);
  }
}

TEST_CASE("a function that names the next licence key does not go back to the one before") {
  Setup setup;
  setup.test.keys.next["licence"] = crypto::MemorySigner::generate();
  const NewImage third{.name = "functions/acc/3.pkg", .bytes = "late", .release_counter = 3};
  setup.repository.add({.name = "functions/acc/1.pkg", .bytes = "old"});
  setup.add_under_next_key({.name = "functions/acc/2.pkg", .bytes = "new", .release_counter = 2});
  SECTION("with a later publication") {
    REQUIRE(setup.repository.publish());
    run_all_jobs(setup.test.services);
    setup.repository.add(third);
    CHECK(setup.refused() == ErrorCode::kBadFormat);
  }
  SECTION("nor where the release with the next key was taken back meanwhile") {
    REQUIRE(setup.repository.publish());
    setup.repository.next.targets.erase("functions/acc/2.pkg");
    REQUIRE(setup.repository.publish());
    run_all_jobs(setup.test.services);
    setup.repository.add(third);
    CHECK(setup.refused() == ErrorCode::kBadFormat);
  }
  SECTION("nor with the same publication") {
    setup.repository.add(third);
    CHECK(setup.refused() == ErrorCode::kBadFormat);
  }
  setup.repository.next.targets.erase(third.name);
  setup.add_under_next_key(third);
  // Another function has not begun.
  setup.repository.add({.name = "functions/lka/1.pkg", .bytes = "lka"});
  CHECK(setup.repository.publish());
}

namespace {

// A licence key and the next one, in files.
struct TwoKeys : Setup {
  TwoKeys() {
    REQUIRE(test.disk.make_dirs(dir));
    keys.licence = std::move(create_online_keys(test.disk, dir, "pw").value().licence);
    keys.next["licence"] = create_next_key(test.disk, dir, "pw", "licence").value();
  }
  bool waits() {
    REQUIRE(promote_next_keys(test.services, dir, keys));
    return keys.next.contains("licence");
  }
  const std::string dir = test.dir.path() + "/keys";
  OnlineKeys& keys = test.keys;
};

}  // namespace

TEST_CASE("the next licence key takes its place once functions name it, and none the present one") {
  TwoKeys setup;
  RealDisk& disk = setup.test.disk;
  auto& keys = setup.keys;
  const auto former = manifest::PublicKey::of(*keys.licence);
  const auto next = manifest::PublicKey::of(*keys.next["licence"]);
  CHECK(create_next_key(disk, setup.dir, "pw", "licence").error().code() ==
        ErrorCode::kAlreadyExists);
  CHECK(create_next_key(disk, setup.dir, "pw", "audit").error().code() ==
        ErrorCode::kInvalidArgument);
  setup.repository.add({.name = "functions/acc/1.pkg", .bytes = "old"});
  REQUIRE(setup.repository.publish());
  CHECK(setup.waits());
  setup.add_under_next_key({.name = "functions/acc/2.pkg", .bytes = "new", .release_counter = 2});
  REQUIRE(setup.repository.publish());
  CHECK(setup.waits());
  setup.repository.next.targets.erase("functions/acc/1.pkg");
  REQUIRE(setup.repository.publish());
  CHECK(!setup.waits());
  // The former one still signs for cars that do not know the next one, and no release names it.
  const OnlineKeys again = load_online_keys(disk, setup.dir, "pw").value();
  CHECK(again.next.empty());
  for (const OnlineKeys* held : {&std::as_const(keys), &again}) {
    CHECK(manifest::PublicKey::of(*held->licence) == next);
    REQUIRE(licence_signer(*held, former) != nullptr);
    CHECK(manifest::PublicKey::of(*licence_signer(*held, former)) == former);
    CHECK(!is_for_releases(*held, former));
    CHECK(is_for_releases(*held, next));
  }
}

TEST_CASE("a licence key stays where a function that names it is a supplier's that only expired") {
  TwoKeys setup;
  Supplier acme("acme");
  acme.next.expires = setup.test.clock.now() + kDaySeconds;
  delegate(setup.repository.next, acme, {.paths = {"functions/*/*"}});
  setup.add_under_next_key({.name = "functions/lka/1.pkg", .bytes = "ours"});
  REQUIRE(setup.repository.publish());
  setup.repository.add(acme, {.name = "functions/acc/1.pkg", .bytes = "theirs"});
  REQUIRE(setup.repository.publish(acme));
  setup.test.clock.advance(kDaySeconds);
  REQUIRE(setup.repository.publish());
  REQUIRE(availability(*setup.test.store, "functions/acc/1.pkg") == Availability::kWithdrawn);
  CHECK(setup.waits());
}

TEST_CASE("an image never changes, and release counters rise per slot and hardware") {
  Setup setup;
  setup.repository.add({.name = "maps/DE/1.tar", .bytes = "one", .release_counter = 5});
  REQUIRE(setup.repository.publish());
  run_all_jobs(setup.test.services);

  SECTION("other bytes under the same name") {
    setup.repository.add({.name = "maps/DE/1.tar", .bytes = "two", .release_counter = 5});
    CHECK(setup.refused() == ErrorCode::kConflict);
  }
  SECTION("other facts under the same name") {
    setup.repository.add({.name = "maps/DE/1.tar", .bytes = "one", .release_counter = 6});
    CHECK(setup.refused() == ErrorCode::kConflict);
  }
  SECTION("a counter that was reached already") {
    setup.repository.add({.name = "maps/DE/2.tar", .bytes = "two", .release_counter = 5});
    CHECK(setup.refused() == ErrorCode::kImageRollback);
  }
  SECTION("two images with one counter at once") {
    setup.repository.add({.name = "maps/DE/2.tar", .bytes = "two", .release_counter = 6});
    setup.repository.add({.name = "maps/DE/3.tar", .bytes = "three", .release_counter = 6});
    CHECK(setup.refused() == ErrorCode::kImageRollback);
  }
  SECTION("another hardware and another slot count by themselves") {
    setup.repository.add({.name = "maps/DE/1-hu5.tar", .bytes = "two", .hardware_ids = {"hu-5"}});
    setup.repository.add({.name = "maps/FR/1.tar", .bytes = "three"});
    CHECK(setup.repository.publish());
  }
  SECTION("a withdrawn image keeps its name and counter used up") {
    setup.repository.next.targets.clear();
    const auto withdrawn = setup.repository.publish();
    REQUIRE(withdrawn);
    CHECK(withdrawn->withdrawn == std::vector<std::string>{"maps/DE/1.tar"});
    run_all_jobs(setup.test.services);
    CHECK(availability(*setup.test.store, "maps/DE/1.tar") == Availability::kWithdrawn);
    setup.repository.add({.name = "maps/DE/1.tar", .bytes = "two", .release_counter = 7});
    CHECK(setup.refused() == ErrorCode::kConflict);
    setup.repository.next.targets.clear();
    setup.repository.add({.name = "maps/DE/2.tar", .bytes = "two", .release_counter = 5});
    CHECK(setup.refused() == ErrorCode::kImageRollback);
    setup.repository.next.targets.clear();
    setup.repository.add({.name = "maps/DE/1.tar", .bytes = "one", .release_counter = 5});
    REQUIRE(setup.repository.publish());  // listed again, as it was
    CHECK(availability(*setup.test.store, "maps/DE/1.tar") == Availability::kAvailable);
  }
}

TEST_CASE("facts for other rooms: newest image, availability, payloads") {
  Setup setup;
  const auto slot = manifest::Slot::parse("map.DE").value();
  const auto hardware = manifest::HardwareId::parse("hu-4").value();
  CHECK_FALSE(newest_image(*setup.test.store, slot, hardware)->has_value());
  CHECK(availability(*setup.test.store, "maps/DE/1.tar") == Availability::kUnknown);
  setup.repository.add({.name = "maps/DE/1.tar", .bytes = "one", .release_counter = 9});
  setup.repository.add({.name = "maps/DE/2.tar", .bytes = "two", .release_counter = 10});
  REQUIRE(setup.repository.publish());
  CHECK((*newest_image(*setup.test.store, slot, hardware))->entry.name.text() == "maps/DE/2.tar");
  CHECK(availability(*setup.test.store, "maps/DE/2.tar") == Availability::kNoPayloadYet);
  run_all_jobs(setup.test.services);
  CHECK(availability(*setup.test.store, "maps/DE/2.tar") == Availability::kAvailable);
  setup.repository.next.targets.erase("maps/DE/2.tar");
  REQUIRE(setup.repository.publish());
  CHECK((*newest_image(*setup.test.store, slot, hardware))->entry.name.text() == "maps/DE/1.tar");
}

TEST_CASE("timestamp and snapshot are signed anew before they expire") {
  Setup setup;
  setup.repository.add({.name = "maps/DE/1.tar", .bytes = "one"});
  REQUIRE(setup.repository.publish());
  manifest::TrustedRepository client = fresh_client(setup.repository);
  const std::string first = setup.published();
  manifest::Version snapshot = 0;
  // Eleven months of a client that comes once in six days: it never sees anything expired.
  for (int days = 0; days < 330; days += 6) {
    INFO("day " << days);
    REQUIRE(refresh_over(setup.router, kMetadata, {}, client, setup.test.clock.now()));
    CHECK(client.check_current(setup.test.clock.now()));
    CHECK((*client.snapshot())->expires - setup.test.clock.now() > kTimestampLifeSeconds);
    snapshot = (*client.snapshot())->version;
    CHECK(setup.published() == setup.published());  // within half its life the very same bytes
    setup.test.clock.advance(6 * kDaySeconds);
  }
  CHECK(setup.published() != first);
  CHECK(snapshot > 10);  // about twice a month
  CHECK(snapshot < 30);
  CHECK((*client.targets())->version == 2);
}

TEST_CASE("requests that come together have one of them sign the timestamp anew") {
  Setup setup;
  constexpr int kCars = 4;
  CrowdedStore store(*setup.test.store, kCars);
  Services services{.store = store,
                    .payloads = *setup.test.payloads,
                    .disk = setup.test.disk,
                    .clock = setup.test.clock,
                    .keys = setup.test.keys,
                    .vehicle_authority = setup.test.vehicle_authority,
                    .data_dir = {},
                    .public_base_url = {}};
  const std::string before = setup.published();
  setup.test.clock.advance(6 * kDaySeconds);
  std::vector<std::string> answers(kCars);
  std::vector<std::jthread> cars;
  for (std::string& answer : answers)
    cars.emplace_back([&answer, &services] {
      if (auto timestamp = image_timestamp(services)) answer = std::move(*timestamp);
    });
  cars.clear();  // all have come back
  CHECK(store.commits == 1);
  CHECK(answers.front() != before);
  for (const std::string& answer : answers) CHECK(answer == answers.front());
}

TEST_CASE("over HTTP: ETags, 304, immutable numbered files, 404 for what is not there") {
  Setup setup;
  setup.repository.add({.name = "maps/DE/1.1.60.tar", .bytes = "the region"});
  REQUIRE(setup.repository.publish());
  const std::string timestamp = std::string(kMetadata) + "timestamp.json";
  const Response first = ask(setup.router, {.path = timestamp});
  REQUIRE(first.status == 200);
  const std::string etag = first.headers.at("ETag");
  CHECK(first.headers.at("Cache-Control") == "no-cache");
  for (const std::string& tag : {etag, "W/" + etag, "\"x\", " + etag, std::string("*")}) {
    const Response same =
        ask(setup.router, {.path = timestamp, .headers = {{"if-none-match", tag}}});
    CHECK(same.status == 304);
    CHECK(body_of(same).empty());
  }
  CHECK(ask(setup.router, {.path = timestamp, .headers = {{"if-none-match", "\"x\""}}}).status ==
        200);

  const Response root = ask(setup.router, {.path = std::string(kMetadata) + "1.root.json"});
  CHECK(body_of(root) == as_text(setup.repository.first().image_root));
  CHECK(root.headers.at("Cache-Control") == "public, max-age=31536000, immutable");
  for (const char* name :
       {"2.root.json", "3.targets.json", "01.root.json", "root.json", "0.root.json",
        "1.timestamp.json", "99999999999999999999.root.json", "1.root.json.txt"})
    CHECK(ask(setup.router, {.path = std::string(kMetadata) + name}).status == 404);

  const std::string hash = to_hex(crypto::sha256(as_bytes("the region")));
  const std::string targets = "/v1/repositories/image/targets/maps/DE/";
  const Response image = ask(setup.router, {.path = targets + hash + ".1.1.60.tar"});
  REQUIRE(image.status == 200);
  CHECK(std::get<FilePart>(image.body).length == 10);
  const Response part = ask(
      setup.router, {.path = targets + hash + ".1.1.60.tar", .headers = {{"range", "bytes=4-"}}});
  CHECK(part.status == 206);
  CHECK(std::get<FilePart>(part.body).offset == 4);
  const std::string sha512 = to_hex(crypto::sha512(as_bytes("the region")));
  CHECK(ask(setup.router, {.path = targets + sha512 + ".1.1.60.tar"}).status == 200);
  CHECK(ask(setup.router, {.path = targets + "1.1.60.tar"}).status == 404);
  CHECK(ask(setup.router, {.path = targets + hash + ".1.1.61.tar"}).status == 404);
  CHECK(ask(setup.router, {.path = targets + std::string(64, '0') + ".1.1.60.tar"}).status == 404);
}

TEST_CASE("only an operator publishes and sees the jobs") {
  Setup setup;
  const auto put = [&](const std::map<std::string, std::string>& headers) {
    return ask(setup.router, {.method = Method::kPut,
                              .path = "/v1/repositories/image/targets",
                              .headers = headers,
                              .body = setup.repository.sign()});
  };
  setup.repository.add({.name = "maps/DE/1.tar", .bytes = "the region"});
  CHECK(put({}).status == 401);
  CHECK(put({{"authorization", "Bearer lt_" + std::string(64, '0')}}).status == 401);
  CHECK(put({{"authorization", "Bearer " + setup.token_of(Role::kOwner)}}).status == 403);
  CHECK(put({{"authorization", "Bearer " + setup.token_of(Role::kPartner)}}).status == 403);
  const std::string bearer = "Bearer " + setup.token_of(Role::kOperator);
  const Response published = put({{"authorization", bearer}});
  REQUIRE(published.status == 200);
  const auto answer = manifest::parse_strict(as_bytes(body_of(published)), {1000}).value();
  CHECK(answer["version"] == 2);
  CHECK(answer["jobs"] == 1);

  CHECK(ask(setup.router, {.path = "/v1/payload-jobs"}).status == 401);
  const Response jobs =
      ask(setup.router, {.path = "/v1/payload-jobs", .headers = {{"authorization", bearer}}});
  REQUIRE(jobs.status == 200);
  const auto list = manifest::parse_strict(as_bytes(body_of(jobs)), {10'000}).value()["jobs"];
  REQUIRE(list.size() == 1);
  CHECK(list[0]["state"] == "queued");
  CHECK(list[0]["kind"] == "full");
  CHECK(list[0]["image"] == "maps/DE/1.tar");
}

TEST_CASE("a failed job is queued again by an operator alone") {
  Setup setup;
  setup.repository.add({.name = "maps/DE/1.tar", .bytes = "the region"});
  REQUIRE(setup.repository.publish());
  const std::string id = list_jobs(*setup.test.store, "", 1)->front().id;
  const std::string bearer = "Bearer " + setup.token_of(Role::kOperator);
  const std::string retry = "/v1/payload-jobs/" + id + "/retry";
  const auto post = [&](const std::string& path,
                        const std::map<std::string, std::string>& headers) {
    return ask(setup.router, {.method = Method::kPost, .path = path, .headers = headers});
  };
  CHECK(post(retry, {}).status == 401);
  CHECK(post(retry, {{"authorization", "Bearer " + setup.token_of(Role::kOwner)}}).status == 403);
  CHECK(post(retry, {{"authorization", bearer}}).status == 409);
  CHECK(post("/v1/payload-jobs/none/retry", {{"authorization", bearer}}).status == 404);
  const auto given_up = commit_with_retry(*setup.test.store, [&](Change& change) -> Result<void> {
    PayloadJob job = load_job(change, id).value();
    job.state = JobState::kFailed;
    save_job(change, job);
    return {};
  });
  REQUIRE(given_up);
  const Response again = post(retry, {{"authorization", bearer}});
  CHECK(again.status == 200);
  CHECK_THAT(body_of(again), Catch::Contains(R"("state":"queued")"));
  CHECK(open_jobs(*setup.test.store, 10)->size() == 1);
}

TEST_CASE("nobody else's five megabytes of targets are even read") {
  Setup setup;
  Request request;
  request.method = Method::kPut;
  request.path = "/v1/repositories/image/targets";
  const Route* route = setup.router.match(request);
  REQUIRE(route);
  REQUIRE(route->admit);
  REQUIRE(route->admit(request));
  CHECK(route->admit(request)->status == 401);
  request.headers["authorization"] = "Bearer " + setup.token_of(Role::kOperator);
  CHECK_FALSE(route->admit(request));
}

TEST_CASE("P1.6: packages of functions are fetched by operators and partners alone") {
  Setup setup;
  setup.repository.add({.name = "functions/cruise/1.0.pkg", .bytes = "the package"});
  setup.repository.publish_and_make_payloads();
  const std::string path = "/v1/repositories/image/targets/functions/cruise/" +
                           to_hex(crypto::sha256(as_bytes("the package"))) + ".1.0.pkg";
  const auto status = [&](const std::map<std::string, std::string>& headers) {
    return ask(setup.router, {.path = path, .headers = headers}).status;
  };
  CHECK(status({}) == 401);
  CHECK(status({{"authorization", "Bearer " + setup.token_of(Role::kOwner)}}) == 403);
  CHECK(status({{"authorization", "Bearer " + setup.token_of(Role::kPartner)}}) == 200);
  CHECK(status({{"authorization", "Bearer " + setup.token_of(Role::kOperator)}}) == 200);
}
