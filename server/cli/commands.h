// The commands of `layby`, apart from publishing images (image_publish.h). Each makes its calls,
// prints what came, and returns an error when the server or the machine said no; main.cc makes the
// exit status of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "server/cli/session.h"

namespace layby::cli {

// Pages of a list: `after` is the last id seen, 0 for `limit` leaves the size to the server.
struct Page {
  std::string after;
  std::uint64_t limit = 0;
};

// The path with the page as its query.
std::string with_page(std::string path, const Page& page);

// people_commands.cc
struct NewAccount {
  std::string name, role, email;
  std::string subject;    // of the identity provider; such an account has no token
  std::string token_out;  // file for the token, mode 0600; empty: it is printed
  std::string idempotency_key;
};
Result<void> create_account(Session& session, const NewAccount& account);
struct NewToken {
  std::string account, token_out, note;
  std::vector<std::string> scopes;
  std::uint64_t expires_days = 0;  // 0 leaves it to the server
};
Result<void> create_token(Session& session, const NewToken& wanted);
Result<void> list_tokens(Session& session, const std::string& account);
struct TokenName {
  std::string account, token;  // all of them where `token` is empty
};
Result<void> revoke_tokens(Session& session, const TokenName& name);
Result<void> list_accounts(Session& session, const Page& page);
Result<void> show_account(Session& session, const std::string& account);
Result<void> erase_account(Session& session, const std::string& account);

struct NewCar {
  std::string vin, model, country;
  std::string time_zone;  // empty: the server's choice for the country
  std::uint64_t model_year = 0;
  std::vector<std::string> hardware;
  std::vector<std::string> ecus;  // SERIAL=HARDWARE_ID
};
Result<void> register_car(Session& session, const NewCar& car);
Result<void> show_car(Session& session, const std::string& vin);
Result<void> report_stolen(Session& session, const std::string& vin);
Result<void> lift_stolen(Session& session, const std::string& vin);
Result<void> create_pairing_code(Session& session);
Result<void> list_own_cars(Session& session, const Page& page);
Result<void> hand_over(Session& session, const std::string& vin);
Result<void> revoke_certificate(Session& session, const std::string& vin);
Result<void> invite_user(Session& session, const std::string& vin);
Result<void> end_invitations(Session& session, const std::string& vin);
Result<void> accept_invitation(Session& session, const std::string& code);
Result<void> list_users(Session& session, const std::string& vin);
Result<void> remove_user(Session& session, const std::string& vin, const std::string& account);

struct Consent {
  std::string vin, language, text_version;
};
Result<void> give_consent(Session& session, const Consent& consent);
Result<void> withdraw_consent(Session& session, const std::string& vin);
Result<void> show_consent(Session& session, const std::string& vin);

// shop_commands.cc
Result<void> put_product(Session& session, const std::string& id, const std::string& file);
Result<void> list_products(Session& session, const Page& page);
Result<void> show_offers(Session& session, const std::string& vin);

struct NewOrder {
  std::string vin;
  std::string product;               // of a function
  std::string auto_renew;            // of a function: "on", "off" or empty
  std::vector<std::string> regions;  // of a map
  std::string idempotency_key;       // empty: a fresh one
};
Result<void> order_function(Session& session, const NewOrder& order);
Result<void> order_map(Session& session, const NewOrder& order);
Result<void> show_order(Session& session, const std::string& id);
Result<void> list_orders(Session& session, const std::string& vin, const Page& page);
Result<void> cancel_order(Session& session, const std::string& id);
Result<void> withdraw_order(Session& session, const std::string& id);
struct Renewal {
  std::string order;
  std::string idempotency_key;
};
Result<void> renew_order(Session& session, const Renewal& renewal);
struct RenewalSwitch {
  std::string order, to;  // "on" or "off"
};
Result<void> switch_renewal(Session& session, const RenewalSwitch& wanted);
Result<void> list_events(Session& session, const Page& page);
// Of all the caller's cars where `vin` is empty.
Result<void> list_messages(Session& session, const std::string& vin, const Page& page);

// audit_commands.cc
struct AuditOptions {
  std::string vin;
  Page page;
  enum class Chain { kShow, kCheck } chain = Chain::kShow;  // kCheck: compute the hash chain anew
};
Result<void> show_audit(Session& session, const AuditOptions& options);

struct AuditExport {
  std::string vin, out, after;
  std::vector<std::string> keys;  // files; none: the server's own word for its key
};
Result<void> export_audit(Session& session, const AuditExport& options);
Result<void> fetch_audit_key(Session& session, const std::string& out);

// Needs no server.
struct AuditVerification {
  std::string file;
  std::vector<std::string> keys;  // files; one of them must have signed
  std::string vin;                // empty: of whichever car
  std::string earlier;            // file; empty: none to go on from
  bool part = false;              // one that does not begin at the beginning will do
};
ExitStatus verify_audit(const AuditVerification& options, OutputForm form);

// webhook_commands.cc
struct NewWebhook {
  std::string url, after;
  std::vector<std::string> types;
  std::string secret_out;  // file for the secret, mode 0600; empty: it is printed
};
Result<void> create_webhook(Session& session, const NewWebhook& wanted);
Result<void> list_webhooks(Session& session);
Result<void> delete_webhook(Session& session, const std::string& id);
Result<void> list_dead_letters(Session& session, const std::string& id, const Page& page);
// All where `event` is empty.
Result<void> retry_dead_letters(Session& session, const std::string& id, const std::string& event);

// fleet_commands.cc
struct NewEcu {
  std::string vin, ecu;     // the old one
  std::string serial;       // the new one; for withdrawing: unused
  std::string hardware_id;  // empty: the old one's
};
Result<void> replace_ecu(Session& session, const NewEcu& wanted);
Result<void> keep_ecu(Session& session, const NewEcu& wanted);
Result<void> list_silent_cars(Session& session, const Page& page);
Result<void> list_transfers(Session& session, const std::string& vin);

struct JobsOptions {
  enum class Wait { kNo, kYes } wait = Wait::kNo;
  std::uint64_t seconds_max = 3600;
  std::vector<std::string> retry;  // ids of jobs that have failed, to be queued again first
};
Result<void> list_jobs(Session& session, const JobsOptions& options);

struct Rollout {
  std::string id;
  std::vector<std::string> images;
};
Result<void> start_rollout(Session& session, const Rollout& rollout);
Result<void> pause_rollout(Session& session, const Rollout& rollout);
Result<void> list_rollouts(Session& session);
Result<void> advance_clock(Session& session, std::uint64_t seconds);
Result<void> wait_ready(Session& session, std::uint64_t seconds_max);

}  // namespace layby::cli
