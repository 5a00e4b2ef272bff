// Tokens of an identity provider, and what attackers make of them.
#include <catch2/catch.hpp>

#include "server/fleet/account_erasure.h"
#include "server/fleet/auth.h"
#include "server/oidc/verifier.h"
#include "tests/server/oidc/test_provider.h"
#include "tests/server/shop/shop_world.h"

using namespace layby;
using namespace layby::tests;
using manifest::Json;

namespace {

constexpr const char* kIssuer = "https://id.example.com";

// A world with a provider: `document` is what it publishes, `fetches` how often it was asked.
struct ProviderWorld : ShopWorld {
  explicit ProviderWorld(server::UnknownSubjects unknown = server::UnknownSubjects::kMakeAccount)
      : rsa(KeyType::kRsa, "rsa-1"),
        ec(KeyType::kEc, "ec-1"),
        document(key_set({rsa.jwk(), ec.jwk()})),
        verifier(
            {.issuer = kIssuer,
             .audience = "layby",
             .role_claim = "realm/roles",
             .roles = {{"customer", "owner"}, {"workshop", "partner"}, {"admin", "operator"}},
             .default_role = {},
             .unknown_subjects = unknown},
            [this]() -> Result<std::string> {
              ++fetches;
              if (provider_is_down) return fail(ErrorCode::kUnavailable, "the provider is down");
              return document;
            },
            base.clock) {
    services.oidc = &verifier;
  }

  Json claims(const std::string& subject = "anna@example.org") const {
    const UnixSeconds now = base.clock.now();
    return {{"iss", kIssuer},
            {"aud", "layby"},
            {"sub", subject},
            {"name", "Anna Jwt"},
            {"email", "anna.jwt@example.org"},
            {"iat", now},
            {"exp", now + 300},
            {"realm", {{"roles", {"offline", "customer"}}}}};
  }
  Json with(const Json& changes) const {
    Json changed = claims();
    changed.update(changes);
    return changed;
  }
  int status(const std::string& token) { return get("/v1/cars", token).status; }

  ProviderKey rsa, ec;
  std::string document;
  bool provider_is_down = false;
  int fetches = 0;
  server::OidcVerifier verifier;
};

}  // namespace

TEST_CASE("OIDC: RS256 and ES256 tokens are taken, and a subject keeps its account") {
  ProviderWorld world;
  CHECK(world.status(world.rsa.token(world.claims())) == 200);
  CHECK(world.status(world.ec.token(world.claims())) == 200);
  const Json account = world.get("/v1/accounts/me", world.rsa.token(world.claims())).body;
  CHECK(account["name"] == "Anna Jwt");
  CHECK(account["role"] == "owner");
  CHECK(world.get("/v1/accounts/me", world.ec.token(world.claims())).body["id"] == account["id"]);
  CHECK(world.get("/v1/accounts/me", world.ec.token(world.claims("other"))).body["id"] !=
        account["id"]);
  // Our own tokens go on; the provider's own do not become ours.
  CHECK(world.status(world.owner_token) == 200);
  CHECK(world.post("/v1/accounts/me/tokens", world.rsa.token(world.claims()), Json::object())
            .status == 403);
  // The subject stands nowhere in the store.
  CHECK(world.all_stored().find("anna@example.org") == std::string::npos);
}

TEST_CASE("OIDC: the role is what the provider says of it today") {
  ProviderWorld world;
  CHECK(world.get("/v1/events", world.rsa.token(world.claims())).status == 403);
  const Json admin = world.with({{"realm", {{"roles", {"customer", "admin"}}}}});
  CHECK(world.get("/v1/events", world.rsa.token(admin)).status == 200);
  CHECK(world.get("/v1/events", world.rsa.token(world.claims())).status == 403);
  CHECK(world.status(world.rsa.token(world.with({{"realm", {{"roles", {"stranger"}}}}}))) == 403);
  CHECK(world.status(world.rsa.token(world.with({{"realm", "admin"}}))) == 403);
  CHECK(world.status(world.rsa.token(world.with({{"realm", {{"roles", "customer"}}}}))) == 200);
}

