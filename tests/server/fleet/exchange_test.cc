// An ECU is exchanged: the agent's side against the real server, with the power cut at each step.
#include <catch2/catch.hpp>

#include "agent/journal.h"
#include "agent/named_ecus.h"
#include "agent/pairing.h"
#include "crypto/certificate.h"
#include "tests/agent/memory_disk.h"
#include "tests/server/shop/shop_world.h"

using namespace layby;
using namespace layby::tests;
using manifest::Json;
using secondary::Message;
using secondary::MessageType;

namespace {

const std::string kCar = "/v1/cars/" + std::string(kVin);
const std::vector<std::string> kSockets{"/run/cam.sock", "/run/rad.sock"};

class RouterTransport final : public agent::Transport {
 public:
  explicit RouterTransport(ShopWorld& world) : world_(world) {}
  Result<agent::HttpResponse> exchange(const agent::HttpRequest& wanted,
                                       const agent::BodySink&) override {
    server::Request request;
    request.method = server::Method::kPost;
    request.path = wanted.path;
    request.body = wanted.body;
    request.peer = certificate;
    const server::Response answer = world_.router.handle(std::move(request));
    if (loses_answers) return fail(ErrorCode::kUnavailable, "the connection broke off");
    return agent::HttpResponse{
        .status = answer.status, .headers = {}, .body = std::get<std::string>(answer.body)};
  }
  std::optional<server::PeerCertificate> certificate;
  bool loses_answers = false;

 private:
  ShopWorld& world_;
};

class Sockets final : public agent::SecondaryLink {
 public:
  explicit Sockets(SimCar& car) : car_(car) {}
  Result<Message> ask(const std::string& address, const Message& question, std::int64_t) override {
    SimEcu& ecu = car_.secondaries[address == kSockets[0] ? 0 : 1];
    if (question.type == MessageType::kReport)
      return Message{MessageType::kDone, car_.new_report(ecu)};
    REQUIRE(question.type == MessageType::kStatus);
    const secondary::EcuStatus status{.serial = *manifest::EcuSerial::parse(ecu.serial),
                                      .hardware = *manifest::HardwareId::parse(ecu.hardware_id),
                                      .key = ecu.key->public_key()};
    return Message{MessageType::kDone, *secondary::encode(status)};
  }

 private:
  SimCar& car_;
};

// A car that the agent has paired, with a camera and a radar.
struct Workshop : ShopWorld {
  Workshop() : car(*this, kVin), transport(*this), link(car) {
    car.secondaries = {{"CAM-1", "cam-2"}, {"RAD-1", "rad-1"}};
    register_car(car);
    REQUIRE(disk.make_dirs(layout.directory()));
    REQUIRE(agent::make_keys(disk, layout));
    REQUIRE(agent::write_ecu_list(disk, layout, {.addresses = kSockets}));
    REQUIRE(agent::Journal::create(disk, layout.directory(), {}));
    REQUIRE(
        agent::write_identity(disk, layout,
                              {*manifest::Vin::parse(kVin), *manifest::EcuSerial::parse(car.serial),
                               *manifest::HardwareId::parse(car.hardware_id), "https://x"}));
    const Answered code = post("/v1/pairing-codes", owner_token);
    const auto paired =
        agent::pair(disk, layout, transport, code.body["code"].get<std::string>(), "", &link);
    INFO((paired ? "" : paired.error().message()));
    REQUIRE(paired);
    const Bytes pem = *read_file(disk, layout.certificate(), kMiB);
    const auto facts = crypto::read_certificate(std::string(as_text(pem)));
    REQUIRE(facts);
    transport.certificate = {.common_name = facts->common_name, .fingerprint = facts->fingerprint};
    car.certificate = *transport.certificate;
    car.key = std::shared_ptr<crypto::MemorySigner>(
        std::move(agent::read_keys(disk, layout).value().ecu));
  }
  void authorise() {
    REQUIRE(post(kCar + "/ecus/RAD-1/replacement", partner_token, {{"serial", "RAD-2"}}).status ==
            201);
  }
  Result<std::vector<agent::ReplacedEcu>> name_ecus() {
    return agent::name_ecus(disk, layout, transport, link);
  }
  std::string listed() {
    const MemoryDisk::Quiet quiet(disk);
    return agent::read_ecu_list(disk, layout).value().paired.at(1).serial.text();
  }
  MemoryDisk disk;
  const agent::Layout layout{"/state"};
  SimCar car;
  RouterTransport transport;
  Sockets link;
};

}  // namespace

