#include "manifest/json_value.h"
#include "server/cli/commands.h"
#include "server/cli/idempotency.h"
#include "server/cli/output.h"

namespace layby::cli {
namespace {

std::string car_path(const std::string& vin) {
  return "/v1/cars/" + encode_segment(vin);
}

std::string account_path(const std::string& account) {
  return "/v1/accounts/" + encode_segment(account);
}

// With a file named, the token is in it and nowhere else.
Result<void> keep_token(Session& session, Json& made, const std::string& file) {
  if (file.empty() || !manifest::find_field(made, "token")) return {};
  const std::string token = TRY(manifest::text_field(made, "token"));
  TRY_VOID(replace_file(session.disk(), file, as_bytes(token + "\n")));
  made.erase("token");
  return {};
}

std::string consent_path(const std::string& vin) {
  return car_path(vin) + "/consents/software-updates";
}

// "HU-1=hu-4" -> {"serial":"HU-1","hardware_id":"hu-4"}
Result<Json> ecu_from(const std::string& text) {
  const auto equals = text.find('=');
  if (equals == text.npos || equals == 0 || equals + 1 == text.size())
    return fail(ErrorCode::kInvalidArgument, "--ecu {}: expected SERIAL=HARDWARE_ID", text);
  return Json{{"serial", text.substr(0, equals)}, {"hardware_id", text.substr(equals + 1)}};
}

}  // namespace

Result<void> create_token(Session& session, const NewToken& wanted) {
  Json body = Json::object();
  if (!wanted.scopes.empty()) body["scopes"] = wanted.scopes;
  if (!wanted.note.empty()) body["note"] = wanted.note;
  if (wanted.expires_days > 0) body["expires_days"] = wanted.expires_days;
  Json made =
      TRY(session.call_once(account_path(wanted.account) + "/tokens", body, key_or_fresh("")));
  TRY_VOID(keep_token(session, made, wanted.token_out));
  print_thing(session, made);
  return {};
}

Result<void> list_tokens(Session& session, const std::string& account) {
  print_list(session, TRY(session.get(account_path(account) + "/tokens")),
             {{"ID", "id"}, {"CREATED", "created"}, {"EXPIRES", "expires"}, {"NOTE", "note"}});
  return {};
}

Result<void> revoke_tokens(Session& session, const TokenName& name) {
  std::string path = account_path(name.account) + "/tokens";
  if (!name.token.empty()) path += "/" + encode_segment(name.token);
  print_thing(session, TRY(session.call("DELETE", path, Json())));
  return {};
}

Result<void> list_accounts(Session& session, const Page& page) {
  print_list(session, TRY(session.get(with_page("/v1/accounts", page))),
             {{"ID", "id"}, {"ROLE", "role"}, {"NAME", "name"}, {"EMAIL", "email"}});
  return {};
}

Result<void> show_account(Session& session, const std::string& account) {
  print_thing(session, TRY(session.get(account_path(account))));
  return {};
}

Result<void> erase_account(Session& session, const std::string& account) {
  print_thing(session, TRY(session.call("DELETE", account_path(account), Json())));
  return {};
}

Result<void> create_account(Session& session, const NewAccount& account) {
  Json body{{"name", account.name}, {"role", account.role}};
  if (!account.email.empty()) body["email"] = account.email;
  if (!account.subject.empty()) body["subject"] = account.subject;
  Json made = TRY(session.call_once("/v1/accounts", body, key_or_fresh(account.idempotency_key)));
  TRY_VOID(keep_token(session, made, account.token_out));
  print_thing(session, made);
  return {};
}

Result<void> register_car(Session& session, const NewCar& car) {
  Json ecus = Json::array();
  for (const std::string& ecu : car.ecus) ecus.push_back(TRY(ecu_from(ecu)));
  Json body{{"vin", car.vin},         {"model", car.model},       {"model_year", car.model_year},
            {"country", car.country}, {"hardware", car.hardware}, {"ecus", std::move(ecus)}};
  if (!car.time_zone.empty()) body["time_zone"] = car.time_zone;
  print_thing(session, TRY(session.call("POST", "/v1/cars", body)));
  return {};
}

Result<void> show_car(Session& session, const std::string& vin) {
  print_thing(session, TRY(session.get(car_path(vin))));
  return {};
}

Result<void> report_stolen(Session& session, const std::string& vin) {
  print_thing(session, TRY(session.call("POST", car_path(vin) + "/stolen", Json::object())));
  return {};
}

Result<void> lift_stolen(Session& session, const std::string& vin) {
  print_thing(session, TRY(session.call("DELETE", car_path(vin) + "/stolen", Json())));
  return {};
}

Result<void> create_pairing_code(Session& session) {
  print_thing(session, TRY(session.call("POST", "/v1/pairing-codes", Json::object())));
  return {};
}

Result<void> list_own_cars(Session& session, const Page& page) {
  print_list(session, TRY(session.get(with_page("/v1/cars", page))),
             {{"VIN", "vin"}, {"AS", "as"}});
  return {};
}

Result<void> hand_over(Session& session, const std::string& vin) {
  print_thing(session, TRY(session.call_once(car_path(vin) + "/hand-over", Json::object(),
                                             key_or_fresh(""))));
  return {};
}

Result<void> revoke_certificate(Session& session, const std::string& vin) {
  print_thing(session, TRY(session.call("DELETE", car_path(vin) + "/certificate", Json())));
  return {};
}

Result<void> invite_user(Session& session, const std::string& vin) {
  print_thing(session, TRY(session.call("POST", car_path(vin) + "/invitations", Json::object())));
  return {};
}

Result<void> end_invitations(Session& session, const std::string& vin) {
  print_thing(session, TRY(session.call("DELETE", car_path(vin) + "/invitations", Json())));
  return {};
}

Result<void> accept_invitation(Session& session, const std::string& code) {
  print_thing(session, TRY(session.call("POST", "/v1/invitations/accept", Json{{"code", code}})));
  return {};
}

Result<void> list_users(Session& session, const std::string& vin) {
  print_list(session, TRY(session.get(car_path(vin) + "/users")),
             {{"ACCOUNT", "account"}, {"SINCE", "since"}});
  return {};
}

Result<void> remove_user(Session& session, const std::string& vin, const std::string& account) {
  const std::string path = car_path(vin) + "/users/" + encode_segment(account);
  print_thing(session, TRY(session.call("DELETE", path, Json())));
  return {};
}

Result<void> give_consent(Session& session, const Consent& consent) {
  const Json body{{"language", consent.language}, {"text_version", consent.text_version}};
  print_thing(session, TRY(session.call("PUT", consent_path(consent.vin), body)));
  return {};
}

Result<void> withdraw_consent(Session& session, const std::string& vin) {
  print_thing(session, TRY(session.call("DELETE", consent_path(vin), Json())));
  return {};
}

Result<void> show_consent(Session& session, const std::string& vin) {
  print_thing(session, TRY(session.get(consent_path(vin))));
  return {};
}

}  // namespace layby::cli
