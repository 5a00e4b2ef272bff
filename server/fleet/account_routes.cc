#include "server/fleet/account_routes.h"

#include "base/time_text.h"
#include "manifest/json_value.h"
#include "server/fleet/idempotency.h"
#include "server/fleet/json_answer.h"

namespace layby::server {

using manifest::Json;

namespace {

Json token_json(const Account& account, const std::string& token) {
  return {{"id", account.id},
          {"name", account.name},
          {"role", std::string(to_string(account.role))},
          {"token", token},
          {"expires", format_utc(account.tokens.back().expires)}};
}

Result<AccountRequest> read_account(const Request& request) {
  const Json body = TRY(json_body(request));
  TRY_VOID(check_fields(body, {"name", "role", "email"}));
  auto name = TRY(manifest::text_field(body, "name"));
  auto role = TRY(manifest::text_field(body, "role").and_then(parse_role));
  AccountRequest wanted{.name = std::move(name), .role = std::move(role), .email = std::nullopt};
  if (manifest::find_field(body, "email")) wanted.email = TRY(manifest::text_field(body, "email"));
  return wanted;
}

}  // namespace

Response post_account(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const Caller caller = TRY(require_role(services, request, Role::kOperator));
    const AccountRequest wanted = TRY(read_account(request));
    return answer_once(services, request, caller, IdempotencyKeyIs::kOptional,
                       [&](Change& change) -> Answer<Response> {
                         const NewAccount made =
                             TRY(create_account(change, wanted, services.clock.now()));
                         return json_response(201, token_json(made.account, made.token));
                       });
  }());
}

Response post_account_token(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const Caller caller = TRY(require_role(services, request, Role::kOperator));
    return answer_once(services, request, caller, IdempotencyKeyIs::kOptional,
                       [&](Change& change) -> Answer<Response> {
                         Account account = TRY(load_account(change, request.path_values.at("id")));
                         const std::string token = add_token(change, account, services.clock.now());
                         return json_response(201, token_json(account, token));
                       });
  }());
}

Response delete_account_tokens(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    TRY_VOID(require_role(services, request, Role::kOperator));
    return commit_with_retry(services.store, [&](Change& change) -> Answer<Response> {
      Account account = TRY(load_account(change, request.path_values.at("id")));
      revoke_tokens(change, account);
      Response response;
      response.status = 204;
      return response;
    });
  }());
}

}  // namespace layby::server
