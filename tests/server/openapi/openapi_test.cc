// docs/openapi.yaml and the server's routes, held to each other in both directions. What is in the
// document besides the routes is checked by openapi_document.py.
#include <catch2/catch.hpp>
#include <fstream>
#include <set>

#include "server/config/config.h"
#include "server/director/routes.h"
#include "server/fleet/routes.h"
#include "server/intake/intake.h"
#include "server/laybyd/operations_routes.h"
#include "server/metrics/metrics.h"
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

std::set<std::string> documented_routes() {
  std::ifstream file(std::string(LAYBY_SOURCE_DIR) + "/docs/openapi.yaml");
  REQUIRE(file);
  std::set<std::string> routes;
  std::string line;
  std::string path;
  bool in_paths = false;
  while (std::getline(file, line)) {
    if (!line.empty() && line[0] != ' ') in_paths = line == "paths:";
    if (!in_paths || line.empty() || line.back() != ':') continue;
    if (line.rfind("  /", 0) == 0) path = line.substr(2, line.size() - 3);
    if (line.rfind("    ", 0) == 0 && line.find(' ', 4) == std::string::npos)
      routes.insert(line.substr(4, line.size() - 5) + " " + path);
  }
  return routes;
}

std::set<std::string> server_routes() {
  tests::TestServices base;
  Router router;
  const std::atomic<bool> accepting{true};
  Metrics metrics;
  ShiftedClock shifted(base.clock);
  Uploads uploads(base.services, {});
  add_operations_routes(router, base.services, metrics, accepting);
  add_simulation_routes(router, base.services, shifted);
  add_payload_routes(
      router, base.services, uploads,
      [](const Request&) -> Result<PayloadCaller> { return PayloadCaller{}; },
      [](const std::string&, const crypto::Digest256&) -> Result<bool> { return false; });
  add_fleet_routes(router, base.services);
  add_shop_routes(router, base.services);
  add_release_routes(router, base.services);
  add_director_routes(router, base.services);
  add_rollout_routes(router, base.services);
  add_intake_routes(router, base.services);
  std::set<std::string> routes;
  for (const Route& route : router.routes()) {
    std::string path = route.path;
    const std::size_t rest = path.find("...");
    if (rest != std::string::npos) path.erase(rest, 3);  // OpenAPI knows no rest of a path
    routes.insert(name_of(route.method) + " " + path);
  }
  return routes;
}

}  // namespace

TEST_CASE("every route of the server is in docs/openapi.yaml, and no other") {
  const std::set<std::string> documented = documented_routes();
  const std::set<std::string> served = server_routes();
  CHECK(served.size() > 40);
  for (const std::string& route : served) {
    INFO("served, not documented: " << route);
    CHECK(documented.contains(route));
  }
  for (const std::string& route : documented) {
    INFO("documented, not served: " << route);
    CHECK(served.contains(route));
  }
}
