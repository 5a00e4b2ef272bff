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

enum class EventType { kAuthorisation, kBilling, kRefund, kMessage };
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
  kEnded,
};
std::string_view to_string(Message message);

// "v/<VIN>/message/": copies of the message events, for the owner.
std::string message_prefix(const manifest::Vin& vin);

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

  // `order` may be empty.
  void record(std::string_view what, std::string_view order, const manifest::Json& data);
  void emit(EventType type, std::string_view order, const manifest::Json& data);
  void tell_owner(Message message, std::string_view order);

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
