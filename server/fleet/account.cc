#include "server/fleet/account.h"

#include "base/assert.h"
#include "base/time_text.h"
#include "crypto/digest.h"
#include "crypto/random.h"
#include "manifest/json_value.h"
#include "server/fleet/json_answer.h"

namespace layby::server {

using manifest::Json;

namespace {

constexpr std::string_view kTokenPrefix = "lt_";
constexpr std::size_t kTokenRandomBytes = 32;
constexpr std::size_t kTextBytesMax = 200;

std::string account_key(std::string_view id) {
  return "a/" + std::string(id);
}

std::string token_key(std::string_view digest) {
  return "t/" + std::string(digest);
}

std::string token_digest(std::string_view token) {
  return to_hex(crypto::sha256(as_bytes(token)));
}

void save_account(Change& change, const Account& account) {
  Json tokens = Json::array();
  for (const TokenMark& token : account.tokens)
    tokens.push_back({{"digest", token.digest}, {"expires", format_utc(token.expires)}});
  Json json{{"id", account.id},
            {"name", account.name},
            {"role", std::string(to_string(account.role))},
            {"created", format_utc(account.created)},
            {"tokens", std::move(tokens)}};
  if (account.email) json["email"] = *account.email;
  change.put(account_key(account.id), to_stored(json));
}

Result<Account> decode_account(std::string_view text) {
  const Json json = TRY(parse_stored("account", text));
  auto id = TRY(manifest::text_field(json, "id"));
  auto name = TRY(manifest::text_field(json, "name"));
  auto role = TRY(manifest::text_field(json, "role").and_then(parse_role));
  auto created = TRY(manifest::time_field(json, "created"));
  Account account{.id = std::move(id),
                  .name = std::move(name),
                  .role = std::move(role),
                  .email = std::nullopt,
                  .created = std::move(created),
                  .tokens = {}};
  if (manifest::find_field(json, "email")) account.email = TRY(manifest::text_field(json, "email"));
  for (const Json& token : *TRY(manifest::array_field(json, "tokens"))) {
    auto digest = TRY(manifest::text_field(token, "digest"));
    auto expires = TRY(manifest::time_field(token, "expires"));
    account.tokens.push_back({.digest = std::move(digest), .expires = std::move(expires)});
  }
  return account;
}

}  // namespace

std::string_view to_string(Role role) {
  switch (role) {
    case Role::kOperator: return "operator";
    case Role::kPartner: return "partner";
    case Role::kOwner: return "owner";
  }
  LAYBY_ASSERT(false);
}

Result<Role> parse_role(std::string_view text) {
  for (const Role role : {Role::kOperator, Role::kPartner, Role::kOwner}) {
    if (to_string(role) == text) return role;
  }
  return fail(ErrorCode::kBadFormat, "role: \"operator\", \"partner\" or \"owner\"");
}

Result<NewAccount> create_account(Change& change, const AccountRequest& request, UnixSeconds now) {
  if (request.name.empty() || request.name.size() > kTextBytesMax)
    return fail(ErrorCode::kInvalidArgument, "name: 1 to {} bytes", kTextBytesMax);
  if (request.email && (request.email->empty() || request.email->size() > kTextBytesMax))
    return fail(ErrorCode::kInvalidArgument, "email: 1 to {} bytes", kTextBytesMax);
  constexpr std::string_view kCrockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  NewAccount made{.account = {.id = "acc_" + crypto::random_text(kCrockford, 26),
                              .name = request.name,
                              .role = request.role,
                              .email = request.email,
                              .created = now,
                              .tokens = {}},
                  .token = {}};
  made.token = add_token(change, made.account, now);
  return made;
}

Result<Account> load_account(Change& change, std::string_view id) {
  const std::optional<std::string> text = TRY(change.get(account_key(id)));
  if (!text) return fail(ErrorCode::kNotFound, "no account {}", id);
  return decode_account(*text);
}

std::string add_token(Change& change, Account& account, UnixSeconds now) {
  while (account.tokens.size() >= kTokensPerAccountMax) {
    change.erase(token_key(account.tokens.front().digest));
    account.tokens.erase(account.tokens.begin());
  }
  std::string token(kTokenPrefix);
  token += to_hex(crypto::random_bytes(kTokenRandomBytes));
  const TokenMark mark{.digest = token_digest(token), .expires = now + kTokenLifeSeconds};
  change.put(token_key(mark.digest), to_stored({{"account", account.id},
                                                {"role", std::string(to_string(account.role))},
                                                {"expires", format_utc(mark.expires)}}));
  account.tokens.push_back(mark);
  save_account(change, account);
  return token;
}

void revoke_tokens(Change& change, Account& account) {
  for (const TokenMark& token : account.tokens) change.erase(token_key(token.digest));
  account.tokens.clear();
  save_account(change, account);
}

Result<std::optional<TokenHolder>> find_token(const Store& store, std::string_view token,
                                              UnixSeconds now) {
  if (token.substr(0, kTokenPrefix.size()) != kTokenPrefix) return std::nullopt;
  // Found by its digest: how long that takes says nothing about any token.
  const std::optional<std::string> text = TRY(store.get(token_key(token_digest(token))));
  if (!text) return std::nullopt;
  const Json json = TRY(parse_stored("token", *text));
  if (TRY(manifest::time_field(json, "expires")) <= now) return std::nullopt;
  auto account = TRY(manifest::text_field(json, "account"));
  auto role = TRY(manifest::text_field(json, "role").and_then(parse_role));
  return TokenHolder{.account = std::move(account), .role = std::move(role)};
}

}  // namespace layby::server