TEST_CASE("OIDC attack: algorithms are those of the keys and not of the token") {
  ProviderWorld world;
  const Json claims = world.claims();
  const auto unsigned_text = [&](const Json& header) {
    return base64url(header.dump()) + "." + base64url(claims.dump());
  };
  for (const char* none : {"none", "None", "NONE", ""}) {
    const std::string text = unsigned_text({{"alg", none}, {"kid", "rsa-1"}});
    CHECK(world.status(text + ".") == 401);
    CHECK(world.status(text + "." + base64url(world.rsa.sign(text))) == 401);
  }
  // The public key as the secret of an HMAC.
  for (const std::string& secret : {world.rsa.public_pem(), world.document, std::string("rsa-1")}) {
    const std::string text = unsigned_text({{"alg", "HS256"}, {"kid", "rsa-1"}});
    const auto mac = crypto::hmac_sha256(as_bytes(secret), as_bytes(text));
    CHECK(world.status(text + "." + base64url(as_text(mac))) == 401);
    const std::string lie = unsigned_text({{"alg", "RS256"}, {"kid", "rsa-1"}});
    const auto other = crypto::hmac_sha256(as_bytes(secret), as_bytes(lie));
    CHECK(world.status(lie + "." + base64url(as_text(other))) == 401);
  }
  // Each key with the other's algorithm, and with ones that are not taken.
  for (const char* algorithm : {"ES256", "RS512", "PS256", "RS384"})
    CHECK(world.status(world.rsa.token({{"alg", algorithm}, {"kid", "rsa-1"}}, claims)) == 401);
  CHECK(world.status(world.ec.token({{"alg", "RS256"}, {"kid", "ec-1"}}, claims)) == 401);
  CHECK(world.status(world.ec.token({{"alg", "ES256"}, {"kid", "rsa-1"}}, claims)) == 401);
  CHECK(world.status(world.rsa.token({{"alg", "RS256"}, {"kid", "rsa-1"}}, claims)) == 200);
}

TEST_CASE("OIDC attack: a token cannot bring its own key, and symmetric ones are never taken") {
  ProviderWorld world;
  const ProviderKey mine(KeyType::kRsa, "rsa-1");
  const Json claims = world.claims();
  CHECK(world.status(mine.token(claims)) == 401);
  CHECK(world.status(
            mine.token({{"alg", "RS256"}, {"kid", "rsa-1"}, {"jwk", mine.jwk()}}, claims)) == 401);
  CHECK(world.status(mine.token({{"alg", "RS256"},
                                 {"kid", "rsa-1"},
                                 {"jku", "https://attacker.example/keys"},
                                 {"x5u", "https://attacker.example/cert"}},
                                claims)) == 401);
  CHECK(world.status(mine.token({{"alg", "RS256"}}, claims)) == 401);
  CHECK(world.status(world.rsa.token({{"alg", "RS256"}, {"kid", "rsa-1"}, {"crit", {"exp"}}},
                                     claims)) == 401);
  CHECK(world.status(world.rsa.token({{"alg", "RS256"}, {"kid", "rsa-1"}, {"typ", "logout+jwt"}},
                                     claims)) == 401);
  // In the set: a symmetric key, one too short, one for encryption.
  const ProviderKey weak(KeyType::kShortRsa, "weak");
  const ProviderKey sealing(KeyType::kRsa, "sealing");
  Json encryption = sealing.jwk();
  encryption["use"] = "enc";
  const Json symmetric{{"kty", "oct"}, {"kid", "shared"}, {"k", base64url("secret")}};
  const auto set =
      server::KeySet::parse(key_set({world.rsa.jwk(), weak.jwk(), encryption, symmetric}));
  REQUIRE(set);
  CHECK(set->size() == 1);
  // One id, two keys: neither is believed.
  const auto twice = server::KeySet::parse(key_set({world.rsa.jwk(), mine.jwk(), world.ec.jwk()}));
  REQUIRE(twice);
  CHECK_FALSE(twice->contains("rsa-1"));
  CHECK(twice->contains("ec-1"));
  CHECK(twice->odd().size() == 1);
  CHECK_FALSE(server::KeySet::parse("{}"));
}

