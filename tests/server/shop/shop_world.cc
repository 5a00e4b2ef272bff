#include "tests/server/shop/shop_world.h"

#include <catch2/catch.hpp>

#include "base/time_text.h"
#include "crypto/certificate.h"
#include "manifest/director.h"
#include "manifest/image_entry.h"
#include "server/fleet/account.h"
#include "server/fleet/audit.h"
#include "server/fleet/routes.h"
#include "server/intake/intake.h"
#include "server/release/image.h"
#include "server/release/release_keys.h"
#include "server/rollout/routes.h"
#include "server/shop/owner_change.h"
#include "server/shop/routes.h"
#include "server/shop/sweep.h"

namespace layby::tests {

using manifest::Json;
using server::Method;

namespace {

template <typename T>
T must(Result<T> result) {
  if (!result) FAIL(result.error().message());
  return std::move(*result);
}

Json parse(std::string_view text) {
  return must(manifest::parse_strict(as_bytes(text), {.bytes_max = 16 * kMiB}));
}

std::string text_of(const Json& json) {
  return must(manifest::to_wire(json));
}

server::Services make_services(TestServices& base, server::Store* store, const Clock* clock) {
  return {.store = store != nullptr ? *store : *base.store,
          .payloads = *base.payloads,
          .disk = base.disk,
          .clock = clock != nullptr ? *clock : base.clock,
          .keys = base.keys,
          .vehicle_authority = base.vehicle_authority,
          .data_dir = base.dir.path(),
          .public_base_url = "https://127.0.0.1:8443"};
}

}  // namespace

std::string Answered::code() const {
  return body.is_object() && body.contains("code") ? body["code"].get<std::string>() : "";
}

SimCar::SimCar(ShopWorld& in_world, std::string with_vin, const std::string& hardware)
    : world(in_world),
      vin(std::move(with_vin)),
      serial("HU-" + vin.substr(11)),
      hardware_id(hardware),
      key(crypto::MemorySigner::generate()),
      seal_keys(crypto::generate_seal_keys()) {}

SimEcu::SimEcu(std::string with_serial, std::string with_hardware_id)
    : serial(std::move(with_serial)),
      hardware_id(std::move(with_hardware_id)),
      key(crypto::MemorySigner::generate()) {}

Json SimCar::named_ecus() {
  Json ecus = Json::array({{{"serial", serial},
                            {"hardware_id", hardware_id},
                            {"public_key", to_hex(key->public_key())}}});
  for (SimEcu& ecu : secondaries)
    ecus.push_back({{"serial", ecu.serial},
                    {"hardware_id", ecu.hardware_id},
                    {"public_key", to_hex(ecu.key->public_key())},
                    {"report", parse(as_text(new_report(ecu)))}});
  return ecus;
}

Json SimCar::pair_request(const std::string& code) {
  const std::string tls_key = crypto::generate_tls_key();
  return {{"vin", vin},
          {"code", code},
          {"certificate_request", must(crypto::make_request(tls_key, vin))},
          {"seal_key", to_hex(seal_keys.public_key)},
          {"primary", serial},
          {"ecus", named_ecus()}};
}

void SimCar::pair(const std::string& owner_token) {
  const Answered code = world.post("/v1/pairing-codes", owner_token);
  REQUIRE(code.status == 201);
  // A car that has a certificate shows it.
  const Answered paired = world.call(Method::kPost, "/v1/pair", "", pair_request(code.body["code"]),
                                     "", certificate.common_name.empty() ? nullptr : &certificate);
  INFO(paired.text);
  REQUIRE(paired.status == 200);
  const crypto::CertificateFacts facts =
      must(crypto::read_certificate(paired.body["certificate"].get<std::string>()));
  certificate = {.common_name = facts.common_name, .fingerprint = facts.fingerprint};
}

Bytes SimCar::new_manifest() {
  manifest::EcuReport report{.ecu = must(manifest::EcuSerial::parse(serial)),
                             .counter = ++counter,
                             .time = world.services.clock.now() + clock_ahead,
                             .agent = "layby-agent/test",
                             .re_encoders = re_encoders,
                             .installed = installed,
                             .functions = functions,
                             .attack = {},
                             .orders = {}};
  for (const auto& [id, order] : orders) report.orders.push_back(order);
  std::map<manifest::EcuSerial, Bytes> reports;
  reports.emplace(report.ecu, must(manifest::make_ecu_report(report, *key)));
  manifest::SilentEcus silent;
  for (SimEcu& ecu : secondaries) {
    const auto name = must(manifest::EcuSerial::parse(ecu.serial));
    if (ecu.silent.empty())
      reports.emplace(name, new_report(ecu));
    else
      silent.emplace(name, ecu.silent);
  }
  return must(manifest::make_vehicle_manifest(must(manifest::Vin::parse(vin)), report.ecu, reports,
                                              *key, silent));
}

Bytes SimCar::new_report(SimEcu& ecu) const {
  manifest::EcuReport report{.ecu = must(manifest::EcuSerial::parse(ecu.serial)),
                             .counter = ++ecu.counter,
                             .time = world.services.clock.now() + clock_ahead,
                             .agent = "layby-ecu/test",
                             .installed = {},
                             .functions = {},
                             .attack = ecu.attack,
                             .orders = {}};
  const auto slot = manifest::Slot::software(must(manifest::HardwareId::parse(ecu.hardware_id)));
  if (ecu.installed) report.installed.emplace(slot, *ecu.installed);
  return must(manifest::make_ecu_report(report, *ecu.key));
}

Answered SimCar::post(const Bytes& manifest) {
  server::Request request;
  request.method = Method::kPost;
  request.path = "/v1/vehicle/manifest";
  request.body = std::string(as_text(manifest));
  request.peer = certificate;
  const server::Response response = world.router.handle(std::move(request));
  Answered answered{
      .status = response.status, .body = nullptr, .text = std::get<std::string>(response.body)};
  answered.body = parse(answered.text);
  return answered;
}

void SimCar::say(const std::string& order, manifest::OrderState state) {
  orders.insert_or_assign(order, manifest::OrderReport{.id = must(manifest::OrderId::parse(order)),
                                                       .state = state,
                                                       .since = world.services.clock.now(),
                                                       .bytes_done = 0,
                                                       .bytes_total = 0,
                                                       .error = std::nullopt,
                                                       .conditions = {}});
}

void SimCar::install(const std::string& image, std::uint64_t release_counter) {
  const manifest::ImageName name = must(manifest::ImageName::parse(image));
  installed.insert_or_assign(name.slot(),
                             manifest::InstalledImage{.image = name,
                                                      .sha256 = ShopWorld::digest_of(image),
                                                      .length = 1000,
                                                      .release_counter = release_counter});
}

void SimCar::install_secondary(const std::string& image, std::uint64_t release_counter) {
  const manifest::ImageName name = must(manifest::ImageName::parse(image));
  for (SimEcu& ecu : secondaries)
    if (ecu.hardware_id == name.owner())
      ecu.installed = manifest::InstalledImage{.image = name,
                                               .sha256 = ShopWorld::digest_of(image),
                                               .length = 1000,
                                               .release_counter = release_counter};
}

Json SimCar::desired() const {
  const auto text = must(world.services.store.get("v/" + vin + "/desired"));
  return text ? parse(*text)["orders"] : Json::array();
}

Result<manifest::VerifiedLicence> SimCar::open(const std::string& order) const {
  const Json wanted = desired();
  for (const Json& entry : wanted) {
    if (entry["id"] != order || !entry.contains("licence")) continue;
    // Without a package it must open under the key that the car knows from the one that it has.
    const Json details = world.get("/v1/orders/" + order, world.operator_token).body;
    const Json& named = entry["images"].empty() ? details["images"] : entry["images"];
    std::string image = named[0];
    const auto has = installed.find(must(manifest::ImageName::parse(image)).slot());
    if (entry["images"].empty() && has != installed.end()) image = has->second.image.text();
    if (entry["images"].empty() && !obeys.empty()) image = obeys;
    const auto package = must(server::image(world.services.store, image));
    return manifest::open_licence(
        must(from_base64(entry["licence"].get<std::string>())), seal_keys.secret_key,
        {.vin = must(manifest::Vin::parse(vin)),
         .function =
             must(manifest::FunctionId::parse(must(manifest::ImageName::parse(image)).owner())),
         .licence_key = *package->entry.facts.licence_key,
         .newest = std::nullopt});
  }
  return fail(ErrorCode::kNotFound, "no licence for {}", order);
}

void SimCar::take_licence(const std::string& order) {
  const auto licence = must(open(order));
  functions[licence->function] = {.counter = licence->counter,
                                  .state = manifest::FunctionState::kActive,
                                  .until = licence->until};
}

void SimCar::obey() {
  for (int step = 0; step < 4; ++step) {
    const Json wanted = desired();
    for (const Json& entry : wanted) {
      const std::string id = entry["id"];
      const bool function =
          !entry["images"].empty() &&
          must(manifest::ImageName::parse(entry["images"][0].get<std::string>())).kind() ==
              manifest::ImageKind::kFunction;
      if (entry["action"] == "deactivate") {
        const auto licence = must(open(id));
        functions[licence->function] = {.counter = licence->counter,
                                        .state = manifest::FunctionState::kRevoked,
                                        .until = std::nullopt};
        say(id, manifest::OrderState::kDeactivated);
      } else if (entry["action"] == "licence") {
        take_licence(id);
        say(id, manifest::OrderState::kActive);
      } else if (function && !entry.contains("licence")) {
        say(id, manifest::OrderState::kDownloaded);
      } else {
        if (function) take_licence(id);
        for (const Json& image : entry["images"]) install(image, 2);
        say(id, manifest::OrderState::kActive);
      }
    }
    if (wanted.empty()) return;
    REQUIRE(report().status == 200);
  }
}

ShopWorld::ShopWorld(server::Store* store, const Clock* clock)
    : services(make_services(base, store, clock)) {
  events_sequence = must(server::EventSequence::open(services.store));
  services.events = events_sequence.get();
  services.owner_leaves = server::owner_leaves;
  server::add_fleet_routes(router, services);
  server::add_shop_routes(router, services);
  server::add_rollout_routes(router, services);
  server::add_intake_routes(router, services);
  operator_token = new_account(server::Role::kOperator, "fleet");
  owner_token = new_account(server::Role::kOwner, "Anna", &owner);
  second_token = new_account(server::Role::kOwner, "Bert", &second);
  partner_token = new_account(server::Role::kPartner, "Workshop");
}

std::string ShopWorld::new_account(server::Role role, const std::string& name, std::string* id) {
  const auto made = must(server::commit_with_retry(
      services.store, [&](server::Change& change) -> Result<server::NewAccount> {
        return server::create_account(change, {.name = name, .role = role, .email = std::nullopt},
                                      services.clock.now());
      }));
  if (id != nullptr) *id = made.account.id;
  return made.token;
}

Answered ShopWorld::call(Method method, const std::string& path, const std::string& token,
                         const Json& body, const std::string& idempotency_key,
                         const server::PeerCertificate* peer) {
  server::Request request;
  request.method = method;
  const std::size_t question = path.find('?');
  request.path = path.substr(0, question);
  if (question != std::string::npos) {
    const std::string query = path.substr(question + 1);
    request.query[query.substr(0, query.find('='))] = query.substr(query.find('=') + 1);
  }
  if (!token.empty()) request.headers["authorization"] = "Bearer " + token;
  if (!idempotency_key.empty()) request.headers["idempotency-key"] = idempotency_key;
  if (!body.is_null()) request.body = text_of(body);
  if (peer != nullptr) request.peer = *peer;
  const server::Response response = router.handle(std::move(request));
  Answered answered{
      .status = response.status, .body = nullptr, .text = std::get<std::string>(response.body)};
  if (!answered.text.empty()) answered.body = parse(answered.text);
  return answered;
}

void ShopWorld::register_car(const SimCar& car) {
  Json ecus = Json::array({{{"serial", car.serial}, {"hardware_id", car.hardware_id}}});
  for (const SimEcu& ecu : car.secondaries)
    ecus.push_back({{"serial", ecu.serial}, {"hardware_id", ecu.hardware_id}});
  const Answered made = post("/v1/cars", operator_token,
                             {{"vin", car.vin},
                              {"model", "aurora"},
                              {"model_year", 2026},
                              {"country", "DE"},
                              {"hardware", {"radar-front", "seat-heating"}},
                              {"ecus", std::move(ecus)}});
  INFO(made.text);
  REQUIRE(made.status == 201);
}

void ShopWorld::add_user(const std::string& from, const std::string& user_token,
                         const std::string& vin) {
  const Answered invited = post("/v1/cars/" + vin + "/invitations", from);
  REQUIRE(invited.status == 201);
  REQUIRE(post("/v1/invitations/accept", user_token, {{"code", invited.body["code"]}}).status ==
          200);
}

crypto::Digest256 ShopWorld::digest_of(const std::string& image) {
  return crypto::sha256(as_bytes(image));
}

void ShopWorld::publish(const std::string& name, std::uint64_t counter, Payload payload,
                        const std::string& hardware_id) {
  put_image(name, counter, hardware_id, must(manifest::ImageName::parse(name)).slot());
  if (payload == Payload::kReady) publish_payload(name);
}

void ShopWorld::publish_for_secondary(const std::string& name, std::uint64_t counter) {
  const auto hardware =
      must(manifest::HardwareId::parse(must(manifest::ImageName::parse(name)).owner()));
  put_image(name, counter, hardware.text(), manifest::Slot::software(hardware));
  publish_payload(name);
}

void ShopWorld::put_image(const std::string& name, std::uint64_t counter,
                          const std::string& hardware_id, const manifest::Slot& slot) {
  const manifest::ImageName image_name = must(manifest::ImageName::parse(name));
  manifest::ImageEntry entry{.name = image_name,
                             .length = 1000,
                             .sha256 = digest_of(name),
                             .sha512 = std::nullopt,
                             .hardware_ids = {must(manifest::HardwareId::parse(hardware_id))},
                             .facts = {.kind = image_name.kind(),
                                       .slot = slot,
                                       .version = std::string(image_name.version()),
                                       .release_counter = counter,
                                       .duration_seconds = 120,
                                       .battery_percent_min = 40,
                                       .conditions = {},
                                       .licence_key = std::nullopt},
                             .must_match = {}};
  if (image_name.kind() == manifest::ImageKind::kFunction)
    entry.facts.licence_key = manifest::PublicKey::of(*base.keys.licence);
  const server::Image image{.entry = entry,
                            .target = manifest::make_image_target(entry),
                            .listing = server::Listing::kListed,
                            .published = 1};
  REQUIRE(services.store.commit(
      {.expectations = {},
       .writes = {{server::image_key(name), server::encode_image(image)},
                  {server::release_key(slot.text(), hardware_id, counter), name}}}));
}

void ShopWorld::publish_payload(const std::string& image) {
  const manifest::Payload payload{.base = std::nullopt,
                                  .sha256 = crypto::sha256(as_bytes("payload of " + image)),
                                  .length = 900,
                                  .head_sha256 = crypto::sha256(as_bytes("head of " + image)),
                                  .head_length = 100};
  REQUIRE(services.store.commit({.expectations = {},
                                 .writes = {{server::payload_key(digest_of(image), std::nullopt),
                                             server::encode_payload(payload, 1)}}}));
}

void ShopWorld::withdraw(const std::string& name) {
  server::Image image = *must(server::image(services.store, name));
  image.listing = server::Listing::kWithdrawn;
  REQUIRE(services.store.commit(
      {.expectations = {}, .writes = {{server::image_key(name), server::encode_image(image)}}}));
}

void ShopWorld::sell(const std::string& id, const Json& changes) {
  Json product{{"title", {{"en", id}}},
               {"image", "functions/" + id + "/1.0.pkg"},
               {"price_cents", 49900},
               {"currency", "EUR"},
               {"term", {{"kind", "unlimited"}}}};
  product.update(changes);
  const Answered sold = put("/v1/catalogue/products/" + id, operator_token, product);
  INFO(sold.text);
  REQUIRE(sold.status / 100 == 2);
  publish("functions/" + id + "/1.0.pkg", 1);
}

Answered ShopWorld::order_function(const std::string& product, const std::string& token,
                                   const std::string& vin) {
  return post("/v1/orders", token, {{"vin", vin}, {"kind", "function"}, {"product", product}},
              "key-" + std::to_string(++keys_made));
}

Answered ShopWorld::order_map(const std::vector<std::string>& regions, const std::string& token) {
  return post("/v1/orders", token, {{"vin", kVin}, {"kind", "map"}, {"regions", regions}},
              "key-" + std::to_string(++keys_made));
}

std::vector<Json> ShopWorld::events(const std::string& type, const std::string& order) {
  std::vector<Json> found;
  const Answered all = get("/v1/events?limit=1000", operator_token);
  for (const Json& event : all.body["events"]) {
    if (event["type"] == type && (order.empty() || event.value("order", "") == order))
      found.push_back(event);
  }
  return found;
}

std::vector<std::string> ShopWorld::messages(const std::string& order) {
  std::vector<std::string> found;
  for (const Json& event : events("message", order)) found.push_back(event["data"]["message"]);
  return found;
}

std::string ShopWorld::order_state(const std::string& order) {
  return this->order(order)["state"];
}

Json ShopWorld::order(const std::string& id) {
  return get("/v1/orders/" + id, operator_token).body;
}

std::size_t ShopWorld::deadlines_of(const std::string& order) {
  std::size_t count = 0;
  for (const auto& entry : must(services.store.scan("d/", "d0", 100'000)))
    count += entry.key.find("/" + order + "/") != std::string::npos ? 1 : 0;
  return count;
}

void ShopWorld::check_audit(const std::string& vin) {
  const auto parsed = must(manifest::Vin::parse(vin));
  Json records = Json::array();
  const std::string prefix = server::audit_prefix(parsed);
  for (const auto& entry : must(services.store.scan(prefix, server::after_prefix(prefix), 100'000)))
    records.push_back(parse(entry.value));
  const auto whole = manifest::verify_audit_chain(
      {}, records, must(server::load_audit_head(services.store, parsed)));
  INFO((whole ? "" : whole.error().message()));
  CHECK(whole);
}

std::string ShopWorld::all_stored() {
  std::string all;
  for (const auto& entry : must(services.store.scan("", "\xff", 100'000)))
    all += entry.key + "\n" + entry.value + "\n";
  return all;
}

void ShopWorld::sweep() {
  REQUIRE(server::sweep_due(services, services.clock.now()));
}

void ShopWorld::go_to(const std::string& utc) {
  const UnixSeconds at = must(parse_utc(utc));
  REQUIRE(at >= base.clock.now());
  base.clock.advance(at - base.clock.now());
  sweep();
}

ReadyWorld::ReadyWorld(server::Store* store, const Clock* clock)
    : ShopWorld(store, clock), car(*this, kVin) {
  register_car(car);
  car.pair(owner_token);
  car.install("software/hu-4/1.0.img", 1);
  car.install("maps/DE/1.tar", 1);
  REQUIRE(car.report().status == 200);
  sell("adaptive-cruise");
}

}  // namespace layby::tests
