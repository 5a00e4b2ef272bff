#include <catch2/catch.hpp>

#include "server/fleet/invitation.h"
#include "server/oidc/verifier.h"
#include "tests/server/openapi/api_world.h"

namespace layby::tests {

using manifest::Json;

namespace {

const std::string kCar = "/v1/cars/" + std::string(kVin);

void provoke_accounts(Record& record) {
  Api api(record);
  const Json carla{{"name", "Carla"}, {"role", "owner"}};
  const auto with = [&](Json changes) {
    Json body = carla;
    body.update(changes);
    return call("/v1/accounts", api.operator_token, body);
  };
  api.expect({400, "invalid-argument"}, "post /v1/accounts", with({{"name", ""}}));
  api.expect({400, "invalid-argument"}, "post /v1/accounts", with({{"subject", "carla"}}));
  api.expect({400, "bad-format"}, "post /v1/accounts", with({{"role", "queen"}}));
  server::OidcVerifier oidc(
      {.issuer = "https://id.example",
       .audience = "layby",
       .role_claim = "role",
       .roles = {},
       .default_role = "owner",
       .unknown_subjects = server::UnknownSubjects::kRefuse,
       .skew_seconds = 60},
      []() -> Result<std::string> { return fail(ErrorCode::kUnavailable, "no keys"); },
      api.base.clock);
  api.services.oidc = &oidc;
  CHECK(api.send("post /v1/accounts", with({{"subject", "carla"}})).status == 201);
  api.expect({409, "already-exists"}, "post /v1/accounts", with({{"subject", "carla"}}));
  api.expect({503, "unavailable"}, "get /v1/messages",
             call("/v1/messages", "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.e30.AAAA"));
  api.services.oidc = nullptr;

  const std::string tokens = "/v1/accounts/me/tokens";
  const std::string post_token = "post /v1/accounts/{id}/tokens";
  api.expect({400, "invalid-argument"}, post_token,
             call(tokens, api.owner_token, {{"expires_days", 0}}));
  api.expect({400, "bad-format"}, post_token,
             call(tokens, api.owner_token, {{"scopes", {"everything"}}}));
  const std::string id = api.get("/v1/accounts/me", api.operator_token).body["id"];
  api.expect({403, "forbidden"}, "delete /v1/accounts/{id}",
             call("/v1/accounts/" + id, api.operator_token));
}

void provoke_cars(Record& record) {
  Api api(record);
  const auto with = [&](Json changes) {
    Json body{{"vin", kOtherVin},
              {"model", "aurora"},
              {"model_year", 2026},
              {"country", "DE"},
              {"ecus", {{{"serial", "HU-9"}, {"hardware_id", "hu-4"}}}}};
    body.update(changes);
    return call("/v1/cars", api.operator_token, body);
  };
  api.expect({409, "already-exists"}, "post /v1/cars", with({{"vin", kVin}}));
  api.expect({400, "invalid-argument"}, "post /v1/cars", with({{"vin", "X"}}));
  api.expect({400, "bad-format"}, "post /v1/cars", with({{"country", "Germany"}}));
  SimCar other(api, kOtherVin);
  api.register_car(other);
  api.expect({404, "not-found"}, "delete /v1/cars/{vin}/certificate",
             call("/v1/cars/" + std::string(kOtherVin) + "/certificate", api.operator_token));
  api.expect({400, "invalid-argument"}, "get /v1/cars/{vin}/audit/export", [&] {
    Call after = call(kCar + "/audit/export", api.operator_token);
    after.query["after"] = "100000";
    return after;
  }());
  const std::string replace = "post /v1/cars/{vin}/ecus/{serial}/replacement";
  const std::string path = "/v1/cars/WVWZZZ1JZXW000033/ecus/HU-9/replacement";
  REQUIRE(api.send("post /v1/cars", with({{"vin", "WVWZZZ1JZXW000033"},
                                          {"ecus",
                                           {{{"serial", "HU-9"}, {"hardware_id", "hu-4"}},
                                            {{"serial", "CAM-9"}, {"hardware_id", "cam-2"}}}}}))
              .status == 201);
  api.expect({409, "conflict"}, replace, call(path, api.partner_token, {{"serial", "CAM-9"}}));
  api.expect({400, "invalid-argument"}, replace, call(path, api.partner_token, {{"serial", "/"}}));
  Json ecus = api.car.pair_request("")["ecus"];
  ecus[0]["serial"] = "/";
  api.expect({400, "invalid-argument"}, "post /v1/vehicle/ecus",
             by_car(api, "/v1/vehicle/ecus", {{"ecus", ecus}}));
  ecus[0]["serial"] = "HU-STRANGE";
  api.expect({422, "wrong-ecus"}, "post /v1/vehicle/ecus",
             by_car(api, "/v1/vehicle/ecus", {{"ecus", ecus}}));
  api.accepting = false;
  api.expect({503, "not-ready"}, "get /readyz", call("/readyz"));
}

void provoke_invitations(Record& record) {
  Api api(record);
  const std::string accept = "post /v1/invitations/accept";
  const auto with = [&](const std::string& token, const std::string& code) {
    return call("/v1/invitations/accept", token, {{"code", code}});
  };
  std::vector<std::string> codes;
  for (std::size_t i = 0; i < server::kInvitationsPerCarMax; ++i)
    codes.push_back(api.post(kCar + "/invitations", api.owner_token).body["code"]);
  api.expect({413, "too-large"}, "post /v1/cars/{vin}/invitations",
             call(kCar + "/invitations", api.owner_token));
  api.expect({400, "invalid-argument"}, accept, with(api.owner_token, codes[0]));
  for (const std::string& code : codes)
    REQUIRE(api.send(accept, with(api.new_account(server::Role::kOwner, "user"), code)).status ==
            200);
  const std::string more = api.post(kCar + "/invitations", api.owner_token).body["code"];
  api.expect({413, "too-large"}, accept, with(api.second_token, more));
  for (int i = 0; i < 5; ++i)
    api.expect({403, "wrong-code"}, accept, with(api.second_token, "ABCDEFGH"));
  api.expect({429, "code-locked"}, accept, with(api.second_token, "ABCDEFGH"));
}

// Each operation of a car that is its owner's alone, by a secondary user.
void provoke_as_secondary(Record& record) {
  Api api(record);
  api.add_user(api.owner_token, api.second_token);
  const std::string token = api.second_token;
  for (const char* operation :
       {"get /v1/cars/{vin}/users", "post /v1/cars/{vin}/invitations",
        "delete /v1/cars/{vin}/invitations", "post /v1/cars/{vin}/hand-over",
        "get /v1/cars/{vin}/events", "get /v1/cars/{vin}/audit", "get /v1/cars/{vin}/audit/export",
        "post /v1/cars/{vin}/stolen", "delete /v1/cars/{vin}/stolen",
        "get /v1/cars/{vin}/consents/software-updates",
        "delete /v1/cars/{vin}/consents/software-updates"}) {
    std::string path(operation);
    path = path.substr(path.find(' ') + 1);
    path.replace(path.find("{vin}"), 5, kVin);
    api.expect({403, "owner-only"}, operation, call(path, token));
  }
  api.expect({403, "owner-only"}, "put /v1/cars/{vin}/consents/software-updates",
             call(kCar + "/consents/software-updates", token,
                  {{"language", "de"}, {"text_version", "1"}}));
  api.expect({403, "owner-only"}, "delete /v1/cars/{vin}/users/{account}",
             call(kCar + "/users/" + api.owner, token));
}

void provoke_certificates(Record& record) {
  Api api(record);
  const std::string renew = "post /v1/vehicle/certificate";
  const auto with = [&](const std::string& request) {
    return by_car(api, "/v1/vehicle/certificate", {{"certificate_request", request}});
  };
  api.expect({400, "bad-format"}, renew, with("no request"));
  api.expect({413, "too-large"}, renew, with(std::string(9 * kKiB, 'x')));
  std::string broken = crypto::make_request(crypto::generate_tls_key(), kVin).value();
  // In the signature, which stands last.
  char& last = broken[broken.rfind("\n-----END") - 12];
  last = last == 'A' ? 'B' : 'A';
  api.send(renew, with(broken));
}

void provoke_pairing(Record& record) {
  Api api(record);
  const std::string pair = "post /v1/pair";
  SimCar other(api, kOtherVin);
  api.register_car(other);
  const auto code = [&](const std::string& token) -> std::string {
    return api.post("/v1/pairing-codes", token).body["code"];
  };
  const auto with = [&](Json request, Json changes) {
    request.update(changes);
    return call("/v1/pair", "", std::move(request));
  };
  const Json good = other.pair_request(code(api.owner_token));
  api.expect({400, "invalid-argument"}, pair, with(good, {{"vin", "X"}}));
  api.expect({400, "bad-format"}, pair, with(good, {{"seal_key", std::string(64, '0')}}));
  api.expect({400, "bad-format"}, pair, with(good, {{"certificate_request", "x"}}));
  api.expect({413, "too-large"}, pair,
             with(good, {{"certificate_request", std::string(9 * kKiB, 'x')}}));
  std::string broken = good["certificate_request"];
  char& last = broken[broken.rfind("\n-----END") - 12];
  last = last == 'A' ? 'B' : 'A';
  api.send(pair, with(good, {{"certificate_request", broken}}));
  api.expect({422, "wrong-ecus"}, pair, with(good, {{"primary", "HU-77"}}));  // counts as one
  api.expect({409, "already-paired"}, pair,
             with(api.car.pair_request(code(api.second_token)), Json::object()));
  for (int i = 1; i < 5; ++i)
    api.expect({403, "wrong-code"}, pair, with(good, {{"code", "ABCDEFGH"}}));
  api.expect({429, "pairing-locked"}, pair, with(good, {{"code", "ABCDEFGH"}}));
}

void provoke_webhooks(Record& record) {
  Api api(record);
  const std::string create = "post /v1/webhooks";
  const auto with = [&](Json body) { return call("/v1/webhooks", api.operator_token, body); };
  api.expect({400, "invalid-argument"}, create, with({{"url", "ftp://127.0.0.1/x"}}));
  api.expect({400, "invalid-argument"}, create,
             with({{"url", "https://127.0.0.1/x"}, {"types", {"gossip"}}}));
  for (int i = 0; i < 100; ++i)
    REQUIRE(api.send(create, with({{"url", "https://127.0.0.1/x"}})).status == 201);
  api.expect({413, "too-large"}, create, with({{"url", "https://127.0.0.1/x"}}));
}

}  // namespace

void provoke_in_fleet(Record& record) {
  provoke_accounts(record);
  provoke_cars(record);
  provoke_invitations(record);
  provoke_as_secondary(record);
  provoke_certificates(record);
  provoke_pairing(record);
  provoke_webhooks(record);
}

}  // namespace layby::tests
