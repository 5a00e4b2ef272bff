#include "server/director/director_metadata.h"

#include <catch2/catch.hpp>
#include <thread>

#include "manifest/json_value.h"
#include "manifest/server_time.h"
#include "server/director/director_keys.h"
#include "server/director/licence_issuer.h"
#include "server/director/online_keys.h"
#include "server/director/routes.h"
#include "server/fleet/json_answer.h"
#include "server/fleet/vehicle_state.h"
#include "server/release/payload_worker.h"
#include "server/release/release_keys.h"
#include "server/release/routes.h"
#include "tests/server/release/test_repository.h"

using namespace layby;
using namespace layby::server;
using namespace layby::tests;
using manifest::Json;

namespace {

constexpr const char* kDirector = "/v1/vehicle/director/";
constexpr const char* kImages = "/v1/repositories/image/metadata/";

// Counts what reaches the store, and can let another change happen just before a commit.
class CountingStore final : public Store {
 public:
  explicit CountingStore(Store& real) : real_(real) {}
  mutable int gets = 0;
  mutable int scans = 0;
  int commits = 0;
  std::function<void()> before_commit;

  Result<std::optional<std::string>> get(std::string_view key) const override {
    ++gets;
    return real_.get(key);
  }
  Result<std::vector<KeyValue>> scan(std::string_view begin, std::string_view end,
                                     std::size_t limit) const override {
    ++scans;
    return real_.scan(begin, end, limit);
  }
  Result<void> commit(const Batch& batch) override {
    ++commits;
    if (const auto action = std::exchange(before_commit, {})) action();
    return real_.commit(batch);
  }
  Result<void> purge(const std::vector<KeyRange>& ranges) override { return real_.purge(ranges); }

 private:
  Store& real_;
};

manifest::Vin vin_of(int car) {
  return manifest::Vin::parse("WVWZZZ1JZXW00000" + std::to_string(car)).value();
}

struct TestCar {
  manifest::Vin vin;
  PeerCertificate peer;
  crypto::SealKeyPair seal = crypto::generate_seal_keys();
  manifest::TrustedRepository director;
  manifest::TrustedRepository images;
};

struct Setup {
  TestServices test;
  CountingStore store{*test.store};
  Services services{.store = store,
                    .payloads = *test.payloads,
                    .disk = test.disk,
                    .clock = test.clock,
                    .keys = test.keys,
                    .vehicle_authority = test.vehicle_authority,
                    .data_dir = test.dir.path(),
                    .public_base_url = "https://127.0.0.1:8443"};
  TestRepository repository{services};
  Router router;

  Setup() {
    add_director_routes(router, services);
    add_release_routes(router, services);
    repository.add({.name = "maps/DE/1.tar", .bytes = "DE one", .release_counter = 1});
    repository.add({.name = "maps/FR/1.tar", .bytes = "FR one", .release_counter = 1});
    repository.publish_and_make_payloads();
  }

  // Registered and paired.
  TestCar make_car(int number) {
    const manifest::Vin vin = vin_of(number);
    const auto root = [](const Bytes& bytes) {
      return manifest::TrustedRepository::load(
                 {.root = bytes, .timestamp = {}, .snapshot = {}, .targets = {}})
          .value();
    };
    TestCar car{.vin = vin,
                .peer = {vin.text(), crypto::sha256(as_bytes("certificate " + vin.text()))},
                .director = root(repository.first().director_root),
                .images = root(repository.first().image_root)};
    pair(car);
    return car;
  }

  void pair(const TestCar& car) {
    const auto serial = manifest::EcuSerial::parse("HU-" + car.vin.text().substr(11)).value();
    const auto key = crypto::MemorySigner::generate();
    const Car record{
        .vin = car.vin,
        .model = "m1",
        .model_year = 2026,
        .country = "DE",
        .hardware = {},
        .ecus = {{serial, manifest::HardwareId::parse("hu-4").value(), key->public_key()}},
        .registered_at = test.clock.now(),
        .pairing = Pairing{.owner = "acc_1",
                           .primary = serial,
                           .certificate = car.peer.fingerprint,
                           .seal_key = car.seal.public_key,
                           .paired_at = test.clock.now()}};
    const Batch batch{{},
                      {{car_key(car.vin), encode_car(record)},
                       {director_timestamp_key(car.vin.text()), std::nullopt}}};
    REQUIRE(test.store->commit(batch));
  }

  manifest::OrderId new_order() { return manifest::OrderId::generate(test.clock.now()); }

