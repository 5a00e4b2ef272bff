// Scopes: what a token may be used for, within what its account may do.
#pragma once

#include <optional>
#include <set>
#include <string_view>

#include "base/result.h"
#include "server/http/message.h"

namespace layby::server {

enum class Scope {
  kRead,       // everything that only looks
  kAccounts,   // accounts and their tokens
  kCars,       // cars, their users, pairing, hand-over, consents
  kOrders,     // orders and offers
  kCatalogue,  // products
  kReleases,   // images, uploads, payloads, rollouts
  kEvents,     // outgoing events, messages, webhooks
};
inline constexpr Scope kScopes[] = {Scope::kRead,   Scope::kAccounts,  Scope::kCars,
                                    Scope::kOrders, Scope::kCatalogue, Scope::kReleases,
                                    Scope::kEvents};
std::string_view to_string(Scope scope);  // "read", "accounts", …
Result<Scope> parse_scope(std::string_view text);

// Empty: everything that the account may do.
using Scopes = std::set<Scope>;

// Whether a token with these scopes may make this call. A path that no scope covers is for tokens
// without scopes.
bool allows(const Scopes& scopes, Method method, std::string_view path);

// Whether `wanted` gives nothing that `held` does not: who has a narrow token cannot make a wider
// one from it.
bool is_within(const Scopes& wanted, const Scopes& held);

}  // namespace layby::server
