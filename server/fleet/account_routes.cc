#include "server/fleet/account_routes.h"

#include "base/assert.h"
#include "base/time_text.h"
#include "manifest/json_value.h"
#include "server/fleet/account_erasure.h"
#include "server/fleet/car_affairs.h"
#include "server/fleet/event_sequence.h"
#include "server/fleet/idempotency.h"
#include "server/fleet/json_answer.h"
#include "server/oidc/verifier.h"

namespace layby::server {

using manifest::Json;

namespace {

constexpr std::uint64_t kTokenDaysMax = kTokenLifeSeconds / kDaySeconds;
constexpr std::size_t kNoteBytesMax = 100;

Response no_content() {
  Response response;
  response.status = 204;
  return response;
}

Json mark_json(const TokenMark& token) {
  Json scopes = Json::array();
  for (const Scope scope : token.scopes) scopes.push_back(std::string(to_string(scope)));
  return {{"id", token.id()},
          {"created", format_utc(token.created)},
          {"expires", format_utc(token.expires)},
          {"scopes", std::move(scopes)},
          {"note", token.note},
          {"by", token.by}};
}

Json tokens_json(const Account& account, UnixSeconds now) {
  Json tokens = Json::array();
  for (const TokenMark& token : account.tokens)
    if (token.expires > now) tokens.push_back(mark_json(token));
  return tokens;
}

Json account_json(const Account& account) {
  Json json{{"id", account.id},
            {"name", account.name},
            {"role", std::string(to_string(account.role))},
            {"created", format_utc(account.created)}};
  if (account.email) json["email"] = *account.email;
  return json;
}

// Without the name: the answer is kept, and outlives an account that is erased meanwhile.
Json new_token_json(const Account& account, const std::string& token) {
  Json json{{"id", account.id}, {"role", std::string(to_string(account.role))}, {"token", token}};
  const Json mark = mark_json(account.tokens.back());
  json["token_id"] = mark["id"];
  json["expires"] = mark["expires"];
  json["scopes"] = mark["scopes"];
  return json;
}

struct WantedAccount {
  AccountRequest account;
  std::string subject_at;  // empty where it does not come from an identity provider
};

Result<WantedAccount> read_account(const Services& services, const Request& request) {
  const Json body = TRY(json_body(request));
  TRY_VOID(check_fields(body, {"name", "role", "email", "subject"}));
  auto name = TRY(manifest::text_field(body, "name"));
  auto role = TRY(manifest::text_field(body, "role").and_then(parse_role));
  WantedAccount wanted{.account = {.name = std::move(name), .role = role, .email = std::nullopt},
                       .subject_at = {}};
  if (manifest::find_field(body, "email"))
    wanted.account.email = TRY(manifest::text_field(body, "email"));
  if (manifest::find_field(body, "subject")) {
    if (services.oidc == nullptr)
      return fail(ErrorCode::kInvalidArgument,
                  "subject: this server has no identity provider configured");
    wanted.subject_at =
        subject_key(services.oidc->issuer(), TRY(manifest::text_field(body, "subject")));
  }
  return wanted;
}

// The caller, and the account of the path: the caller's own, or any for an operator.
struct OwnAccount {
  Caller caller;
  std::string id;
};
Result<OwnAccount> own_account(const Services& services, const Request& request) {
  OwnAccount own;
  own.caller = TRY(require_account(services, request));
  own.id = request.path_values.at("id");
  if (own.id == "me") own.id = own.caller.account;
  if (own.id != own.caller.account && own.caller.role != Role::kOperator)
    return fail(ErrorCode::kForbidden, "only for operators and the account itself");
  return own;
}

Result<TokenRequest> read_token_request(const Request& request) {
  TokenRequest wanted;
  if (request.body.empty()) return wanted;
  const Json body = TRY(json_body(request));
  TRY_VOID(check_fields(body, {"scopes", "expires_days", "note"}));
  for (const std::string& text : TRY(texts_field(body, "scopes", std::size(kScopes))))
    wanted.scopes.insert(TRY(parse_scope(text)));
  if (manifest::find_field(body, "expires_days")) {
    const std::uint64_t days = TRY(manifest::uint_field(body, "expires_days"));
    if (days == 0 || days > kTokenDaysMax)
      return fail(ErrorCode::kInvalidArgument, "expires_days: 1 to {}", kTokenDaysMax);
    wanted.life_seconds = static_cast<UnixSeconds>(days) * kDaySeconds;
  }
  if (manifest::find_field(body, "note")) wanted.note = TRY(manifest::text_field(body, "note"));
  if (wanted.note.size() > kNoteBytesMax)
    return fail(ErrorCode::kInvalidArgument, "note: at most {} bytes", kNoteBytesMax);
  return wanted;
}

Result<void> check_may_make_token(const Caller& caller, const TokenRequest& wanted) {
  // It would outlive what the provider says of its subject tomorrow.
  if (caller.proof == Caller::Proof::kProvider)
    return fail(ErrorCode::kForbidden, "not with an identity provider's token");
  if (!is_within(wanted.scopes, caller.scopes))
    return fail(ErrorCode::kForbidden, "the new token would have scopes that yours has not");
  return {};
}

// Whoever holds an owner's token is that owner to everybody else. An operator can only replace what
// there is, which the owner notices, and the owner is told who did it; the event stays.
Result<void> note_maker(const Services& services, Change& change, Account& account,
                        const Caller& caller) {
  if (account.id == caller.account) return {};
  if (account.role == Role::kOwner) revoke_tokens(change, account);
  LAYBY_ASSERT(services.events != nullptr);
  const std::uint64_t id = services.events->draw(change);
  const std::string event = to_stored(
      {{"id", id},
       {"type", std::string(to_string(EventType::kMessage))},
       {"at", format_utc(services.clock.now())},
       {"account", account.id},
       {"data",
        {{"message", std::string(to_string(Message::kTokenMade))}, {"by", caller.account}}}});
  change.put(event_key(id), event);
  change.put(message_key(account.id, id), event);
  return {};
}

}  // namespace

Response post_account(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const Caller caller = TRY(require_role(services, request, Role::kOperator));
    TRY_VOID(check_may_make_token(caller, {}));
    const WantedAccount wanted = TRY(read_account(services, request));
    const auto make = [&](Change& change) -> Answer<Response> {
      const UnixSeconds now = services.clock.now();
      if (!wanted.subject_at.empty()) {
        if (TRY(change.get(wanted.subject_at)))
          return fail(ErrorCode::kAlreadyExists, "this subject has an account");
        Account account =
            TRY(create_account_for_subject(change, wanted.account, wanted.subject_at, now));
        account.answer_at = kept_answer_key(request, caller);
        save_account(change, account);
        return json_response(201, account_json(account));
      }
      NewAccount made = TRY(create_account(change, wanted.account, now));
      made.account.answer_at = kept_answer_key(request, caller);
      save_account(change, made.account);
      // Erased with the account: answer_at.
      Json json = new_token_json(made.account, made.token);
      json["name"] = made.account.name;
      return json_response(201, json);
    };
    return answer_once(services, request, caller, IdempotencyKeyIs::kOptional, AnswerHolds::kSecret,
                       make);
  }());
}