  // As the shop does it: both in one commit.
  void desire(const TestCar& car, const Json& orders) {
    const Json desired{{"revision", 1}, {"orders", orders}};
    const Batch batch{{},
                      {{desired_key(car.vin.text()), to_stored(desired)},
                       {director_timestamp_key(car.vin.text()), std::nullopt}}};
    REQUIRE(test.store->commit(batch));
  }
  Json install(const std::vector<std::string>& images) {
    return {{"id", new_order().text()}, {"action", "install"}, {"images", images}};
  }

  // What an agent does in one poll.
  Result<manifest::VerifiedPlan> poll(TestCar& car) {
    const UnixSeconds now = test.clock.now();
    TRY_VOID(refresh_over(router, kDirector, car.peer, car.director, now));
    TRY_VOID(refresh_over(router, kImages, std::nullopt, car.images, now));
    const auto serial = manifest::EcuSerial::parse("HU-" + car.vin.text().substr(11)).value();
    return manifest::verify_plan(car.director, car.images,
                                 {.vin = car.vin,
                                  .ecus = {{serial, manifest::HardwareId::parse("hu-4").value()}},
                                  .release_counters = {}},
                                 now);
  }
};

std::vector<std::string> ids_of(const manifest::VerifiedPlan& plan) {
  std::vector<std::string> ids;
  for (const manifest::PlannedOrder& order : plan.orders()) ids.push_back(order.id.text());
  return ids;
}

}  // namespace

TEST_CASE("P5.1 a car's first refresh, one with nothing new, and one after a change") {
  Setup setup;
  TestCar car = setup.make_car(1);
  auto plan = setup.poll(car);
  REQUIRE(plan);
  CHECK(plan->orders().empty());
  CHECK(plan->director_version() == 1);

  const auto nothing_new =
      refresh_over(setup.router, kDirector, car.peer, car.director, setup.test.clock.now());
  REQUIRE(nothing_new);
  CHECK(nothing_new->files == std::vector<std::string>{"timestamp.json"});

  const Json order = setup.install({"maps/DE/1.tar", "maps/FR/1.tar"});
  setup.desire(car, Json::array({order}));
  plan = setup.poll(car);
  REQUIRE(plan);
  CHECK(plan->director_version() == 2);
  REQUIRE(plan->orders().size() == 1);
  CHECK(plan->orders()[0].id.text() == order["id"]);
  REQUIRE(plan->orders()[0].images.size() == 2);
  const manifest::PlannedImage& image = plan->orders()[0].images[0];
  CHECK(image.entry.name.text() == "maps/DE/1.tar");
  REQUIRE(image.payloads.size() == 1);
  CHECK(setup.test.payloads->open(image.payloads[0].sha256));
  CHECK(setup.poll(car)->director_version() == 2);
}

TEST_CASE("a poll with nothing new is one point read and no write") {
  Setup setup;
  TestCar car = setup.make_car(1);
  setup.desire(car, Json::array({setup.install({"maps/DE/1.tar"})}));
  REQUIRE(setup.poll(car));
  const std::string timestamp = std::string(kDirector) + "timestamp.json";
  const Response full = ask(setup.router, {.path = timestamp, .peer = car.peer});
  REQUIRE(full.status == 200);
  CHECK(full.headers.at("Cache-Control") == "private, no-cache");

  setup.store.gets = setup.store.scans = setup.store.commits = 0;
  const Response same = ask(setup.router, {.path = timestamp,
                                           .headers = {{"if-none-match", full.headers.at("ETag")}},
                                           .peer = car.peer});
  CHECK(same.status == 304);
  CHECK(body_of(same).empty());
  CHECK(setup.store.gets == 1);
  CHECK(setup.store.scans == 0);
  CHECK(setup.store.commits == 0);
}

