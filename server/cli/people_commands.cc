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
  if (file.empty()) return {};
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
  Json made = TRY(session.call_once(account_path(wanted.account) + "/tokens", Json::object(),
                                    key_or_fresh("")));
  TRY_VOID(keep_token(session, made, wanted.token_out));
  print_thing(session, made);
  return {};
}

Result<void> revoke_tokens(Session& session, const std::string& account) {
  print_thing(session, TRY(session.call("DELETE", account_path(account) + "/tokens", Json())));
  return {};
}

Result<void> create_account(Session& session, const NewAccount& account) {
  Json body{{"name", account.name}, {"role", account.role}};
  if (!account.email.empty()) body["email"] = account.email;
  Json made = TRY(session.call_once("/v1/accounts", body, key_or_fresh(account.idempotency_key)));
  TRY_VOID(keep_token(session, made, account.token_out));
  print_thing(session, made);
  return {};
}

Result<void> register_car(Session& session, const NewCar& car) {
  Json ecus = Json::array();
  for (const std::string& ecu : car.ecus) ecus.push_back(TRY(ecu_from(ecu)));
  const Json body{
      {"vin", car.vin},         {"model", car.model},       {"model_year", car.model_year},
      {"country", car.country}, {"hardware", car.hardware}, {"ecus", std::move(ecus)}};
  print_thing(session, TRY(session.call("POST", "/v1/cars", body)));
  return {};
}

Result<void> show_car(Session& session, const std::string& vin) {
  print_thing(session, TRY(session.get(car_path(vin))));
  return {};
}

Result<void> create_pairing_code(Session& session) {
  print_thing(session, TRY(session.call("POST", "/v1/pairing-codes", Json::object())));
  return {};
}

Result<void> add_user(Session& session, const std::string& vin, const std::string& account) {
  print_thing(session,
              TRY(session.call("POST", car_path(vin) + "/users", Json{{"account", account}})));
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
