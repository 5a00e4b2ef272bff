#include "server/fleet/account.h"

#include <algorithm>

#include "base/assert.h"
#include "base/time_text.h"
#include "crypto/digest.h"
#include "crypto/random.h"
#include "manifest/json_value.h"
#include "server/fleet/json_answer.h"

namespace layby::server {

using manifest::Json;

namespace {

constexpr std::size_t kTokenRandomBytes = 32;
constexpr std::size_t kTextBytesMax = 200;

std::string token_digest(std::string_view token) {
  return to_hex(crypto::sha256(as_bytes(token)));
}

Json scopes_json(const Scopes& scopes) {
  Json list = Json::array();
  for (const Scope scope : scopes) list.push_back(std::string(to_string(scope)));
  return list;
}

Result<Scopes> decode_scopes(const Json& json) {
  Scopes scopes;
  for (const std::string& text : TRY(texts_field(json, "scopes", std::size(kScopes))))
    scopes.insert(TRY(parse_scope(text)));
  return scopes;
}

Result<TokenMark> decode_token(const Json& json) {
  TokenMark token;
  token.digest = TRY(manifest::text_field(json, "digest"));
  token.created = TRY(manifest::time_field(json, "created"));
  token.expires = TRY(manifest::time_field(json, "expires"));
  token.scopes = TRY(decode_scopes(json));
  token.note = TRY(manifest::text_field(json, "note"));
  if (manifest::find_field(json, "by")) token.by = TRY(manifest::text_field(json, "by"));
  return token;
}

Result<Account> decode_account(std::string_view text) {
  const Json json = TRY(parse_stored("account", text));
  Account account;
  account.id = TRY(manifest::text_field(json, "id"));
  account.name = TRY(manifest::text_field(json, "name"));
  account.role = TRY(manifest::text_field(json, "role").and_then(parse_role));
  account.created = TRY(manifest::time_field(json, "created"));
  if (manifest::find_field(json, "email")) account.email = TRY(manifest::text_field(json, "email"));
  account.subject_at = TRY(manifest::text_field(json, "subject_at"));
  account.answer_at = TRY(manifest::text_field(json, "answer_at"));
  for (const Json& token : *TRY(manifest::array_field(json, "tokens")))
    account.tokens.push_back(TRY(decode_token(token)));
  return account;
}

Result<Account> decode_loaded(const std::optional<std::string>& text, std::string_view id) {
  if (!text) return fail(ErrorCode::kNotFound, "no account {}", id);
  return decode_account(*text);
}

Result<Account> make_account(const AccountRequest& request, UnixSeconds now) {
  if (request.name.empty() || request.name.size() > kTextBytesMax)
    return fail(ErrorCode::kInvalidArgument, "name: 1 to {} bytes", kTextBytesMax);
  if (request.email && (request.email->empty() || request.email->size() > kTextBytesMax))
    return fail(ErrorCode::kInvalidArgument, "email: 1 to {} bytes", kTextBytesMax);
  constexpr std::string_view kCrockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  return Account{.id = "acc_" + crypto::random_text(kCrockford, 26),
                 .name = request.name,
                 .role = request.role,
                 .email = request.email,
                 .created = now,
                 .tokens = {},
                 .subject_at = {},
                 .answer_at = {}};
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

std::string account_key(std::string_view id) {
  return "a/" + std::string(id);
}

std::string token_key(std::string_view digest) {
  return "t/" + std::string(digest);
}

std::string erased_subject_key(std::string_view subject_at) {
  return "x/subject/" + std::string(subject_at.substr(2));
}

std::string subject_key(std::string_view issuer, std::string_view subject) {
  // With the length, so that no two pairs run into the same text.
  const std::string both = fmt::format("{}\n{}\n{}", issuer.size(), issuer, subject);
  return "s/" + to_hex(crypto::sha256(as_bytes(both)));
}

void save_account(Change& change, const Account& account) {
  Json tokens = Json::array();
  for (const TokenMark& token : account.tokens) {
    tokens.push_back({{"digest", token.digest},
                      {"created", format_utc(token.created)},
                      {"expires", format_utc(token.expires)},
                      {"scopes", scopes_json(token.scopes)},
                      {"note", token.note},
                      {"by", token.by}});
  }
  Json json{{"id", account.id},
            {"name", account.name},
            {"role", std::string(to_string(account.role))},
            {"created", format_utc(account.created)},
            {"tokens", std::move(tokens)},
            {"subject_at", account.subject_at},
            {"answer_at", account.answer_at}};
  if (account.email) json["email"] = *account.email;
  change.put(account_key(account.id), to_stored(json));
}

Result<NewAccount> create_account(Change& change, const AccountRequest& request, UnixSeconds now) {
  Account account = TRY(make_account(request, now));
  NewAccount made{.account = std::move(account), .token = {}};
  made.token = add_token(change, made.account, {}, now);
  return made;
}

Result<Account> create_account_for_subject(Change& change, const AccountRequest& request,
                                           const std::string& subject_at, UnixSeconds now) {
  Account account = TRY(make_account(request, now));
  account.subject_at = subject_at;
  change.put(subject_at, to_stored({{"account", account.id}}));
  save_account(change, account);
  return account;
}

Result<Account> load_account(Change& change, std::string_view id) {
  return decode_loaded(TRY(change.get(account_key(id))), id);
}

Result<Account> load_account(const Store& store, std::string_view id) {
  return decode_loaded(TRY(store.get(account_key(id))), id);
}

std::string add_token(Change& change, Account& account, const TokenRequest& request,
                      UnixSeconds now) {
  std::erase_if(account.tokens, [&](const TokenMark& token) {
    if (token.expires > now) return false;
    change.erase(token_key(token.digest));
    return true;
  });
  while (account.tokens.size() >= kTokensPerAccountMax) {
    change.erase(token_key(account.tokens.front().digest));
    account.tokens.erase(account.tokens.begin());
  }
  std::string token(kTokenPrefix);
  token += to_hex(crypto::random_bytes(kTokenRandomBytes));
  const TokenMark mark{.digest = token_digest(token),
                       .created = now,
                       .expires = now + request.life_seconds,
                       .scopes = request.scopes,
                       .note = request.note,
                       .by = request.by};
  change.put(token_key(mark.digest), to_stored({{"account", account.id},
                                                {"role", std::string(to_string(account.role))},
                                                {"scopes", scopes_json(mark.scopes)},
                                                {"expires", format_utc(mark.expires)}}));
  account.tokens.push_back(mark);
  save_account(change, account);
  return token;
}

Result<void> revoke_token(Change& change, Account& account, std::string_view token_id) {
  const auto found = std::find_if(account.tokens.begin(), account.tokens.end(),
                                  [&](const TokenMark& token) { return token.id() == token_id; });
  if (found == account.tokens.end())
    return fail(ErrorCode::kNotFound, "the account has no token {}", token_id);
  change.erase(token_key(found->digest));
  account.tokens.erase(found);
  save_account(change, account);
  return {};
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
  auto scopes = TRY(decode_scopes(json));
  return TokenHolder{
      .account = std::move(account), .role = std::move(role), .scopes = std::move(scopes)};
}

}  // namespace layby::server
