// What handlers are given. A struct of references and plain values: no room needs another room's
// constructor, and a test puts one together from a store in a temporary directory and a clock that
// it moves by hand (tests/server/test_services.h).
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/disk.h"
#include "crypto/certificate.h"
#include "server/payloads/payload_store.h"
#include "server/store/store.h"

namespace layby::server {

class CarAffairs;     // fleet/car_affairs.h
class CheckIns;       // fleet/check_in.h: when cars were heard of last
class EventSequence;  // fleet/event_sequence.h: ids of outgoing events
class OidcVerifier;   // oidc/verifier.h
struct OnlineKeys;    // director/online_keys.h

enum class LogLevel { kDebug, kInfo, kWarning, kError };
struct LogField {
  std::string_view name;
  std::string value;
};
// One line of the log: `event` is a few fixed words, what varies goes into the fields. Never a
// token, key, pairing code or licence. Any thread.
using Log = std::function<void(LogLevel, std::string_view event, std::initializer_list<LogField>)>;

enum class Simulation { kOff, kOn };

// One call may fail, and the next one come a little late: nobody is silent before two are missing.
constexpr UnixSeconds kPollsBeforeSilent = 2;

struct Services {
  Store& store;
  PayloadStore& payloads;
  Disk& disk;
  const Clock& clock;  // all domain time comes from here: it can be simulated
  const OnlineKeys& keys;
  const crypto::TlsIdentity& vehicle_authority;  // issues the certificates of cars

  std::string data_dir;             // where `laybyd init` put everything
  std::string public_base_url;      // "https://ota.example:8443", without a slash at the end
  std::int64_t poll_seconds = 900;  // that cars are told when they are paired
  std::size_t delta_bases = 3;      // earlier releases of a slot that a new image gets deltas from
  Simulation simulation = Simulation::kOff;

  UnixSeconds vehicle_certificate_seconds = 5 * 365 * kDaySeconds;

  EventSequence* events = nullptr;  // set before the first request
  CheckIns* check_ins = nullptr;    // null: nobody notices when a car falls silent
  OidcVerifier* oidc = nullptr;     // null: no identity provider is configured
  Log log = [](LogLevel, std::string_view, std::initializer_list<LogField>) {};

  // Held while the Image repository's timestamp is signed anew.
  std::shared_ptr<std::mutex> image_renewal = std::make_shared<std::mutex>();

  // Say that there is work; they return at once. Empty where nobody is to be woken.
  std::function<void()> wake_payload_worker = [] {};  // a job was queued
  std::function<void()> wake_sweeper = [] {};         // a deadline may be nearer than before
  std::function<void()> wake_outbox = [] {};          // webhooks were changed
  std::function<void()> wake_eraser = [] {};          // an account is to be erased
  // What follows for a car's orders when its owner leaves, in the same commit (shop/). Fails where
  // it is not set: an owner must not leave orders behind that nobody looks after.
  std::function<Result<void>(CarAffairs&, std::string_view account)> owner_leaves =
      [](CarAffairs&, std::string_view) -> Result<void> {
    return fail(ErrorCode::kInternal, "nothing says what becomes of the orders of who leaves");
  };
  // An image can now be downloaded: its whole-file payload is published.
  std::function<void(std::string_view image)> image_available = [](std::string_view) {};
};

}  // namespace layby::server
