// docs/openapi.yaml and the server, held to each other: every route is in the document and no
// other, every operation succeeds as described, and every refusal that the document names is
// provoked, and no other is met. What is in the document besides is checked by openapi_document.py.
#include <catch2/catch.hpp>
#include <regex>

#include "tests/server/openapi/api_world.h"

using namespace layby;
using namespace layby::tests;
using manifest::Json;
using server::Response;
using server::Role;

namespace {

constexpr const char* kAfter = "#/components/parameters/After";
constexpr const char* kLimit = "#/components/parameters/Limit";

bool takes_idempotency_key(const Operation& operation) {
  return operation.has_parameter("#/components/parameters/IdempotencyKey") ||
         operation.has_parameter("#/components/parameters/RequiredIdempotencyKey");
}

// What no handler can be made to say, and where it is said instead.
const std::map<std::string, std::string> kElsewhere = {
    {"400 bad-request", "what is no HTTP has no operation: tests/server/http"},
    {"429 too-many-requests", "before the operation: tests/server/fleet/write_pace_test.cc"},
    {"431 header-too-large", "nor has a header that is too long: tests/server/http"},
    {"501 unknown-method", "nor has a method that nobody knows: tests/server/http"},
};

// What succeeds only where images are published and signed for, and where it is shown instead.
const std::map<std::string, std::string> kDoneElsewhere = {
    {"post /v1/cars/{vin}/offline-package", "tests/e2e/offline_test.py"},
};

std::map<std::string, Prepare> all_good_calls() {
  std::map<std::string, Prepare> all;
  for (auto* calls : {good_account_calls, good_car_calls, good_trail_calls, good_order_calls,
                      good_vehicle_calls, good_publishing_calls, good_release_calls})
    all.merge(calls());
  return all;
}

// Nobody, somebody unknown, and those whom it is not for.
void try_callers(Api& api, const Operation& operation, const Call& good) {
  Call call = good;
  call.token.clear();
  call.peer.reset();
  api.send(operation.name, call);
  call.token = "lt_" + std::string(64, '0');
  if (operation.is_open()) {
    api.send(operation.name, call);
    return;
  }
  api.expect({401, "unauthenticated"}, operation.name, call);
  call.token.clear();
  call.peer = server::PeerCertificate{.common_name = kVin, .fingerprint = {1}};
  api.expect({401, "unauthenticated"}, operation.name, call);
  if (operation.is_of_vehicles()) {
    if (operation.name == "get /v1/payloads/{sha256}") return;
    call.peer.reset();
    call.token = api.operator_token;
    return api.expect({403, "forbidden"}, operation.name, call);
  }
  call.peer = api.car.certificate;
  api.expect({403, "forbidden"}, operation.name, call);
  // A token for something else.
  const std::string scope =
      good.path.find("/catalogue") == std::string::npos ? "catalogue" : "cars";
  const Answered narrow = api.post("/v1/accounts/me/tokens", good.token, {{"scopes", {scope}}});
  REQUIRE(narrow.status == 201);
  call.peer.reset();
  call.token = narrow.body["token"];
  api.expect({403, "forbidden"}, operation.name, call);
  const std::string callers = operation.description->at("x-callers").dump();
  for (const std::string& token :
       {api.operator_token, api.partner_token, api.owner_token, api.second_token}) {
    // Those who may do it change the world: that is for last.
    const bool itself =
        token == api.second_token && callers.find("\"itself\"") != std::string::npos;
    if (token == good.token || itself) continue;
    call.token = token;
    api.send(operation.name, call);
  }
}

void try_bodies(Api& api, const Operation& operation, const Call& good) {
  Call call = good;
  if (operation.description->contains("requestBody")) {
    call.body = nullptr;
    call.bytes = std::string(17 * kMiB, ' ');
    api.expect({413, "too-large"}, operation.name, call);
  }
  if (operation.json_request() == nullptr) return;
  for (const char* text : {"{", "{\"a\":1,\"a\":2}", "[]", "{\"no-such-field\":1}", "{}"}) {
    call.body = nullptr;
    call.bytes = text;
    if (!call.headers["idempotency-key"].empty()) call.headers["idempotency-key"] += "x";
    const Response response = api.send(operation.name, call);
    if (std::string_view(text) != "{}") CHECK(response.status / 100 == 4);
  }
}

// `with` in the place of each value of the path, one after the other.
void try_paths(Api& api, const Operation& operation, const Call& good) {
  const std::string shape = operation.name.substr(operation.name.find(' ') + 1);
  const std::regex slot(R"(\{[^}]*\})");
  std::smatch found;
  std::string pattern = std::regex_replace(shape, std::regex(R"([.])"), "\\.");
  pattern = std::regex_replace(pattern, slot, "(.+)");
  REQUIRE(std::regex_match(good.path, found, std::regex(pattern)));
  for (std::size_t i = 1; i < found.size(); ++i) {
    for (const std::string& other :
         {std::string("x"), std::string("WVWZZZ1JZXW000033"), std::string(64, 'a'),
          std::string("ord_01HZX000000000000000000000"), std::string("99")}) {
      Call call = good;
      call.path.replace(static_cast<std::size_t>(found.position(i)),
                        static_cast<std::size_t>(found.length(i)), other);
      api.send(operation.name, call);
    }
  }
}

void try_pages(Api& api, const Operation& operation, const Call& good) {
  Call call = good;
  if (operation.has_parameter(kLimit)) {
    call.query["limit"] = "0";
    api.expect({400, "invalid-argument"}, operation.name, call);
    call.query["limit"] = "1";
    api.send(operation.name, call);
    call.query.erase("limit");
  }
  if (operation.has_parameter(kAfter)) {
    call.query["after"] = "x";
    api.send(operation.name, call);
  }
}

void try_idempotency_keys(Api& api, const Operation& operation, const Call& good) {
  if (!takes_idempotency_key(operation)) return;
  Call call = good;
  call.headers["idempotency-key"] = std::string(300, 'k');
  api.expect({400, "invalid-argument"}, operation.name, call);
}

// After it was done once.
void try_again(Api& api, const Operation& operation, const Call& good) {
  if (!takes_idempotency_key(operation)) return;
  Call call = good;
  call.body = nullptr;
  call.bytes = good.body.is_null() ? "{}" : good.body.dump() + " ";
  api.expect({422, "idempotency-key-reused"}, operation.name, call);
}

void walk(Record& record, const Operation& operation, const Prepare& prepare) {
  Api api(record);
  Call good = prepare(api);
  try_callers(api, operation, good);
  try_bodies(api, operation, good);
  try_paths(api, operation, good);
  try_pages(api, operation, good);
  try_idempotency_keys(api, operation, good);
  api.store().fault = FaultyStore::Fault::kIo;
  const Response failed = api.send(operation.name, good);
  if (operation.description->at("security") != Json::array())
    CHECK(OpenApi::problem_of(failed).text() == "500 internal");
  api.store().fault = FaultyStore::Fault::kNone;
  if (takes_idempotency_key(operation)) good.headers["idempotency-key"] = "good";
  const Response done = api.send(operation.name, good);
  const auto* text = std::get_if<std::string>(&done.body);
  INFO(operation.name << ": " << (text != nullptr ? *text : "a file"));
  CHECK((done.status / 100 == 2 || kDoneElsewhere.contains(operation.name)));
  try_again(api, operation, good);
}

// What every operation can say, and what is said where there is none.
void provoke_anywhere(Record& record, std::set<std::string>& unrouted) {
  Api api(record);
  const Call code = call("/v1/pairing-codes", api.owner_token);
  api.store().fault = FaultyStore::Fault::kConflict;
  api.expect({503, "unavailable"}, "post /v1/pairing-codes", code);
  api.store().fault = FaultyStore::Fault::kNone;
  Call large = code;
  large.bytes = std::string(kMiB, ' ');
  api.expect({413, "too-large"}, "post /v1/pairing-codes", large);
  for (const char* path : {"/v1/nowhere", "/v1/pairing-codes"}) {
    server::Request request;
    request.path = path;
    unrouted.insert(OpenApi::problem_of(api.router.handle(request)).text());
  }
}

std::set<std::string> texts(const std::set<NamedProblem>& problems) {
  std::set<std::string> all;
  for (const NamedProblem& problem : problems) all.insert(problem.text());
  return all;
}

void check_operation(const Operation& operation, const Record& record) {
  const auto met = record.problems.find(operation.name);
  for (const NamedProblem& problem : operation.problems) {
    INFO("documented, never provoked: " << operation.name << ": " << problem.text());
    CHECK((met != record.problems.end() && met->second.contains(problem)));
  }
  const auto done = record.successes.find(operation.name);
  for (const auto& [status, answer] : (*operation.description)["responses"].items()) {
    if (std::stoi(status) >= 400 || kDoneElsewhere.contains(operation.name)) continue;
    INFO("documented, never answered: " << operation.name << ": " << status);
    CHECK((done != record.successes.end() && done->second.contains(std::stoi(status))));
  }
}

}  // namespace