Response get_accounts(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    TRY_VOID(require_role(services, request, Role::kOperator));
    const Page page = TRY(read_page(request));
    Json accounts = Json::array();
    const std::string begin = page.after.empty() ? account_key("") : account_key(page.after) + '\0';
    for (const KeyValue& entry :
         TRY(services.store.scan(begin, after_prefix(account_key("")), page.limit))) {
      const std::string id = entry.key.substr(account_key("").size());
      const Result<Account> account = load_account(services.store, id);
      // Erased just now.
      if (!account && account.error().code() == ErrorCode::kNotFound) continue;
      accounts.push_back(account_json(TRY(account)));
    }
    return json_response(200, {{"accounts", std::move(accounts)}});
  }());
}

Response get_account(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const OwnAccount own = TRY(own_account(services, request));
    return json_response(200, account_json(TRY(load_account(services.store, own.id))));
  }());
}

Response delete_account(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const OwnAccount own = TRY(own_account(services, request));
    // So there is always one left.
    if (own.caller.role == Role::kOperator && own.id == own.caller.account)
      return fail(ErrorCode::kForbidden, "an operator's account is erased by another operator");
    TRY_VOID(erase_account(services, own.id, own.caller.account));
    return no_content();
  }());
}

Response post_account_token(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const OwnAccount own = TRY(own_account(services, request));
    TokenRequest wanted = TRY(read_token_request(request));
    TRY_VOID(check_may_make_token(own.caller, wanted));
    const auto make = [&](Change& change) -> Answer<Response> {
      Account account = TRY(load_account(change, own.id));
      TRY_VOID(note_maker(services, change, account, own.caller));
      wanted.by = own.caller.account;
      const std::string token = add_token(change, account, wanted, services.clock.now());
      return json_response(201, new_token_json(account, token));
    };
    return answer_once(services, request, own.caller, IdempotencyKeyIs::kOptional,
                       AnswerHolds::kSecret, make);
  }());
}

Response get_account_tokens(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const OwnAccount own = TRY(own_account(services, request));
    const Account account = TRY(load_account(services.store, own.id));
    return json_response(200, {{"tokens", tokens_json(account, services.clock.now())}});
  }());
}

Response delete_account_token(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const OwnAccount own = TRY(own_account(services, request));
    return commit_with_retry(services.store, [&](Change& change) -> Answer<Response> {
      Account account = TRY(load_account(change, own.id));
      TRY_VOID(revoke_token(change, account, request.path_values.at("token")));
      return no_content();
    });
  }());
}

Response delete_account_tokens(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const OwnAccount own = TRY(own_account(services, request));
    return commit_with_retry(services.store, [&](Change& change) -> Answer<Response> {
      Account account = TRY(load_account(change, own.id));
      revoke_tokens(change, account);
      return no_content();
    });
  }());
}

}  // namespace layby::server
