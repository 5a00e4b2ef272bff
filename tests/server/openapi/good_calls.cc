// One request that succeeds for each operation. What fails in them, and how, is made of these:
// openapi_test.cc.
#include <catch2/catch.hpp>

#include "manifest/ceremony.h"
#include "server/outbox/webhook.h"
#include "server/release/payload_job.h"
#include "tests/server/openapi/api_world.h"

namespace layby::tests {

using manifest::Json;

namespace {

const std::string kCar = "/v1/cars/" + std::string(kVin);
const std::string kConsent = kCar + "/consents/software-updates";

std::string webhook(Api& api) {
  const Answered made =
      api.post("/v1/webhooks", api.operator_token, {{"url", "https://127.0.0.1:1/hook"}});
  INFO(made.text);
  REQUIRE(made.status == 201);
  const std::string id = made.body["id"];
  REQUIRE(api.services.store.commit(
      {.expectations = {},
       .writes = {{server::dead_letter_key(id, 1),
                   server::encode_dead_letter(
                       {.event = 1, .attempts = 4, .at = api.base.clock.now(), .error = "no"})}}}));
  return "/v1/webhooks/" + id;
}

std::string order(Api& api, const Json& product = Json::object()) {
  if (product.empty()) return api.order_function("adaptive-cruise", api.owner_token).body["id"];
  api.sell("special", product);
  return api.order_function("special", api.owner_token).body["id"];
}

std::string active_order(Api& api, const Json& product = Json::object()) {
  std::string id = order(api, product);
  api.car.obey();
  REQUIRE(api.order_state(id) == "active");
  return id;
}

std::string failed_job(Api& api) {
  server::PayloadJob job;
  job.id = "0000000009-000001";
  job.image = "maps/DE/1.tar";
  job.state = server::JobState::kFailed;
  job.error = "no";
  job.queued = job.not_before = api.base.clock.now();
  server::Change change(api.services.store);
  server::save_job(change, job);
  REQUIRE(change.commit());
  return "/v1/payload-jobs/" + job.id;
}

// Of five bytes, open.
Call next_root(Api& api, const std::string& repository, const Bytes& present,
               const crypto::Signer& key) {
  const UnixSeconds expires = api.base.clock.now() + 900 * kDaySeconds;
  const auto draft = manifest::edit_root(present, {}, expires);
  REQUIRE(draft);
  const auto next = manifest::sign_root(*draft, present, key);
  REQUIRE(next);
  Call made = call("/v1/repositories/" + repository + "/root", api.operator_token);
  made.bytes = std::string(as_text(*next));
  return made;
}

std::string upload(Api& api, const std::string& bytes = "hello") {
  const std::string id = to_hex(crypto::sha256(as_bytes(bytes)));
  REQUIRE(api.post("/v1/uploads", api.operator_token, {{"length", bytes.size()}, {"sha256", id}})
              .status == 201);
  return "/v1/uploads/" + id;
}

}  // namespace

Call call(std::string path, std::string token, Json body) {
  return {.path = std::move(path),
          .token = std::move(token),
          .body = std::move(body),
          .query = {},
          .headers = {},
          .peer = std::nullopt,
          .bytes = {}};
}

Call by_car(const Api& api, std::string path, Json body) {
  Call made = call(std::move(path), "", std::move(body));
  made.peer = api.car.certificate;
  return made;
}

std::map<std::string, Prepare> good_account_calls() {
  return {
      {"get /healthz", [](Api&) { return call("/healthz"); }},
      {"get /readyz", [](Api&) { return call("/readyz"); }},
      {"get /metrics", [](Api&) { return call("/metrics"); }},
      {"post /v1/simulation/clock",
       [](Api& api) {
         return call("/v1/simulation/clock", api.operator_token, {{"advance_seconds", 1}});
       }},
      {"post /v1/accounts",
       [](Api& api) {
         return call("/v1/accounts", api.operator_token,
                     {{"name", "Carla"}, {"role", "owner"}, {"email", "carla@example.org"}});
       }},
      {"get /v1/accounts", [](Api& api) { return call("/v1/accounts", api.operator_token); }},
      {"get /v1/accounts/{id}",
       [](Api& api) { return call("/v1/accounts/" + api.second, api.operator_token); }},
      {"delete /v1/accounts/{id}",
       [](Api& api) { return call("/v1/accounts/" + api.second, api.operator_token); }},
      {"post /v1/accounts/{id}/tokens",
       [](Api& api) {
         return call("/v1/accounts/" + api.second + "/tokens", api.operator_token,
                     {{"scopes", {"read"}}, {"expires_days", 3}, {"note", "a watch"}});
       }},
      {"get /v1/accounts/{id}/tokens",
       [](Api& api) { return call("/v1/accounts/" + api.second + "/tokens", api.operator_token); }},
      {"delete /v1/accounts/{id}/tokens",
       [](Api& api) { return call("/v1/accounts/" + api.second + "/tokens", api.operator_token); }},
      {"delete /v1/accounts/{id}/tokens/{token}",
       [](Api& api) {
         const std::string path = "/v1/accounts/" + api.second + "/tokens";
         const std::string id = api.post(path, api.operator_token).body["token_id"];
         return call(path + "/" + id, api.operator_token);
       }},
  };
}

std::map<std::string, Prepare> good_car_calls() {
  return {
      {"post /v1/cars",
       [](Api& api) {
         return call("/v1/cars", api.operator_token,
                     {{"vin", kOtherVin},
                      {"model", "aurora"},
                      {"model_year", 2026},
                      {"country", "DE"},
                      {"hardware", {"radar-front"}},
                      {"ecus", {{{"serial", "HU-9"}, {"hardware_id", "hu-4"}}}}});
       }},
      {"get /v1/cars", [](Api& api) { return call("/v1/cars", api.owner_token); }},
      {"get /v1/cars/{vin}", [](Api& api) { return call(kCar, api.owner_token); }},
      {"get /v1/cars/{vin}/users",
       [](Api& api) {
         api.add_user(api.owner_token, api.second_token);
         return call(kCar + "/users", api.owner_token);
       }},
      {"delete /v1/cars/{vin}/users/{account}",
       [](Api& api) {
         api.add_user(api.owner_token, api.second_token);
         return call(kCar + "/users/" + api.second, api.owner_token);
       }},
      {"post /v1/cars/{vin}/invitations",
       [](Api& api) { return call(kCar + "/invitations", api.owner_token); }},
      {"delete /v1/cars/{vin}/invitations",
       [](Api& api) { return call(kCar + "/invitations", api.owner_token); }},
      {"post /v1/invitations/accept",
       [](Api& api) {
         const Answered invited = api.post(kCar + "/invitations", api.owner_token);
         return call("/v1/invitations/accept", api.second_token, {{"code", invited.body["code"]}});
       }},
      {"post /v1/cars/{vin}/hand-over",
       [](Api& api) { return call(kCar + "/hand-over", api.owner_token); }},
      {"delete /v1/cars/{vin}/certificate",
       [](Api& api) { return call(kCar + "/certificate", api.operator_token); }},
      {"post /v1/vehicle/certificate",
       [](Api& api) {
         return by_car(api, "/v1/vehicle/certificate",
                       {{"certificate_request",
                         crypto::make_request(crypto::generate_tls_key(), kVin).value()}});
       }},
      {"post /v1/pairing-codes",
       [](Api& api) { return call("/v1/pairing-codes", api.owner_token); }},
      {"post /v1/pair",
       [](Api& api) {
         SimCar other(api, kOtherVin);
         api.register_car(other);
         const Answered code = api.post("/v1/pairing-codes", api.owner_token);
         return call("/v1/pair", "", other.pair_request(code.body["code"]));
       }},
  };
}

std::map<std::string, Prepare> good_trail_calls() {
  return {
      {"get /v1/cars/{vin}/events",
       [](Api& api) { return call(kCar + "/events", api.owner_token); }},
      {"get /v1/messages", [](Api& api) { return call("/v1/messages", api.owner_token); }},
      {"get /v1/events", [](Api& api) { return call("/v1/events", api.operator_token); }},
      {"get /v1/cars/{vin}/audit", [](Api& api) { return call(kCar + "/audit", api.owner_token); }},
      {"get /v1/cars/{vin}/audit/export",
       [](Api& api) { return call(kCar + "/audit/export", api.owner_token); }},
      {"get /v1/audit-key", [](Api&) { return call("/v1/audit-key"); }},
      {"post /v1/webhooks",
       [](Api& api) {
         return call("/v1/webhooks", api.operator_token,
                     {{"url", "https://127.0.0.1:1/hook"}, {"types", {"billing"}}, {"after", 0}});
       }},
      {"get /v1/webhooks",
       [](Api& api) {
         webhook(api);
         return call("/v1/webhooks", api.operator_token);
       }},
      {"delete /v1/webhooks/{id}", [](Api& api) { return call(webhook(api), api.operator_token); }},
      {"get /v1/webhooks/{id}/dead-letters",
       [](Api& api) { return call(webhook(api) + "/dead-letters", api.operator_token); }},
      {"post /v1/webhooks/{id}/dead-letters/retry",
       [](Api& api) { return call(webhook(api) + "/dead-letters/retry", api.operator_token); }},
      {"post /v1/webhooks/{id}/dead-letters/{event}/retry",
       [](Api& api) { return call(webhook(api) + "/dead-letters/1/retry", api.operator_token); }},
      {"post /v1/cars/{vin}/stolen",
       [](Api& api) { return call(kCar + "/stolen", api.owner_token); }},
      {"delete /v1/cars/{vin}/stolen",
       [](Api& api) { return call(kCar + "/stolen", api.owner_token); }},
      {"get /v1/silent-cars", [](Api& api) { return call("/v1/silent-cars", api.operator_token); }},
      {"post /v1/cars/{vin}/ecus/{serial}/replacement",
       [](Api& api) {
         return call(kCar + "/ecus/" + api.car.serial + "/replacement", api.partner_token,
                     {{"serial", "HU-NEW"}});
       }},
      {"delete /v1/cars/{vin}/ecus/{serial}/replacement",
       [](Api& api) {
         const std::string path = kCar + "/ecus/" + api.car.serial + "/replacement";
         REQUIRE(api.post(path, api.partner_token, {{"serial", "HU-NEW"}}).status == 201);
         return call(path, api.partner_token);
       }},
  };
}

std::map<std::string, Prepare> good_order_calls() {
  const Json fixed{{"term", {{"kind", "fixed"}, {"days", 90}}}, {"renewable", true}};
  return {
      {"put /v1/cars/{vin}/consents/software-updates",
       [](Api& api) {
         return call(kConsent, api.owner_token, {{"language", "de"}, {"text_version", "1"}});
       }},
      {"get /v1/cars/{vin}/consents/software-updates",
       [](Api& api) { return call(kConsent, api.owner_token); }},
      {"delete /v1/cars/{vin}/consents/software-updates",
       [](Api& api) {
         REQUIRE(api.put(kConsent, api.owner_token, {{"language", "de"}, {"text_version", "1"}})
                     .status == 200);
         return call(kConsent, api.owner_token);
       }},
      {"put /v1/catalogue/products/{id}",
       [](Api& api) {
         return call("/v1/catalogue/products/new", api.operator_token,
                     {{"title", {{"en", "New"}}},
                      {"image", "functions/new/1.0.pkg"},
                      {"price_cents", 100},
                      {"currency", "EUR"},
                      {"term", {{"kind", "unlimited"}}}});
       }},
      {"get /v1/catalogue/products",
       [](Api& api) { return call("/v1/catalogue/products", api.owner_token); }},
      {"get /v1/cars/{vin}/offers",
       [](Api& api) {
         api.publish("maps/DE/2.tar", 2);
         active_order(api);
         return call(kCar + "/offers", api.owner_token);
       }},
      {"post /v1/orders",
       [](Api& api) {
         Call made = call("/v1/orders", api.owner_token,
                          {{"vin", kVin}, {"kind", "function"}, {"product", "adaptive-cruise"}});
         made.headers["idempotency-key"] = "the-key";
         return made;
       }},
      {"get /v1/orders/{id}",
       [](Api& api) { return call("/v1/orders/" + active_order(api), api.owner_token); }},
      {"get /v1/cars/{vin}/orders",
       [fixed](Api& api) {
         active_order(api, fixed);
         order(api);
         return call(kCar + "/orders", api.owner_token);
       }},
      {"post /v1/orders/{id}/cancel",
       [](Api& api) { return call("/v1/orders/" + order(api) + "/cancel", api.owner_token); }},
      {"post /v1/orders/{id}/withdraw",
       [](Api& api) {
         return call("/v1/orders/" + active_order(api) + "/withdraw", api.owner_token);
       }},
      {"put /v1/orders/{id}/renewal",
       [fixed](Api& api) {
         return call("/v1/orders/" + active_order(api, fixed) + "/renewal", api.owner_token,
                     {{"auto", true}});
       }},
      {"post /v1/orders/{id}/renew",
       [fixed](Api& api) {
         const std::string id = active_order(api, fixed);
         api.go_to("2027-02-10T06:00:00Z");
         Call made = call("/v1/orders/" + id + "/renew", api.owner_token);
         made.headers["idempotency-key"] = "the-key";
         return made;
       }},
  };
}

std::map<std::string, Prepare> good_vehicle_calls() {
  return {
      {"post /v1/vehicle/ecus",
       [](Api& api) {
         return by_car(api, "/v1/vehicle/ecus", {{"ecus", api.car.pair_request("")["ecus"]}});
       }},
      {"put /v1/rollouts/{id}",
       [](Api& api) {
         api.publish("software/hu-4/2.0.img", 2);
         return call("/v1/rollouts/spring", api.operator_token,
                     {{"image", "software/hu-4/2.0.img"}, {"state", "running"}});
       }},
      {"get /v1/rollouts",
       [](Api& api) {
         api.publish("software/hu-4/2.0.img", 2);
         api.put("/v1/rollouts/spring", api.operator_token,
                 {{"image", "software/hu-4/2.0.img"}, {"state", "paused"}});
         return call("/v1/rollouts", api.operator_token);
       }},
      {"post /v1/vehicle/map-requests",
       [](Api& api) {
         api.publish("maps/DE/2.tar", 2);
         return by_car(api, "/v1/vehicle/map-requests", {{"regions", {"DE"}}});
       }},
      {"post /v1/vehicle/manifest",
       [](Api& api) {
         Call made = by_car(api, "/v1/vehicle/manifest");
         made.bytes = std::string(as_text(api.car.new_manifest()));
         return made;
       }},
  };
}

std::map<std::string, Prepare> good_publishing_calls() {
  return {
      {"put /v1/repositories/image/targets",
       [](Api& api) {
         api.repository.add({.name = "maps/IT/1.tar", .bytes = "IT one"});
         Call made = call("/v1/repositories/image/targets", api.operator_token);
         made.bytes = api.repository.sign();
         return made;
       }},
      {"put /v1/repositories/image/delegated/{role}",
       [](Api& api) {
         Supplier supplier("acme");
         supplier.next.expires = api.base.clock.now() + kDaySeconds;
         delegate(api.repository.next, supplier);
         REQUIRE(api.repository.publish());
         api.repository.add(supplier, {.name = "maps/IT/1.tar", .bytes = "IT one"});
         Call made = call("/v1/repositories/image/delegated/acme", api.operator_token);
         made.bytes = supplier.sign();
         return made;
       }},
      {"put /v1/repositories/image/root",
       [](Api& api) {
         return next_root(api, "image", api.repository.first().image_root,
                          *api.repository.offline().image_root.front());
       }},
      {"put /v1/repositories/director/root",
       [](Api& api) {
         return next_root(api, "director", api.repository.first().director_root,
                          *api.repository.offline().director_root.front());
       }},
  };
}

std::map<std::string, Prepare> good_release_calls() {
  return {
      {"post /v1/uploads",
       [](Api& api) {
         return call("/v1/uploads", api.operator_token,
                     {{"length", 5}, {"sha256", to_hex(crypto::sha256(as_bytes("hello")))}});
       }},
      {"head /v1/uploads/{id}", [](Api& api) { return call(upload(api), api.operator_token); }},
      {"patch /v1/uploads/{id}",
       [](Api& api) {
         Call made = call(upload(api), api.operator_token);
         made.headers = {{"content-type", "application/octet-stream"}, {"upload-offset", "0"}};
         made.bytes = "hello";
         return made;
       }},
      {"delete /v1/uploads/{id}", [](Api& api) { return call(upload(api), api.operator_token); }},
      {"get /v1/repositories/image/metadata/{file}",
       [](Api&) { return call("/v1/repositories/image/metadata/timestamp.json"); }},
      {"get /v1/repositories/image/targets/{path}",
       [](Api& api) {
         api.repository.add({.name = "maps/IT/1.tar", .bytes = "IT one"});
         REQUIRE(api.repository.publish());
         return call("/v1/repositories/image/targets/maps/IT/" +
                     to_hex(crypto::sha256(as_bytes("IT one"))) + ".1.tar");
       }},
      {"get /v1/payload-jobs",
       [](Api& api) {
         failed_job(api);
         return call("/v1/payload-jobs", api.operator_token);
       }},
      {"post /v1/payload-jobs/{id}/retry",
       [](Api& api) { return call(failed_job(api) + "/retry", api.operator_token); }},
      {"post /v1/cars/{vin}/offline-package",
       [](Api& api) { return call(kCar + "/offline-package", api.partner_token, nullptr); }},
      {"get /v1/cars/{vin}/transfers",
       [](Api& api) { return call(kCar + "/transfers", api.operator_token); }},
      {"get /v1/payloads/{sha256}",
       [](Api& api) {
         return call("/v1/payloads/" + to_hex(api.base.put_payload("payload")), api.operator_token);
       }},
      {"get /v1/vehicle/time",
       [](Api& api) {
         Call made = by_car(api, "/v1/vehicle/time");
         made.query["nonce"] = std::string(32, 'a');
         return made;
       }},
      {"get /v1/vehicle/director/{file}",
       [](Api& api) { return by_car(api, "/v1/vehicle/director/timestamp.json"); }},
  };
}

}  // namespace layby::tests
