// What a secondary must not forget: one small file, replaced as a whole, kept twice.
//
// The rule: the file says so before a step is taken, and data is synced before the file speaks of
// it. The counters in it never go down.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "agent/secondary/ecu_identity.h"
#include "base/clock.h"
#include "base/disk.h"
#include "crypto/digest.h"
#include "manifest/names.h"
#include "manifest/server_time.h"

namespace layby::secondary {

// Of the slot that does not run.
enum class Phase : std::uint8_t {
  kIdle,    // nothing of worth is in it
  kStaged,  // an image, whole and right
  kTrial,   // it runs; unless it passes its check, the next start takes the kept one again. Where a
            // trial begins with a restart, the one after that
  kPassed,  // it runs and is well. The ECU goes either way, and waits for the word; across restarts
};
std::string_view to_string(Phase phase);  // "idle", "staged", "trial", "passed"
std::optional<Phase> phase_from(std::string_view name);

struct EcuImage {
  manifest::ImageName name;
  crypto::Digest256 sha256{};
  std::uint64_t length = 0;
  std::optional<crypto::Digest512> sha512{};  // where the metadata names it
  std::uint64_t release_counter = 0;
  bool operator==(const EcuImage&) const = default;
};

struct EcuState {
  std::optional<EcuImage> installed{};  // what is kept, in slot `kept`
  char kept = 'a';
  Phase phase = Phase::kIdle;
  std::optional<EcuImage> staged{};  // in the other slot, unless kIdle
  std::optional<EcuImage> wanted{};  // what the Director gave this ECU last
  UnixSeconds wanted_until = 0;      // its word, that is
  // `staged` was put on trial while the Director's word held, and nobody has taken it back: what a
  // power cut ended may begin again, until a look says otherwise or the word is long over.
  bool was_on_trial = false;
  bool has_restarted = false;  // the ECU, on trial: it may once, a boot loader's way to begin one

  std::uint64_t report_counter = 0;   // of the last report that was made
  UnixSeconds time = 0;               // the newest that was signed; 0: none yet
  manifest::TimeKeys time_keys{};     // who could sign it then
  std::string attack{};               // "name: text" of the first refusal that was not told yet
  bool attack_reported = false;       // a report with it was made
  UnixSeconds attack_well_since = 0;  // a whole look after that report; 0: none yet

  char spare() const { return kept == 'a' ? 'b' : 'a'; }
  bool runs_spare() const { return phase == Phase::kTrial || phase == Phase::kPassed; }
  bool operator==(const EcuState&) const = default;
};

Result<void> write_state(Disk& disk, const EcuLayout& layout, const EcuState& state);
Result<EcuState> read_state(Disk& disk, const EcuLayout& layout);

// What the two ends tell each other of it: EcuStatus as JSON, in kDone.
struct EcuStatus {
  manifest::EcuSerial serial;
  manifest::HardwareId hardware;
  crypto::Ed25519PublicKey key{};
  Verification verification = Verification::kFull;
  Phase phase = Phase::kIdle;
  std::optional<EcuImage> installed{};
  std::optional<EcuImage> staged{};
  std::optional<EcuImage> wanted{};
  // The Director's word holds, by a time that was signed since the ECU started: what it names is
  // taken. An ECU that does not say it has one.
  bool word_holds = true;
  std::string attack{};
};
Result<Bytes> encode(const EcuStatus& status);
Result<EcuStatus> decode_status(ByteSpan bytes);

}  // namespace layby::secondary
