#include "server/fleet/car_affairs.h"

#include "base/assert.h"
#include "base/time_text.h"
#include "manifest/json_value.h"
#include "server/fleet/event_sequence.h"
#include "server/fleet/json_answer.h"

namespace layby::server {

using manifest::Json;

std::string_view to_string(EventType type) {
  switch (type) {
    case EventType::kAuthorisation: return "authorisation";
    case EventType::kBilling: return "billing";
    case EventType::kRefund: return "refund";
    case EventType::kMessage: return "message";
    case EventType::kCheckIn: return "check-in";
  }
  LAYBY_ASSERT(false);
}

std::string_view to_string(Message message) {
  switch (message) {
    case Message::kOrdered: return "ordered";
    case Message::kDownloaded: return "downloaded";
    case Message::kActivated: return "activated";
    case Message::kInvoiced: return "invoiced";
    case Message::kCancelled: return "cancelled";
    case Message::kRefunded: return "refunded";
    case Message::kFailed: return "failed";
    case Message::kPaired: return "paired";
    case Message::kWithdrawn: return "withdrawn";
    case Message::kExpired: return "expired";
    case Message::kEnded: return "ended";
    case Message::kHandedOver: return "handed-over";
    case Message::kUserJoined: return "user-joined";
    case Message::kUserLeft: return "user-left";
    case Message::kCertificateRevoked: return "certificate-revoked";
    case Message::kReminder: return "reminder";
    case Message::kExpiring: return "expiring";
    case Message::kRenewalOpen: return "renewal-open";
    case Message::kRenewed: return "renewed";
    case Message::kReportedStolen: return "reported-stolen";
    case Message::kReportLifted: return "report-lifted";
    case Message::kEcuReplaced: return "ecu-replaced";
    case Message::kTokenMade: return "token-made";
  }
  LAYBY_ASSERT(false);
}

std::string message_prefix(std::string_view account) {
  return fmt::format("m/{}/", account);
}

std::string message_key(std::string_view account, std::uint64_t event) {
  return fmt::format("{}{:020}", message_prefix(account), event);
}

Result<CarAffairs> CarAffairs::begin(const Services& services, Change& change,
                                     const manifest::Vin& vin, std::string who) {
  Car car = TRY(load_car(change, vin));
  const AuditHead head = TRY(load_audit_head(change, vin));
  return CarAffairs(services, change, std::move(car), std::move(who), head);
}

void CarAffairs::record(std::string_view what, std::string_view order, const Json& data) {
  head_ = append_audit(*change_, car_.vin, head_,
                       {.at = now_, .who = who_, .what = what, .order = order, .data = data});
}

void CarAffairs::emit(EventType type, std::string_view order, const Json& data,
                      const std::string& account) {
  LAYBY_ASSERT(services_->events != nullptr);
  const std::uint64_t id = services_->events->draw(*change_);
  Json event{{"id", id},
             {"type", std::string(to_string(type))},
             {"at", format_utc(now_)},
             {"vin", car_.vin.text()},
             {"data", data}};
  if (!order.empty()) event["order"] = std::string(order);
  if (!account.empty()) event["account"] = account;
  const std::string text = to_stored(event);
  change_->put(event_key(id), text);
  if (type == EventType::kMessage) change_->put(message_key(account, id), text);
}

void CarAffairs::tell_owner(Message message, std::string_view order) {
  tell_owner(message, order, Json::object());
}

void CarAffairs::tell_owner(Message message, std::string_view order, Json data) {
  if (!car_.pairing || car_.pairing->owner.empty()) return;
  tell_account(car_.pairing->owner, message, order, std::move(data));
}

void CarAffairs::tell_account(const std::string& account, Message message, std::string_view order,
                              Json data) {
  data["message"] = std::string(to_string(message));
  emit(EventType::kMessage, order, data, account);
}

void CarAffairs::outdate_metadata() {
  change_->erase(car_prefix(car_.vin) + "director/timestamp");
}

}  // namespace layby::server
