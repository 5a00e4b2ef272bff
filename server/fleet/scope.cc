#include "server/fleet/scope.h"

#include <algorithm>

#include "base/assert.h"

namespace layby::server {
namespace {

struct Coverage {
  std::string_view prefix;  // of the path
  std::string_view part;    // must follow somewhere behind the prefix; empty: anything may
  Scope scope;
};

// The first row that fits decides.
constexpr Coverage kCoverage[] = {
    {"/v1/accounts", "", Scope::kAccounts},
    {"/v1/cars/", "/orders", Scope::kOrders},
    {"/v1/cars/", "/offers", Scope::kOrders},
    {"/v1/cars/", "/events", Scope::kEvents},
    {"/v1/cars", "", Scope::kCars},
    {"/v1/silent-cars", "", Scope::kCars},
    {"/v1/pairing-codes", "", Scope::kCars},
    {"/v1/pair", "", Scope::kCars},
    {"/v1/invitations/", "", Scope::kCars},
    {"/v1/orders", "", Scope::kOrders},
    {"/v1/catalogue/", "", Scope::kCatalogue},
    {"/v1/repositories/", "", Scope::kReleases},
    {"/v1/uploads", "", Scope::kReleases},
    {"/v1/payload", "", Scope::kReleases},  // payloads, payload-jobs
    {"/v1/rollouts", "", Scope::kReleases},
    {"/v1/events", "", Scope::kEvents},
    {"/v1/messages", "", Scope::kEvents},
    {"/v1/webhooks", "", Scope::kEvents},
};

std::optional<Scope> scope_of(std::string_view path) {
  for (const Coverage& row : kCoverage)
    if (path.starts_with(row.prefix) &&
        path.substr(row.prefix.size()).find(row.part) != std::string_view::npos)
      return row.scope;
  return std::nullopt;
}

}  // namespace

std::string_view to_string(Scope scope) {
  switch (scope) {
    case Scope::kRead: return "read";
    case Scope::kAccounts: return "accounts";
    case Scope::kCars: return "cars";
    case Scope::kOrders: return "orders";
    case Scope::kCatalogue: return "catalogue";
    case Scope::kReleases: return "releases";
    case Scope::kEvents: return "events";
  }
  LAYBY_ASSERT(false);
}

Result<Scope> parse_scope(std::string_view text) {
  for (const Scope scope : kScopes)
    if (to_string(scope) == text) return scope;
  return fail(ErrorCode::kBadFormat,
              "scope \"{}\": one of read, accounts, cars, orders, catalogue, releases, events",
              text);
}

bool allows(const Scopes& scopes, Method method, std::string_view path) {
  if (scopes.empty()) return true;
  if ((method == Method::kGet || method == Method::kHead) && scopes.contains(Scope::kRead))
    return true;
  const std::optional<Scope> needed = scope_of(path);
  return needed && scopes.contains(*needed);
}

bool is_within(const Scopes& wanted, const Scopes& held) {
  if (held.empty()) return true;
  return !wanted.empty() && std::includes(held.begin(), held.end(), wanted.begin(), wanted.end());
}

}  // namespace layby::server
