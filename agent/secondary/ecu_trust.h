// What a secondary believes: the roots it was provisioned with, what they vouch for, and the time.
// Whoever brings the files is not trusted (Uptane 2.1.0, 5.4.4).
#pragma once

#include <optional>

#include "agent/delegated_files.h"
#include "agent/secondary/ecu_identity.h"
#include "agent/secondary/ecu_state.h"
#include "agent/secondary/message.h"
#include "base/clock.h"
#include "base/disk.h"
#include "manifest/ecu_image.h"
#include "manifest/repository.h"
#include "manifest/server_time.h"
#include "manifest/target_search.h"

namespace layby::secondary {

class EcuTrust {
 public:
  // Loads what is trusted. All must outlive it.
  static Result<EcuTrust> open(Disk& disk, const Clock& clock, const EcuLayout& layout,
                               const EcuIdentity& identity);

  // A new question for the time; the one before is not answered any more.
  manifest::TimeNonce new_nonce();
  // Takes a signed time in and notes it in `state`, which the caller saves. kReplay if it answers
  // no question of ours, or one of long ago: who carries it may have held it back. kBadSignature,
  // kFreeze past the root's expiry, kRollback below a time that the same keys signed.
  Result<void> take_time(const TimeBody& body, EcuState& state);
  // One was signed in this run.
  bool has_time() const { return time_at_ms_.has_value(); }
  // Signed, and counted since; what was signed last where nothing was in this run.
  UnixSeconds now(const EcuState& state) const;

  // Begins a look; the files that it needs are asked for one by one. Without a time that was signed
  // in this run only the roots can be looked for: kUntrustedTime.
  Result<void> begin_look(LookFor look_for, const EcuState& state);
  // The next file; empty when the look is over.
  Result<std::optional<WantBody>> next();
  // The file that `next` named, or its absence. What is accepted is on the disk when it returns. An
  // error ends the look; what came before stays.
  Result<void> give(const std::optional<Bytes>& file);
  // The look that is over was for everything.
  bool looked_for_all() const { return stage_ == Stage::kDone && look_for_ == LookFor::kAll; }
  // After a whole look: until when the Director's word holds.
  UnixSeconds expires() const;
  // After a whole look: what the Director gives this ECU.
  Result<std::optional<manifest::VerifiedEcuImage>> own_image(const EcuState& state) const;

 private:
  EcuTrust(Disk& disk, const Clock& clock, const EcuLayout& layout, const EcuIdentity& identity,
           manifest::TrustedRepository director)
      : disk_(&disk),
        clock_(&clock),
        layout_(&layout),
        identity_(&identity),
        delegated_(disk, layout.delegated_trust()),
        director_(std::move(director)) {}

  enum class Stage { kNone, kDirectorRoot, kDirectorTargets, kDirector, kImage, kDelegated, kDone };
  bool is_full() const { return identity_->verification == Verification::kFull; }
  Result<void> give_one(const std::optional<Bytes>& file);
  Result<void> give_to_refresh(const std::optional<Bytes>& file);
  Result<void> begin_search();
  Result<void> give_to_search(const std::optional<Bytes>& file);
  Result<void> go_on_searching();
  Result<void> give_root(const std::optional<Bytes>& file);
  Result<void> store(const std::string& directory, const manifest::StoredChange& change);
  Result<void> persist();

  Disk* disk_;
  const Clock* clock_;
  const EcuLayout* layout_;
  const EcuIdentity* identity_;
  agent::DelegatedFiles delegated_;
  manifest::TrustedRepository director_;
  std::optional<manifest::TrustedRepository> image_;  // with full verification
  std::optional<manifest::TimeNonce> nonce_;          // open
  bool has_asked_ = false;                            // since the start
  std::int64_t nonce_at_ms_ = 0;                      // monotonic
  std::optional<std::int64_t> time_at_ms_;            // monotonic; when the time came, in this run

  Stage stage_ = Stage::kNone;
  LookFor look_for_ = LookFor::kAll;
  UnixSeconds look_time_ = 0;
  std::optional<manifest::Refresh> refresh_;
  std::optional<manifest::TargetSearch> search_;  // for this ECU's own image
};

}  // namespace layby::secondary
