// What the agent knows and must not forget: the contents of the journal. Plain values.
//
// The rule of the room: a step is taken only after the record that says so was saved, and nothing
// but the record says how to go on after a power cut.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/boot_control.h"
#include "agent/policy.h"
#include "agent/state.h"
#include "base/clock.h"
#include "base/error.h"
#include "crypto/digest.h"
#include "manifest/director.h"
#include "manifest/image_entry.h"
#include "manifest/licence.h"
#include "manifest/names.h"
#include "manifest/server_time.h"

namespace layby::agent {

// What an order waits for, besides the conditions of policy.h.
enum class Wait : std::uint8_t {
  kLicence,
  kExitAndLock,
  kPrivateMode,
  kConnection,
  kSpace,
  kEarlierOrder,
  kFunction,        // a licence of a function that is not installed yet
  kRoaming,         // roaming, where that is not allowed
  kWifi,            // a connection that costs nothing
  kCall,            // the end of a call on 2G
  kDataBudget,      // the next month, or Wi-Fi
  kRetryPause,      // after an installation that failed
  kPartnerPackage,  // what a partner brings into the car (P3.1)
  kBootControl,     // that it can be read, and agrees with the journal; software only
};
std::string_view to_string(Wait wait);  // stable, for `status`

// One image of an order on its way into the car.
struct ImageProgress {
  manifest::ImageName name;
  manifest::Slot slot;
  std::string version{};
  std::uint64_t length = 0;
  crypto::Digest256 sha256{};
  std::uint64_t release_counter = 0;
  std::uint64_t duration_seconds = 0;
  std::uint64_t battery_percent_min = 0;
  std::string licence_key{};                             // canonical KEY; functions only
  std::vector<manifest::PackageCondition> conditions{};  // all of them can be read
  manifest::NetworkNeed network = manifest::NetworkNeed::kAny;
  std::map<std::string, std::string> notes{};  // release notes, by language

  std::vector<manifest::EcuSerial> ecus{};    // it is for; of software of secondaries only
  std::vector<manifest::Payload> payloads{};  // as the Director offered them
  // Which of them is taken; empty while undecided, and for an image that the slot has already.
  std::optional<std::size_t> chosen{};
  std::uint32_t chunk_count = 0;  // 0 until the head is here
  std::uint32_t chunks_done = 0;  // verified, applied, synced
  std::uint64_t bytes_done = 0;   // payload bytes of those chunks, and of the head
  bool complete = false;          // read back as a whole: length and SHA-256 are right
  // Came as it was sent and made something else; its target bytes are taken from the whole image.
  std::optional<std::uint32_t> broken_chunk{};
  std::uint64_t whole_bytes = 0;  // of the whole image, asked for on behalf of broken chunks

  // Of a function's package.
  manifest::FunctionId function() const;

  // It has to come anew, from whatever the slot holds then.
  void forget();

  const manifest::Payload* payload() const { return chosen ? &payloads[*chosen] : nullptr; }
};

// Of the installation that was begun last; in trusted time. durations.h
struct Timing {
  UnixSeconds locked_at = 0;  // since when the car had stood left and locked
  UnixSeconds began_at = 0;
  std::uint64_t shown_seconds = 0;              // to the driver, beforehand
  bool had_to_wait = false;                     // for a car that somebody drove
  std::optional<UnixSeconds> waits_since{};     // the switch, for the car
  std::optional<std::uint64_t> took_seconds{};  // once it came to its end
  std::optional<std::uint64_t> since_lock_seconds{};
};

// What is taken back, and is not back yet.
struct Undo {
  std::optional<Error> error{};  // what keeps it; then what it is not in the way of goes on
  std::uint32_t failures = 0;    // starts of the agent included; for the backoff
  std::int64_t at_ms = 0;        // monotonic; when it is tried again. Not in the journal
};

struct OrderRecord {
  manifest::OrderId id;
  manifest::OrderAction action = manifest::OrderAction::kInstall;
  manifest::Delivery delivery = manifest::Delivery::kOverTheAir;
  State state = State::kIdle;
  UnixSeconds since = 0;       // when this state began, in trusted time
  UnixSeconds offered_at = 0;  // when the car learnt of it, in trusted time
  std::vector<ImageProgress> images{};
  std::vector<PackageDemand> demands{};  // the images' conditions, as they are read; requirements.h
  Bytes licence{};                       // sealed; empty while there is none

  std::uint32_t attempts = 0;     // installations begun, counted before each
  std::uint32_t resumptions = 0;  // starts of the agent that found it past the point of no return
  std::uint32_t damages = 0;      // chunks or images that came damaged
  std::uint32_t failures_in_row = 0;   // of the network; for the backoff
  std::uint64_t bytes_received = 0;    // of all payloads, good or bad
  std::uint64_t bytes_budget = 0;      // never more than this is received
  std::uint64_t bytes_per_second = 0;  // measured
  UnixSeconds next_try = 0;            // wall clock; 0: at once
  std::optional<Error> error{};        // the last one
  bool seen_open = false;  // since the download the car was not left-and-locked: now a lock counts
  std::vector<std::string> waiting_for{};           // names of Wait and Condition
  std::map<std::string, std::string> conditions{};  // the facts at the point of no return
  std::optional<Timing> timing{};
  // Of software of secondaries: all have passed their checks, and all are to keep it. From here
  // there is no way back.
  bool committed = false;
  bool untried = false;  // software that nobody was asked to boot on trial, in this attempt
  std::uint32_t trial_starts = 0;  // of the agent, with a trial that was not booted
  Undo undo{};
  Latch latch{};  // of an order that is downloaded or armed; not in the journal