TEST_CASE("a car's metadata is for that car alone") {
  Setup setup;
  TestCar one = setup.make_car(1);
  TestCar two = setup.make_car(2);
  setup.desire(one, Json::array({setup.install({"maps/DE/1.tar"})}));
  setup.desire(two, Json::array({setup.install({"maps/FR/1.tar"})}));
  REQUIRE(setup.poll(one)->orders().size() == 1);
  REQUIRE(setup.poll(two)->orders().size() == 1);
  const std::string targets = std::string(kDirector) + "1.targets.json";
  const std::string of_one = body_of(ask(setup.router, {.path = targets, .peer = one.peer}));
  CHECK(of_one.find(one.vin.text()) != std::string::npos);
  for (const char* file : {"timestamp.json", "1.snapshot.json"}) {
    INFO(file);
    const std::string document =
        body_of(ask(setup.router, {.path = std::string(kDirector) + file, .peer = one.peer}));
    CHECK(document.find(one.vin.text()) != std::string::npos);
  }
  const Response of_two = ask(setup.router, {.path = targets, .peer = two.peer});
  CHECK(body_of(of_two).find(two.vin.text()) != std::string::npos);
  CHECK(body_of(of_two).find(one.vin.text()) == std::string::npos);

  for (const char* file : {"timestamp.json", "1.snapshot.json", "1.targets.json", "1.root.json"}) {
    INFO(file);
    const std::string path = std::string(kDirector) + file;
    CHECK(ask(setup.router, {.path = path}).status == 401);
    // The name of one car on the certificate of another: never issued, but never believed either.
    const PeerCertificate forged{one.vin.text(), two.peer.fingerprint};
    CHECK(ask(setup.router, {.path = path, .peer = forged}).status == 401);
    CHECK(ask(setup.router, {.path = path, .peer = PeerCertificate{"no VIN", {}}}).status == 401);
    // No query and no header can name another car.
    const Response asked = ask(setup.router, {.path = path,
                                              .headers = {{"x-vin", one.vin.text()}},
                                              .peer = two.peer,
                                              .query = {{"vin", one.vin.text()}}});
    CHECK(body_of(asked) == body_of(ask(setup.router, {.path = path, .peer = two.peer})));
  }
  // The whole valid bundle of one car, played to another: the car itself refuses it.
  TestCar confused = setup.make_car(2);
  confused.peer = one.peer;
  CHECK(setup.poll(confused).error().code() == ErrorCode::kWrongVehicle);
}

TEST_CASE("pairing a car again ends its old certificate at once, cached metadata or not") {
  Setup setup;
  TestCar car = setup.make_car(1);
  REQUIRE(setup.poll(car));
  const PeerCertificate old = car.peer;
  const std::string timestamp = std::string(kDirector) + "timestamp.json";
  CHECK(ask(setup.router, {.path = timestamp, .peer = old}).status == 200);
  car.peer.fingerprint = crypto::sha256(as_bytes("another certificate"));
  setup.pair(car);
  CHECK(ask(setup.router, {.path = timestamp, .peer = old}).status == 401);
  CHECK(setup.poll(car));
  CHECK(ask(setup.router, {.path = timestamp, .peer = old}).status == 401);
}

TEST_CASE("an order waits for its payload and comes through when the job is done") {
  Setup setup;
  TestCar car = setup.make_car(1);
  setup.repository.add({.name = "maps/DE/2.tar", .bytes = "DE two", .release_counter = 2});
  REQUIRE(setup.repository.publish());
  const Json ready = setup.install({"maps/FR/1.tar"});
  const Json waiting = setup.install({"maps/DE/2.tar"});
  setup.desire(car, Json::array({waiting, ready}));
  auto plan = setup.poll(car);
  REQUIRE(plan);
  CHECK(ids_of(*plan) == std::vector<std::string>{ready["id"]});
  auto held = held_orders(*setup.test.store, car.vin).value();
  REQUIRE(held.size() == 1);
  CHECK(held[0].order == waiting["id"]);
  CHECK(held[0].reason == "maps/DE/2.tar: no payload yet");

  run_all_jobs(setup.services);
  plan = setup.poll(car);
  REQUIRE(plan);
  CHECK(ids_of(*plan) == std::vector<std::string>{waiting["id"], ready["id"]});
  CHECK(plan->orders()[0].images[0].payloads.size() == 2);  // the delta and the whole
  CHECK(held_orders(*setup.test.store, car.vin)->empty());
}

TEST_CASE("a payload is offered where the car has the compressors that it needs") {
  Setup setup;
  TestCar car = setup.make_car(1);
  setup.repository.add({.name = "maps/DE/2.tar", .bytes = "DE two", .release_counter = 2});
  setup.repository.publish_and_make_payloads();
  const auto released = image(*setup.test.store, "maps/DE/2.tar").value();
  manifest::Payload delta = payloads_of(*setup.test.store, *released).value().front();
  REQUIRE(delta.base);
  delta.needs = {{"zstd", "1.5.4"}};
  const std::string key = payload_key(released->entry.sha256, delta.base);
  REQUIRE(setup.test.store->commit({{}, {{key, encode_payload(delta, 1)}}}));

  const Json orders = Json::array({setup.install({"maps/DE/2.tar"})});
  const auto offered_to = [&](const std::optional<manifest::ReEncoders>& re_encoders) {
    if (re_encoders)
      REQUIRE(commit_with_retry(*setup.test.store, [&](Change& change) -> Result<void> {
        VehicleState state;
        state.re_encoders = *re_encoders;
        save_vehicle_state(change, car.vin, state);
        return {};
      }));
    setup.desire(car, orders);
    const auto plan = setup.poll(car);
    REQUIRE(plan);
    return plan->orders().at(0).images.at(0).payloads;
  };
  CHECK(offered_to(std::nullopt).size() == 1);  // it has not spoken yet
  CHECK(offered_to(manifest::ReEncoders{}).size() == 1);
  CHECK(offered_to({{{"zstd", "1.5.5"}}}).size() == 1);
  const auto offered = offered_to({{{"lz4", "1.9.4"}, {"zstd", "1.5.4"}}});
  REQUIRE(offered.size() == 2);
  CHECK(offered[0] == delta);
  CHECK(offered[1].needs.empty());
}