TEST_CASE("an ECU that nobody has let in is refused, and the car is told why") {
  Workshop shop;
  CHECK(shop.car.report().status == 200);
  CHECK(shop.name_ecus()->empty());
  shop.car.secondaries[1] = SimEcu("RAD-2", "rad-1");
  const auto refused = shop.name_ecus();
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == ErrorCode::kForbidden);
  CHECK_THAT(refused.error().message(), Catch::Contains("built without RAD-2"));
  CHECK(shop.listed() == "RAD-1");
  shop.car.secondaries[1] = SimEcu("RAD-1", "rad-1");
  CHECK_THAT(shop.name_ecus().error().message(), Catch::Contains("another key"));
}

TEST_CASE("an authorised ECU is let in, and its list kept") {
  Workshop shop;
  shop.authorise();
  shop.car.secondaries[1] = SimEcu("RAD-2", "rad-1");
  const auto replaced = shop.name_ecus();
  REQUIRE(replaced);
  REQUIRE(replaced->size() == 1);
  CHECK(replaced->at(0).old_serial == "RAD-1");
  CHECK(replaced->at(0).serial == "RAD-2");
  CHECK(shop.listed() == "RAD-2");
  CHECK(shop.car.report().status == 200);
  CHECK(shop.name_ecus()->empty());
}

TEST_CASE("a report that waits when an ECU is exchanged is made anew, with the new one's word") {
  Workshop shop;
  {
    auto journal = agent::Journal::open(shop.disk, shop.layout.directory()).value();
    journal.record().report_counter = 7;  // made, and not sent yet
    journal.record().report_acknowledged = 6;
    journal.record().report_content.fill(1);
    REQUIRE(journal.save());
  }
  shop.authorise();
  shop.car.secondaries[1] = SimEcu("RAD-2", "rad-1");
  REQUIRE(shop.name_ecus());
  const auto journal = agent::Journal::open(shop.disk, shop.layout.directory()).value();
  CHECK(journal.record().report_counter == 7);
  CHECK(journal.record().report_acknowledged == 7);
  CHECK(journal.record().report_content == crypto::Digest256{});
}

TEST_CASE("P4.7: the power goes between the server's word and the car's list") {
  std::size_t cuts = 0;
  for (std::uint64_t k = 1;; ++k) {
    Workshop shop;
    shop.authorise();
    shop.car.secondaries[1] = SimEcu("RAD-2", "rad-1");
    shop.disk.cut_power_at(shop.disk.operations() + k);
    bool was_cut = false;
    try {
      const auto named = shop.name_ecus();
      CHECK(named);
    } catch (const PowerCut&) {
      was_cut = true;
    }
    shop.disk.restart(MemoryDisk::Survives::kOnlySynced, static_cast<std::uint32_t>(k));
    if (!was_cut) break;
    ++cuts;
    const std::string listed = shop.listed();
    CHECK((listed == "RAD-1" || listed == "RAD-2"));
    // Also when the day of the replacement is over.
    shop.base.clock.advance(2 * kDaySeconds);
    const auto again = shop.name_ecus();
    INFO((again ? "" : again.error().message()));
    REQUIRE(again);
    CHECK(shop.listed() == "RAD-2");
    CHECK(shop.car.report().status == 200);
  }
  CHECK(cuts >= 4);
}

TEST_CASE("the server's word is lost on the way") {
  Workshop shop;
  shop.authorise();
  shop.car.secondaries[1] = SimEcu("RAD-2", "rad-1");
  shop.transport.loses_answers = true;
  CHECK(shop.name_ecus().error().code() == ErrorCode::kUnavailable);
  CHECK(shop.listed() == "RAD-1");
  shop.transport.loses_answers = false;
  CHECK(shop.name_ecus()->empty());
  CHECK(shop.listed() == "RAD-2");
}