  std::uint64_t bytes_done() const;
  std::uint64_t bytes_total() const;
  std::uint64_t duration_seconds() const;  // longest of the images
};

// Installs software of the head unit.
bool is_software(const OrderRecord& order);
// Installs software of other ECUs than the head unit: all of it, or none.
bool is_for_secondaries(const OrderRecord& order);

// An ECU has one slot for its software: orders that share none share no ECU.
bool share_slot(const OrderRecord& a, const OrderRecord& b);

struct SlotRecord {
  manifest::ImageName image;
  std::string version{};
  crypto::Digest256 sha256{};
  std::uint64_t length = 0;
  std::uint64_t release_counter = 0;
  std::string path{};  // below the state directory
};

// How long an installation took in this car.
struct Measurement {
  manifest::ImageKind kind;
  std::uint64_t bytes = 0;  // of all its images
  std::uint64_t seconds = 0;
};

struct FunctionRecord {
  manifest::LicenceMark newest;
  std::string licence_key{};         // canonical KEY, from the signed mustMatch; counters are its
  std::uint64_t key_release = 0;     // release counter of the newest image that named it
  std::uint64_t proven_counter = 0;  // of the licence with which it last came on, or went on
  bool on = false;                   // what the car was told last
  // The end of term that it was told with it; 0: none. Empty: not known.
  std::optional<UnixSeconds> told_until{};
};

// A secondary, as it was when it was asked last; for `status`, and to see what is news for the
// server, which believes its own signed report only.
struct EcuSeen {
  manifest::HardwareId hardware;
  std::string phase{};  // agent/secondary/ecu_state.h; empty: it has not answered yet
  std::string image{};  // that it keeps; empty: none
  crypto::Digest256 sha256{};
  std::string attack{};
  std::optional<Error> error{};  // why it could not be asked, or what it refused
  bool silent = false;           // it could not be asked
  // Why its last report was not passed on to the server.
  std::optional<Error> report_error{};
  std::uint64_t counter = 0;       // of the last report that was passed on,
  crypto::Ed25519PublicKey key{};  // under this key
  UnixSeconds at = 0;              // when it answered, in trusted time
};

struct Record {
  std::vector<OrderRecord> orders;  // in the Director's order
  std::map<manifest::Slot, SlotRecord> slots;
  std::map<manifest::FunctionId, FunctionRecord> functions;
  std::map<manifest::EcuSerial, EcuSeen> ecus;
  // That runs, where `slots` has no software; empty: nobody has said.
  std::optional<BootSlot> factory_slot{};
  // Why software may not be written: what boot control said last, or did not.
  std::optional<Error> boot_error{};
  std::uint64_t map_set = 0;              // number of the live set
  std::vector<Measurement> measurements;  // oldest first; durations.h

  std::uint64_t report_counter = 0;       // of the last report that was made
  std::uint64_t report_acknowledged = 0;  // of the last one that the server has
  crypto::Digest256 report_content{};     // of its picture, without counter and time
  crypto::Digest256 report_ecus{};        // of what the secondaries had to say then; 0: none
  crypto::Digest256 report_sha256{};      // of its bytes in the outbox; 0: not known

  UnixSeconds time_signed = 0;      // the newest time that the Director signed
  manifest::TimeKeys time_keys{};   // who could sign time when it came; empty: not known
  UnixSeconds time_rtc_then = 0;    // what the wall clock said when it came
  UnixSeconds time_counted = 0;     // that time, and what the agent has counted since
  UnixSeconds poll_last = 0;        // wall clock
  UnixSeconds poll_next = 0;        // wall clock
  std::uint32_t poll_failures = 0;  // in a row
  std::optional<Error> poll_error;
  std::string director_etag;  // of the timestamps that are trusted now
  std::string image_etag;
  std::string attack;         // "name: text" of the last refused metadata or payload
  bool private_mode = false;  // as the car said it last, and so the next two; empty: it never did
  std::string bearer;
  std::string roaming;
  // The owner's time as the car said it last; none: it never did, or has taken it back.
  std::optional<UnixSeconds> owner_time{};

  std::string data_month;        // "2026-11", UTC, by trusted time; empty: none yet
  std::uint64_t data_bytes = 0;  // of payloads over metered bearers in it

  std::map<manifest::RegionId, UnixSeconds> visits;  // where the car was, when last (P3.2)
  UnixSeconds map_ask_next = 0;                      // wall clock
  std::string map_found;  // id of the order that the car asked for by itself; empty: none
  std::vector<manifest::RegionId> maps_announced;  // newer ones, for the owner to order

  OrderRecord* order(const manifest::OrderId& id);
};

// Text as it may stand in the journal and in reports: printable ASCII of bounded length.
std::string printable(std::string_view text, std::size_t characters_max);
Error recordable(const Error& error);
// As the last refused metadata or payload, for the next report.
void note_attack(Record& record, const Error& error);

// The journal's body. `decode_record` refuses what `encode_record` would not have written.
Result<Bytes> encode_record(const Record& record);
Result<Record> decode_record(ByteSpan bytes);

}  // namespace layby::agent