TEST_CASE("a payload that is done while the car's metadata is being signed is not missed") {
  Setup setup;
  TestCar car = setup.make_car(1);
  setup.repository.add({.name = "maps/DE/2.tar", .bytes = "DE two", .release_counter = 2});
  REQUIRE(setup.repository.publish());
  setup.desire(car, Json::array({setup.install({"maps/DE/2.tar"})}));
  setup.store.before_commit = [&] { run_all_jobs(setup.test.services); };
  const auto plan = setup.poll(car);
  REQUIRE(plan);
  CHECK(plan->orders().size() == 1);
}

TEST_CASE("orders change while metadata is signed: the commit is lost and tried again") {
  Setup setup;
  TestCar car = setup.make_car(1);
  const Json first = setup.install({"maps/DE/1.tar"});
  const Json second = setup.install({"maps/FR/1.tar"});
  setup.desire(car, Json::array({first}));
  setup.store.before_commit = [&] { setup.desire(car, Json::array({first, second})); };
  setup.store.commits = 0;
  const auto plan = setup.poll(car);
  REQUIRE(plan);
  CHECK(setup.store.commits == 2);
  CHECK(ids_of(*plan) == std::vector<std::string>{first["id"], second["id"]});
  CHECK(plan->director_version() == 1);  // what lost was never seen
}

TEST_CASE("many polls of one car at once sign once") {
  Setup setup;
  TestCar car = setup.make_car(1);
  setup.desire(car, Json::array({setup.install({"maps/DE/1.tar"})}));
  std::vector<std::string> answers(8);
  {
    std::vector<std::jthread> threads;
    for (std::string& answer : answers)
      threads.emplace_back([&answer, &setup, &car] {
        const auto document = director_timestamp(setup.test.services, car.vin);
        if (document) answer = document->bytes;
      });
  }
  for (const std::string& answer : answers) {
    CHECK_FALSE(answer.empty());
    CHECK(answer == answers[0]);
  }
  REQUIRE(setup.poll(car));
  CHECK((*car.director.timestamp())->version == 1);
}

TEST_CASE("one order that cannot be carried out does not spoil the others") {
  Setup setup;
  TestCar car = setup.make_car(1);
  setup.repository.add({.name = "maps/IT/1.tar", .bytes = "IT", .hardware_ids = {"hu-5"}});
  setup.repository.add({.name = "maps/DE/2.tar", .bytes = "DE two", .release_counter = 2});
  setup.repository.publish_and_make_payloads();
  const Json good = setup.install({"maps/DE/1.tar"});
  const Json orders = Json::array({setup.install({"maps/NL/1.tar"}),                   // unknown
                                   setup.install({"maps/FR/1.tar", "maps/IT/1.tar"}),  // no ECU
                                   good, setup.install({"maps/DE/2.tar"}),  // the same slot
                                   setup.install({})});
  setup.desire(car, orders);
  auto plan = setup.poll(car);
  REQUIRE(plan);
  CHECK(ids_of(*plan) == std::vector<std::string>{good["id"]});
  const auto held = held_orders(*setup.test.store, car.vin).value();
  REQUIRE(held.size() == 4);
  CHECK(held[0].reason == "maps/NL/1.tar: unknown image");
  CHECK(held[1].reason == "maps/IT/1.tar: fits no ECU of the car");
  CHECK(held[2].reason == "maps/DE/2.tar: waits for an earlier order for the same slot");

  setup.desire(car, Json::array({orders[3]}));
  plan = setup.poll(car);
  REQUIRE(plan);
  CHECK(ids_of(*plan) == std::vector<std::string>{orders[3]["id"]});
}

