// A secondary: an ECU with software of its own, whose metadata and images a primary brings, and
// which believes only what it has verified itself (Uptane 2.1.0, 5.4.2.5 to 5.4.2.7, 5.4.4).
//
// It has no thread and no socket: the host hands it each message of the primary's and sends the
// answer back. After a power cut at any point `open` goes on from what the disk holds.
#pragma once

#include <memory>
#include <optional>

#include "agent/secondary/ecu_identity.h"
#include "agent/secondary/ecu_state.h"
#include "agent/secondary/ecu_trust.h"
#include "agent/secondary/message.h"
#include "base/clock.h"
#include "base/disk.h"

namespace layby::secondary {

// The firmware's side: which slot is booted, and whether what runs is well. May be repeated after a
// power cut.
class Firmware {
 public:
  virtual ~Firmware() = default;
  enum class Step { kTrial, kKeep, kRevert };
  // Boots the image on trial, keeps it, or goes back to it; kActivationFailed with what is wrong.
  virtual Result<void> boot(Step step, const std::string& slot_path) = 0;
  enum class Runs { kYes, kNo, kUnknown };
  // Whether this slot is the one that runs. Where a trial begins with a restart of the ECU it must
  // be known, or no trial ever passes.
  virtual Runs runs(const std::string& slot_path) = 0;
  // kHealthCheckFailed with what is wrong.
  virtual Result<void> check(const std::string& slot_path) = 0;
};

class Secondary {
 public:
  // kNotFound: not provisioned. A trial that passed no check ends here: the kept image is booted,
  // unless this start is the one with which the trial begins. Firmware that cannot just now is
  // asked again before anything else is switched. All must outlive it.
  static Result<std::unique_ptr<Secondary>> open(Disk& disk, const Clock& clock, Firmware& firmware,
                                                 std::string directory);

  // Never fails: what is wrong is in the answer. What was refused as an attack is named in the
  // reports of a day at least, the first first: that a report was made does not say that anybody
  // has it.
  Message answer(const Message& question);
  // A message that is none, or that never ended: noted as an attack, if it is one.
  void note_refusal(const Error& error);

  const EcuIdentity& identity() const { return identity_; }
  const EcuState& state() const { return state_; }
  EcuStatus status() const;

 private:
  Secondary(Disk& disk, const Clock& clock, Firmware& firmware, EcuLayout layout,
            EcuIdentity identity, EcuState state)
      : disk_(disk),
        clock_(clock),
        firmware_(firmware),
        layout_(std::move(layout)),
        identity_(std::move(identity)),
        state_(std::move(state)) {}

  struct Transfer {
    EcuImage image;
    std::unique_ptr<File> file;
    std::uint64_t received = 0;
    std::int64_t began_ms = 0;
  };

  Result<Message> handle(const Message& question);
  Result<Message> take_time(const Message& question);
  Result<Message> look(const Message& question);
  Result<Message> take_file(const Message& question);
  Result<Message> go_on_looking();
  Result<Message> report();
  Result<Message> begin(const crypto::Digest256& sha256);
  Result<Message> begin_again();
  Result<Message> begin_transfer(const EcuImage& image);
  Result<Message> piece(const PieceBody& piece);
  Result<Message> end(const crypto::Digest256& sha256);
  Result<void> activate(const crypto::Digest256& sha256);
  Result<void> check(const crypto::Digest256& sha256);
  Result<void> keep(const crypto::Digest256& sha256);
  Result<void> revert(const crypto::Digest256& sha256);
  enum class Staged { kAsBefore, kTakenBack };
  Result<void> end_trial(Staged staged);
  Result<void> end_late_trial();
  Result<void> boot_trial();
  Result<void> check_passed_slot();
  Result<void> check_mind() const;
  void settle_trial();
  Result<void> check_slot(const EcuImage& image) const;
  // kUntrustedTime or kFreeze where the Director's word to this ECU holds no longer.
  Result<void> check_word() const;
  bool is_attack_told() const;
  Result<void> save(EcuState next);
  bool is_installed(const crypto::Digest256& sha256) const;
  bool is_staged(const crypto::Digest256& sha256) const;
  std::string spare_path() const { return layout_.slot(state_.spare()); }
  std::string kept_path() const { return layout_.slot(state_.kept); }

  Disk& disk_;
  const Clock& clock_;
  Firmware& firmware_;
  const EcuLayout layout_;
  const EcuIdentity identity_;
  EcuState state_;
  std::unique_ptr<crypto::MemorySigner> key_;
  std::optional<EcuTrust> trust_;
  std::optional<Transfer> transfer_;
  bool is_trial_over_ = false;  // the firmware has not gone back yet
  bool booted_in_run_ = false;  // on trial, since the ECU started
  bool passed_in_run_ = false;
  bool is_slot_damaged_ = false;  // of an image that has passed: it may come again
  bool write_failed_ = false;     // the disk may hold what `state_` does not
};

}  // namespace layby::secondary