TEST_CASE("every route of the server is in docs/openapi.yaml, and no other") {
  Record record;
  const Api api(record);
  std::set<std::string> served;
  for (const server::Route& route : api.router.routes()) served.insert(OpenApi::name_of(route));
  std::set<std::string> documented;
  for (const auto& [name, operation] : OpenApi::document().operations()) documented.insert(name);
  CHECK(served.size() > 60);
  for (const std::string& route : served) {
    INFO("served, not documented: " << route);
    CHECK(documented.contains(route));
  }
  for (const std::string& route : documented) {
    INFO("documented, not served: " << route);
    CHECK(served.contains(route));
  }
}

TEST_CASE("every route and every error of docs/openapi.yaml is met, and no other") {
  Record record;
  const std::map<std::string, Prepare> good = all_good_calls();
  const OpenApi& document = OpenApi::document();
  for (const auto& [name, operation] : document.operations()) {
    INFO(name);
    REQUIRE(good.contains(name));
    walk(record, operation, good.at(name));
  }
  provoke_in_fleet(record);
  provoke_in_shop(record);
  provoke_in_release(record);
  provoke_roots(record);
  std::set<std::string> unrouted;
  provoke_anywhere(record, unrouted);
  for (const auto& [name, operation] : document.operations()) check_operation(operation, record);
  std::set<NamedProblem> met;
  for (const auto& [name, problems] : record.problems) met.insert(problems.begin(), problems.end());
  for (const NamedProblem& problem : document.anywhere()) {
    INFO("documented for all, never provoked: " << problem.text());
    CHECK(met.contains(problem));
  }
  for (const auto& [problem, where] : kElsewhere) unrouted.insert(problem);
  CHECK(texts(document.unrouted()) == unrouted);
}