TEST_CASE("a withdrawn image disappears from the metadata of the cars that want it") {
  Setup setup;
  TestCar car = setup.make_car(1);
  setup.desire(car, Json::array({setup.install({"maps/DE/1.tar"})}));
  REQUIRE(setup.poll(car)->orders().size() == 1);
  const manifest::Target gone = setup.repository.next.targets["maps/DE/1.tar"];
  setup.repository.next.targets.erase("maps/DE/1.tar");
  setup.repository.publish_and_make_payloads();
  CHECK(setup.poll(car)->orders().empty());
  setup.repository.next.targets["maps/DE/1.tar"] = gone;
  setup.repository.publish_and_make_payloads();
  CHECK(setup.poll(car)->orders().size() == 1);
}

TEST_CASE("licences and deactivations travel without images") {
  Setup setup;
  TestCar car = setup.make_car(1);
  const auto function = manifest::FunctionId::parse("adaptive-cruise").value();
  const manifest::OrderId order = setup.new_order();
  const auto licence = issue_licence(setup.services,
                                     {.vin = car.vin,
                                      .function = function,
                                      .order = order,
                                      .counter = 3,
                                      .state = manifest::LicenceState::kRevoked,
                                      .issued = 0,
                                      .until = std::nullopt},
                                     manifest::PublicKey::of(*setup.test.keys.licence),
                                     car.seal.public_key)
                           .value();
  setup.desire(car, Json::array({{{"id", order.text()},
                                  {"action", "deactivate"},
                                  {"images", Json::array()},
                                  {"licence", licence}}}));
  const auto plan = setup.poll(car);
  REQUIRE(plan);
  REQUIRE(plan->orders().size() == 1);
  CHECK(plan->orders()[0].action == manifest::OrderAction::kDeactivate);
  const manifest::LicenceExpectation expected{
      .vin = car.vin,
      .function = function,
      .licence_key = manifest::PublicKey::of(*setup.test.keys.licence),
      .newest = std::nullopt};
  const auto opened =
      manifest::open_licence(plan->orders()[0].licence, car.seal.secret_key, expected);
  REQUIRE(opened);
  CHECK((*opened)->counter == 3);
  CHECK((*opened)->issued == setup.test.clock.now());
  const TestCar other = setup.make_car(2);  // P1.3
  CHECK(manifest::open_licence(plan->orders()[0].licence, other.seal.secret_key, expected)
            .error()
            .code() == ErrorCode::kLicenceRefused);
}

TEST_CASE(
    "metadata is signed anew before it expires, and a refresh under way still finds its files") {
  Setup setup;
  TestCar car = setup.make_car(1);
  const Json order = setup.install({"maps/DE/1.tar"});
  setup.desire(car, Json::array({order}));
  REQUIRE(setup.poll(car));
  manifest::Version version = 1;
  for (int days = 6; days < 200; days += 6) {
    INFO("day " << days);
    setup.test.clock.advance(6 * kDaySeconds);
    const auto plan = setup.poll(car);
    REQUIRE(plan);
    CHECK(ids_of(*plan) == std::vector<std::string>{order["id"]});
    CHECK(plan->director_version() >= version);
    version = plan->director_version();
    CHECK((*car.director.targets())->expires - setup.test.clock.now() > kTimestampLifeSeconds);
  }
  CHECK(version > 8);  // every two or three weeks
  CHECK(version < 18);
  const auto file = [&](manifest::Version number) {
    const std::string path = std::string(kDirector) + std::to_string(number) + ".targets.json";
    return ask(setup.router, {.path = path, .peer = car.peer}).status;
  };
  CHECK(file(version) == 200);
  CHECK(file(version - 1) == 200);
  CHECK(file(version - 2) == 404);
  CHECK(file(version + 1) == 404);
}

TEST_CASE("server time is signed over the car's nonce") {
  Setup setup;
  TestCar car = setup.make_car(1);
  const manifest::TimeNonce nonce = manifest::make_time_nonce();
  const auto get = [&](const std::map<std::string, std::string>& query) {
    return ask(setup.router, {.path = "/v1/vehicle/time", .peer = car.peer, .query = query});
  };
  const Response response = get({{"nonce", to_hex(nonce)}});
  REQUIRE(response.status == 200);
  CHECK(response.headers.at("Cache-Control") == "no-store");
  const std::string body = body_of(response);
  CHECK(manifest::verify_server_time(as_bytes(body), nonce, car.director) ==
        setup.test.clock.now());
  CHECK(manifest::verify_server_time(as_bytes(body), manifest::make_time_nonce(), car.director)
            .error()
            .code() == ErrorCode::kReplay);
  CHECK(get({}).status == 400);
  CHECK(get({{"nonce", "00"}}).status == 400);
  CHECK(get({{"nonce", std::string(32, 'A')}}).status == 400);
  CHECK(
      ask(setup.router, {.path = "/v1/vehicle/time", .query = {{"nonce", to_hex(nonce)}}}).status ==
      401);
}