TEST_CASE("OIDC attack: altered, foreign, expired and endless tokens are refused") {
  ProviderWorld world;
  const UnixSeconds now = world.base.clock.now();
  const std::string good = world.rsa.token(world.claims());
  REQUIRE(world.status(good) == 200);
  for (const std::size_t at : {good.find('.') + 5, good.rfind('.') + 9, good.size() - 3}) {
    std::string bad = good;
    bad[at] = bad[at] == 'A' ? 'B' : 'A';
    CHECK(world.status(bad) == 401);
  }
  CHECK(world.status(good + "=") == 401);
  CHECK(world.status(good + ".x") == 401);
  CHECK(world.status(good.substr(0, good.rfind('.') + 1)) == 401);
  CHECK(world.status(std::string(20'000, 'a') + ".b.c") == 401);
  CHECK(world.status("..") == 401);
  for (const Json& changes : std::vector<Json>{
           {{"iss", "https://id.example.com/"}},
           {{"iss", "https://evil.example"}},
           {{"aud", "other"}},
           {{"aud", {"other", "another"}}},
           {{"aud", nullptr}},
           {{"exp", now - 61}},
           {{"exp", "tomorrow"}},
           {{"exp", -1}},
           {{"nbf", now + 61}},
           {{"iat", now + 3600}},
           {{"sub", ""}},
           {{"sub", 7}},
       }) {
    INFO(changes.dump());
    CHECK(world.status(world.rsa.token(world.with(changes))) == 401);
  }
  Json endless = world.claims();
  endless.erase("exp");
  CHECK(world.status(world.rsa.token(endless)) == 401);
  // Within the skew, and one of several audiences.
  CHECK(world.status(world.rsa.token(world.with({{"exp", now - 59}}))) == 200);
  CHECK(world.status(world.rsa.token(world.with({{"nbf", now + 59}}))) == 200);
  CHECK(world.status(world.rsa.token(world.with({{"aud", {"other", "layby"}}}))) == 200);
}

TEST_CASE("OIDC: keys are rotated; unknown key ids do not make us hammer the provider") {
  ProviderWorld world;
  REQUIRE(world.status(world.rsa.token(world.claims())) == 200);
  CHECK(world.fetches == 1);
  const ProviderKey next(KeyType::kRsa, "rsa-2");
  for (int i = 0; i < 50; ++i) CHECK(world.status(next.token(world.claims())) == 401);
  CHECK(world.fetches == 1);
  world.document = key_set({next.jwk()});
  world.base.clock.advance_ms(server::kKeysFetchedAgainMs);
  CHECK(world.status(next.token(world.claims())) == 200);
  CHECK(world.fetches == 2);
  CHECK(world.status(world.rsa.token(world.claims())) == 401);  // its key is gone

  // A key that the provider took back is noticed without anybody naming a new one.
  world.document = key_set({world.ec.jwk()});
  world.base.clock.advance_ms(server::kKeysOldMs + 1);
  CHECK(world.status(next.token(world.claims())) == 401);
  CHECK(world.status(world.ec.token(world.claims())) == 200);

  // While the provider is down its last keys hold for a day, and no longer.
  world.provider_is_down = true;
  world.base.clock.advance_ms(server::kKeysOldMs + 1);
  CHECK(world.status(world.ec.token(world.claims())) == 200);
  world.base.clock.advance_ms(server::kKeysStaleMs);
  CHECK(world.status(world.ec.token(world.claims())) == 503);
  world.provider_is_down = false;
  world.base.clock.advance_ms(server::kKeysFetchedAgainMs);
  CHECK(world.status(world.ec.token(world.claims())) == 200);
}

TEST_CASE("OIDC: one odd key of the provider's takes no other away") {
  ProviderWorld world;
  const Json unreadable{{"kty", "RSA"}, {"kid", "odd"}, {"n", "!"}, {"e", "AQAB"}};
  const Json other_curve{{"kty", "EC"}, {"crv", "P-521"}, {"kid", "big"}, {"x", "AA"}, {"y", "AA"}};
  world.document = key_set({unreadable, other_curve, world.rsa.jwk()});
  CHECK(world.status(world.rsa.token(world.claims())) == 200);
  const ProviderKey odd(KeyType::kRsa, "odd");
  CHECK(world.status(odd.token(world.claims())) == 401);
}

TEST_CASE("OIDC: numbers that JSON allows and ours does not are no reason to refuse a token") {
  ProviderWorld world;
  const auto now = static_cast<double>(world.base.clock.now());
  Json claims = world.claims();
  claims["exp"] = now + 300.0;
  claims["iat"] = now;
  claims["score"] = 0.25;
  claims["huge"] = 1e300;
  claims["text"] = "not 1.5 \" a number 2.5";
  CHECK(world.status(world.rsa.token(claims)) == 200);
  claims["exp"] = now + 300.5;
  CHECK(world.status(world.rsa.token(claims)) == 401);
  claims["exp"] = now - 61.0;
  CHECK(world.status(world.rsa.token(claims)) == 401);
}

TEST_CASE("OIDC: claims that are no JSON are refused, in a number too") {
  ProviderWorld world;
  const auto status_with = [&](const std::string& number) {
    std::string claims = world.claims().dump();
    claims.insert(1, "\"score\":" + number + ",");
    const std::string body =
        base64url(R"({"alg":"RS256","kid":"rsa-1"})") + "." + base64url(claims);
    return world.status(body + "." + base64url(world.rsa.sign(body)));
  };
  for (const char* number : {"0", "-0", "10", "-1.5", "0.25e-3", "1E+400"})
    CHECK(status_with(number) == 200);
  for (const char* number : {"01", "-", "-01", "1.", "-.5", "1e", "1.e5", "1-2", "1.2.3"})
    CHECK(status_with(number) == 401);
}

TEST_CASE("P2.7: a deleted account does not come back by the token that it was deleted with") {
  ProviderWorld world;
  const std::string token = world.rsa.token(world.claims());
  const std::string id = world.get("/v1/accounts/me", token).body["id"];
  REQUIRE(world.call(server::Method::kDelete, "/v1/accounts/me", token).status == 204);
  // The app goes on polling with what it has.
  CHECK(world.status(token) == 401);
  CHECK(world.all_stored().find("Anna Jwt") == std::string::npos);
  Json timeless = world.claims();
  timeless.erase("iat");
  CHECK(world.status(world.rsa.token(timeless)) == 401);
  // Who signs in afresh is somebody new.
  world.base.clock.advance(1);
  const Answered fresh = world.get("/v1/accounts/me", world.rsa.token(world.claims()));
  REQUIRE(fresh.status == 200);
  CHECK(fresh.body["id"] != id);
  CHECK(world.status(world.rsa.token(world.claims("other"))) == 200);
}

TEST_CASE("OIDC: a repeat with a refreshed token gets the first answer") {
  ProviderWorld world;
  const std::string path = "/v1/orders";
  SimCar car(world, kVin);
  world.register_car(car);
  car.pair(world.rsa.token(world.claims()));
  REQUIRE(car.report().status == 200);
  world.sell("adaptive-cruise");
  const Json order{{"vin", kVin}, {"kind", "function"}, {"product", "adaptive-cruise"}};
  const Answered placed = world.post(path, world.rsa.token(world.claims()), order, "once");
  REQUIRE(placed.status == 201);
  world.base.clock.advance(120);
  const Answered again = world.post(path, world.rsa.token(world.claims()), order, "once");
  CHECK(again.text == placed.text);
}

TEST_CASE("OIDC: without leave to make accounts only those of the operator count") {
  ProviderWorld world(server::UnknownSubjects::kRefuse);
  CHECK(world.status(world.rsa.token(world.claims("bert"))) == 401);
  const Json wanted{{"name", "Bert"}, {"role", "owner"}, {"subject", "bert"}};
  const Answered made = world.post("/v1/accounts", world.operator_token, wanted);
  REQUIRE(made.status == 201);
  CHECK_FALSE(made.body.contains("token"));
  CHECK(world.post("/v1/accounts", world.operator_token, wanted).status == 409);
  const Answered me = world.get("/v1/accounts/me", world.rsa.token(world.claims("bert")));
  CHECK(me.body["id"] == made.body["id"]);
  // P2.7: erased, the provider's word opens nothing any more.
  REQUIRE(world
              .call(server::Method::kDelete, "/v1/accounts/" + made.body["id"].get<std::string>(),
                    world.operator_token)
              .status == 204);
  CHECK(world.status(world.rsa.token(world.claims("bert"))) == 401);
}
