// docs/openapi.yaml and the server's routes, held to each other in both directions. What is in the
// document besides the routes is checked by openapi_document.py.
#include <catch2/catch.hpp>
#include <fstream>
#include <map>
#include <regex>
#include <set>

#include "server/config/config.h"
#include "server/director/routes.h"
#include "server/fleet/auth.h"
#include "server/fleet/event_sequence.h"
#include "server/fleet/routes.h"
#include "server/intake/intake.h"
#include "server/laybyd/operations_routes.h"
#include "server/metrics/metrics.h"
#include "server/outbox/routes.h"
#include "server/payloads/payload_routes.h"
#include "server/payloads/uploads.h"
#include "server/release/routes.h"
#include "server/rollout/routes.h"
#include "server/shop/routes.h"
#include "tests/server/test_services.h"

using namespace layby;
using namespace layby::server;

namespace {

std::string name_of(Method method) {
  switch (method) {
    case Method::kGet: return "get";
    case Method::kHead: return "head";
    case Method::kPost: return "post";
    case Method::kPut: return "put";
    case Method::kPatch: return "patch";
    case Method::kDelete: return "delete";
  }
  return "";
}

// "get /v1/x" -> whether anybody may call it.
enum class Open { kNo, kYes };
std::map<std::string, Open> documented_routes() {
  std::ifstream file(std::string(LAYBY_SOURCE_DIR) + "/docs/openapi.yaml");
  REQUIRE(file);
  std::map<std::string, Open> routes;
  std::string line;
  std::string path;
  std::string route;
  bool in_paths = false;
  while (std::getline(file, line)) {
    if (!line.empty() && line[0] != ' ') in_paths = line == "paths:";
    if (!in_paths || line.empty()) continue;
    if (line == "      security: []") routes[route] = Open::kYes;
    if (line.back() != ':') continue;
    if (line.rfind("  /", 0) == 0) path = line.substr(2, line.size() - 3);
    if (line.rfind("    ", 0) == 0 && line.find(' ', 4) == std::string::npos) {
      route = line.substr(4, line.size() - 5) + " " + path;
      routes.emplace(route, Open::kNo);
    }
  }
  return routes;
}

// All routes, over a store of their own.
struct Served {
  Served() : uploads(base.services, {}), shifted(base.clock) {
    events = EventSequence::open(base.services.store).value();
    base.services.events = events.get();
    add_operations_routes(router, base.services, metrics, accepting);
    add_simulation_routes(router, base.services, shifted);
    add_payload_routes(
        router, base.services, uploads,
        [this](const Request& request) -> Result<PayloadCaller> {
          return authenticate(base.services, request).map([](auto&&) { return PayloadCaller{}; });
        },
        [](const std::string&, const crypto::Digest256&) -> Result<bool> { return false; });
    add_fleet_routes(router, base.services);
    add_shop_routes(router, base.services);
    add_release_routes(router, base.services);
    add_director_routes(router, base.services);
    add_rollout_routes(router, base.services);
    add_outbox_routes(router, base.services);
    add_intake_routes(router, base.services);
  }

  tests::TestServices base;
  Metrics metrics;
  Uploads uploads;
  ShiftedClock shifted;
  const std::atomic<bool> accepting{true};
  std::unique_ptr<EventSequence> events;
  Router router;
};

std::string documented_name(const Route& route) {
  std::string path = route.path;
  const std::size_t rest = path.find("...");
  if (rest != std::string::npos) path.erase(rest, 3);  // OpenAPI knows no rest of a path
  return name_of(route.method) + " " + path;
}

}  // namespace

TEST_CASE("every route of the server is in docs/openapi.yaml, and no other") {
  const std::map<std::string, Open> documented = documented_routes();
  const Served server;
  std::set<std::string> served;
  for (const Route& route : server.router.routes()) served.insert(documented_name(route));
  CHECK(served.size() > 40);
  for (const std::string& route : served) {
    INFO("served, not documented: " << route);
    CHECK(documented.contains(route));
  }
  for (const auto& [route, open] : documented) {
    INFO("documented, not served: " << route);
    CHECK(served.contains(route));
  }
}

TEST_CASE("every route that is not open to all refuses who shows nothing, or shows what is wrong") {
  const std::map<std::string, Open> documented = documented_routes();
  const Served server;
  for (const Route& route : server.router.routes()) {
    const std::string name = documented_name(route);
    INFO(name);
    if (documented.at(name) == Open::kYes) continue;
    // Says only whether there is such an image; packages of functions are for entitled cars.
    if (name == "get /v1/repositories/image/targets/{path}") continue;
    Request request;
    request.method = route.method;
    request.path = std::regex_replace(route.path, std::regex(R"(\{vin\})"), "WVWZZZ1JZXW000017");
    request.path =
        std::regex_replace(request.path, std::regex(R"(\{sha256\})"), std::string(64, 'a'));
    request.path = std::regex_replace(request.path, std::regex(R"(\{[^}]*\})"), "x");
    const Response nobody = server.router.handle(request);
    CHECK(nobody.status == 401);
    CHECK(nobody.headers.at("Content-Type") == "application/problem+json");
    CHECK_THAT(std::get<std::string>(nobody.body), Catch::Contains("\"code\":\"unauthenticated\""));
    request.headers["authorization"] = "Bearer lt_" + std::string(64, '0');
    CHECK(server.router.handle(request).status == 401);
    request.headers["authorization"] = "Basic b3BlcmF0b3I6";
    CHECK(server.router.handle(request).status == 401);
    // A certificate of a car that nobody knows.
    request.headers.clear();
    request.peer = PeerCertificate{.common_name = "WVWZZZ1JZXW000017", .fingerprint = {1}};
    CHECK(server.router.handle(request).status == 401);
  }
}
