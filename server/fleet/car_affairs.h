// One change of a car's affairs: what changes, its audit records, its outgoing events and messages
// to the owner are one commit. Changes of one car never overlap: all of them read and write the end
// of its audit chain.
#pragma once

#include <string>
#include <string_view>

#include "manifest/json.h"
#include "server/fleet/audit.h"
#include "server/fleet/car.h"
#include "server/services.h"
#include "server/store/change.h"

namespace layby::server {

enum class EventType {
  kAuthorisation,
  kBilling,
  kRefund,
  kMessage,
  kCheckIn,  // a car has fallen silent, or is heard of again: for the operator, of no account
};
std::string_view to_string(EventType type);

// What the owner is told (P1.11).
enum class Message {
  kOrdered,
  kDownloaded,
  kActivated,
  kInvoiced,
  kCancelled,
  kRefunded,
  kFailed,
  kPaired,
  kWithdrawn,
  kExpired,
  kEnded,
  kHandedOver,
  kUserJoined,
  kUserLeft,
  kCertificateRevoked,
  kReminder,     // the download window ends soon
  kExpiring,     // the term ends soon and does not renew
  kRenewalOpen,  // from now on it can be renewed
  kRenewed,
  kReportedStolen,
  kReportLifted,
  kEcuReplaced,
  kTokenMade,  // for the account, by somebody else; of no car
};
std::string_view to_string(Message message);

// "m/<account>/": copies of the message events of all its cars, for the account that they went to.
// They are that person's and not the car's: whoever owns the car next does not see them.
std::string message_prefix(std::string_view account);
std::string message_key(std::string_view account, std::uint64_t event);

class CarAffairs {
 public:
  // `who` is for the audit records: an account, "system", or the VIN where the car itself speaks.
  // kNotFound for a car that is not registered. Must not outlive `services` and `change`.
  static Result<CarAffairs> begin(const Services& services, Change& change,
                                  const manifest::Vin& vin, std::string who);

  const Services& services() const { return *services_; }
  Change& change() const { return *change_; }
  UnixSeconds now() const { return now_; }  // one time for the whole change
  const std::string& who() const { return who_; }
  Car& car() { return car_; }  // whoever alters it saves it
  std::uint64_t last_record() const { return head_.seq; }

  // `order` may be empty.
  void record(std::string_view what, std::string_view order, const manifest::Json& data);
  // `account`: whose money or message it is. Not always the owner's of now; empty: nobody's.
  void emit(EventType type, std::string_view order, const manifest::Json& data,
            const std::string& account);
  // Nobody is told where the car has no owner.
  void tell_owner(Message message, std::string_view order);
  // `data` goes beside `message` in the event's data: an object.
  void tell_owner(Message message, std::string_view order, manifest::Json data);
  // An account that is not erased.
  void tell_account(const std::string& account, Message message, std::string_view order,
                    manifest::Json data);

  // The Director's metadata of this car no longer says what is true: it is signed anew at the next
  // poll.
  void outdate_metadata();

 private:
  CarAffairs(const Services& services, Change& change, Car car, std::string who, AuditHead head)
      : services_(&services),
        change_(&change),
        car_(std::move(car)),
        who_(std::move(who)),
        head_(head),
        now_(services.clock.now()) {}

  const Services* services_;
  Change* change_;
  Car car_;
  std::string who_;
  AuditHead head_;
  UnixSeconds now_;
};

}  // namespace layby::server
