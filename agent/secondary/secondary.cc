#include "agent/secondary/secondary.h"

#include <algorithm>

#include "agent/version.h"
#include "base/assert.h"
#include "manifest/report.h"

namespace layby::secondary {
namespace {

// So long an image may take from its first byte to its last: a primary that drips is refused
// (Uptane 2.1.0, slow retrieval).
constexpr std::int64_t kTransferMsMax = 30 * 60 * 1000;
constexpr std::size_t kAttackCharactersMax = 300;
// A report may be lost, or kept back by a primary that was taken over. To silence this ECU for so
// long is seen.
constexpr UnixSeconds kAttackToldSeconds = kDaySeconds;

// So long after the Director's word a trial that a power cut ended may begin again, where there is
// a time that tells.
constexpr UnixSeconds kTrialAfterWordSeconds = 30 * kDaySeconds;

// What an honest primary does not bring: documents that are none, that nobody may believe, or more
// than an ECU takes of them. A question that comes too early is none.
bool is_attack(ErrorCode code) {
  const auto number = static_cast<unsigned>(code);
  return (number >= 100 && number < 300 && code != ErrorCode::kUntrustedTime) ||
         code == ErrorCode::kTooLarge;
}

// An honest primary looks at the word before it begins. When it comes to the switch, the car may
// have been driven for a day.
bool may_happen(MessageType asked, ErrorCode code) {
  return asked == MessageType::kActivate && code == ErrorCode::kFreeze;
}

bool is_of_medium(ErrorCode code) {
  return code == ErrorCode::kIo || code == ErrorCode::kDiskFull || code == ErrorCode::kCorrupt;
}

std::string describe(const Error& error) {
  std::string text = fmt::format("{}: {}", to_string(error.code()), error.message());
  text.resize(std::min(text.size(), kAttackCharactersMax));
  for (char& c : text)
    if (c < ' ' || c > '~') c = '?';
  return text;
}

EcuImage image_of(const manifest::ImageEntry& entry) {
  return {.name = entry.name,
          .sha256 = entry.sha256,
          .length = entry.length,
          .sha512 = entry.sha512,
          .release_counter = entry.facts.release_counter};
}

}  // namespace

Result<std::unique_ptr<Secondary>> Secondary::open(Disk& disk, const Clock& clock,
                                                   Firmware& firmware, std::string directory) {
  EcuLayout layout(std::move(directory));
  EcuIdentity identity = TRY(read_identity(disk, layout));
  EcuState state = TRY(read_state(disk, layout));
  auto key = TRY(read_key(disk, layout));
  std::unique_ptr<Secondary> ecu(new Secondary(disk, clock, firmware, std::move(layout),
                                               std::move(identity), std::move(state)));
  ecu->key_ = std::move(key);
  ecu->trust_.emplace(TRY(EcuTrust::open(disk, clock, ecu->layout_, ecu->identity_)));
  ecu->settle_trial();
  return ecu;
}

void Secondary::settle_trial() {
  if (state_.phase != Phase::kTrial) return;
  if (!state_.has_restarted && firmware_.runs(spare_path()) == Firmware::Runs::kYes) {
    EcuState next = state_;
    next.has_restarted = true;
    if (save(std::move(next))) return;
  }
  is_trial_over_ = true;
  static_cast<void>(end_late_trial());  // else it is tried again when somebody wants a switch
}

Result<void> Secondary::save(EcuState next) {
  if (next == state_ && !write_failed_) return {};
  write_failed_ = true;
  TRY_VOID(write_state(disk_, layout_, next));
  write_failed_ = false;
  state_ = std::move(next);
  return {};
}

EcuStatus Secondary::status() const {
  return {.serial = identity_.serial,
          .hardware = identity_.hardware,
          .key = key_->public_key(),
          .verification = identity_.verification,
          .phase = state_.phase,
          .installed = state_.installed,
          .staged = state_.staged,
          .wanted = state_.wanted,
          .word_holds = check_word().has_value(),
          .attack = state_.attack};
}

// ---- questions ----------------------------------------------------------------------------------

Message Secondary::answer(const Message& question) {
  auto answered = handle(question);
  if (answered) return std::move(*answered);
  if (!may_happen(question.type, answered.error().code())) note_refusal(answered.error());
  // What could not be kept is not what we go on from.
  if (is_of_medium(answered.error().code())) {
    auto reopened = EcuTrust::open(disk_, clock_, layout_, identity_);
    if (reopened) trust_.emplace(std::move(*reopened));
  }
  return make_error(answered.error());
}

void Secondary::note_refusal(const Error& error) {
  if (!is_attack(error.code())) return;
  if (!state_.attack.empty() && !is_attack_told()) return;  // the first one stays
  EcuState next = state_;
  next.attack = describe(error);
  next.attack_reported = false;
  next.attack_well_since = 0;
  // A medium that does not take it: it is said from memory, as long as there is power.
  if (!save(next)) state_ = std::move(next);
}

bool Secondary::is_attack_told() const {
  return state_.attack_reported && state_.attack_well_since != 0 &&
         trust_->now(state_) >= state_.attack_well_since + kAttackToldSeconds;
}

Result<Message> Secondary::handle(const Message& question) {
  const auto done = [](const Result<void>& result) -> Result<Message> {
    if (!result) return fail(result.error());
    return Message{MessageType::kDone};
  };
  switch (question.type) {
    case MessageType::kStatus: {
      Bytes said = TRY(encode(status()));
      return Message{MessageType::kDone, std::move(said)};
    }
    case MessageType::kNonce: {
      const manifest::TimeNonce nonce = trust_->new_nonce();
      return Message{MessageType::kDone, Bytes(nonce.begin(), nonce.end())};
    }
    case MessageType::kTime: return take_time(question);
    case MessageType::kLook: return look(question);
    case MessageType::kFile: return take_file(question);
    case MessageType::kBegin: return begin(TRY(read_digest(question.body)));
    case MessageType::kPiece: return piece(TRY(read_piece(question.body)));
    case MessageType::kEnd: return end(TRY(read_digest(question.body)));
    case MessageType::kActivate: return done(activate(TRY(read_digest(question.body))));
    case MessageType::kCheck: return done(check(TRY(read_digest(question.body))));
    case MessageType::kKeep: return done(keep(TRY(read_digest(question.body))));
    case MessageType::kRevert: return done(revert(TRY(read_digest(question.body))));
    case MessageType::kReport: return report();
    case MessageType::kDone:
    case MessageType::kWant:
    case MessageType::kError: break;
  }
  return fail(ErrorCode::kBadFormat, "an answer where a question belongs");
}

Result<Message> Secondary::take_time(const Message& question) {
  const TimeBody body = TRY(read_time(question.body));
  EcuState next = state_;
  TRY_VOID(trust_->take_time(body, next));
  TRY_VOID(save(std::move(next)));
  return Message{MessageType::kDone};
}

Result<Message> Secondary::look(const Message& question) {
  TRY_VOID(trust_->begin_look(TRY(read_look(question.body)), state_));
  return go_on_looking();
}

Result<Message> Secondary::take_file(const Message& question) {
  TRY_VOID(trust_->give(TRY(read_file_body(question.body))));
  return go_on_looking();
}

Result<Message> Secondary::go_on_looking() {
  if (const auto want = TRY(trust_->next())) return make_want(*want);
  if (!trust_->looked_for_all()) return Message{MessageType::kDone};
  const auto own = TRY(trust_->own_image(state_));
  EcuState next = state_;
  next.wanted.reset();
  if (own) next.wanted = image_of(own->entry());
  next.wanted_until = trust_->expires();
  const bool comes_again = transfer_ && is_staged(transfer_->image.sha256);
  if (transfer_ && !comes_again && next.wanted != transfer_->image) transfer_.reset();
  // Withdrawn, and no set has been decided with it: that one has passed.
  if (next.phase == Phase::kStaged && next.wanted != next.staged) next.was_on_trial = false;
  // It has been told, and all is well since.
  if (next.attack_reported && next.attack_well_since == 0)
    next.attack_well_since = trust_->now(state_);
  if (is_attack_told()) {
    next.attack.clear();
    next.attack_reported = false;
    next.attack_well_since = 0;
  }
  TRY_VOID(save(std::move(next)));
  return Message{MessageType::kDone};
}

// Counter and all are durable before anybody sees the report.
Result<Message> Secondary::report() {
  EcuState next = state_;
  ++next.report_counter;
  next.attack_reported = !next.attack.empty();
  manifest::EcuReport report{.ecu = identity_.serial,
                             .counter = next.report_counter,
                             .time = trust_->now(state_),
                             .agent = std::string(agent::kAgentVersion),
                             .installed = {},
                             .functions = {},
                             .attack = next.attack,
                             .orders = {}};
  if (state_.installed)
    report.installed.emplace(
        manifest::Slot::software(identity_.hardware),
        manifest::InstalledImage{.image = state_.installed->name,
                                 .sha256 = state_.installed->sha256,
                                 .length = state_.installed->length,
                                 .release_counter = state_.installed->release_counter});
  Bytes bytes = TRY(manifest::make_ecu_report(report, *key_));
  TRY_VOID(save(std::move(next)));
  return Message{MessageType::kDone, std::move(bytes)};
}

// ---- the image ----------------------------------------------------------------------------------

bool Secondary::is_installed(const crypto::Digest256& sha256) const {
  return state_.installed && state_.installed->sha256 == sha256;
}

bool Secondary::is_staged(const crypto::Digest256& sha256) const {
  return state_.phase != Phase::kIdle && state_.staged->sha256 == sha256;
}

// What was verified once must not be installed years after: the withdrawal may have been held back.
Result<void> Secondary::check_word() const {
  if (!trust_->has_time())
    return fail(ErrorCode::kUntrustedTime, "no time was signed for this ECU since it started");
  if (trust_->now(state_) < state_.wanted_until) return {};
  return fail(ErrorCode::kFreeze, "what the Director said to the ECU {} has expired",
              identity_.serial.text());
}

Result<Message> Secondary::begin(const crypto::Digest256& sha256) {
  // Its set may have been decided: no word is needed for the very bytes that have passed.
  if (state_.phase == Phase::kPassed && is_staged(sha256))
    return is_slot_damaged_ ? begin_again() : make_begin_answer(BeginAnswer::kStaged);
  const bool is_wanted = state_.wanted && state_.wanted->sha256 == sha256;
  // Who has just started may have missed it: that is nobody's lie.
  if (!is_wanted && !trust_->has_time())
    return fail(ErrorCode::kUntrustedTime, "the Director's word to the ECU {} is not known yet",
                identity_.serial.text());
  if (!is_wanted)
    return fail(ErrorCode::kWrongImage, "the Director does not give {} to the ECU {}",
                to_hex(sha256), identity_.serial.text());
  if (is_installed(sha256)) return make_begin_answer(BeginAnswer::kInstalled);
  TRY_VOID(check_word());
  if (is_staged(sha256)) return make_begin_answer(BeginAnswer::kStaged);
  if (state_.runs_spare())
    return fail(ErrorCode::kConflict, "an image is on trial: it is kept or taken back first");
  transfer_.reset();
  // First the state: it never speaks of bytes that are gone.
  EcuState next = state_;
  next.phase = Phase::kIdle;
  next.staged.reset();
  next.was_on_trial = false;
  TRY_VOID(save(std::move(next)));
  return begin_transfer(*state_.wanted);
}

// Nobody runs what is written over. It stays `passed`: no other image takes its place, and whatever
// becomes of this transfer is found out before it is booted.
Result<Message> Secondary::begin_again() {
  transfer_.reset();
  booted_in_run_ = passed_in_run_ = false;
  if (firmware_.runs(spare_path()) != Firmware::Runs::kNo)
    TRY_VOID(firmware_.boot(Firmware::Step::kRevert, kept_path()));
  return begin_transfer(*state_.staged);
}

Result<Message> Secondary::begin_transfer(const EcuImage& image) {
  auto file = TRY(disk_.open_write(spare_path()));
  TRY_VOID(file->truncate(0));
  const auto reserved = file->reserve(image.length);
  if (!reserved && reserved.error().code() != ErrorCode::kUnsupported)
    return fail(reserved.error());
  transfer_ = Transfer{image, std::move(file), 0, clock_.monotonic_ms()};
  return make_begin_answer(BeginAnswer::kSend);
}

Result<Message> Secondary::piece(const PieceBody& piece) {
  if (!transfer_ || piece.offset != transfer_->received)
    return fail(ErrorCode::kConflict, "{} is not where the next piece begins", piece.offset);
  const auto refuse = [&](ErrorCode code, std::string_view what) -> Result<Message> {
    const Transfer ended = *std::exchange(transfer_, std::nullopt);
    return fail(code, "{}: {}", ended.image.name.text(), what);
  };
  if (clock_.monotonic_ms() - transfer_->began_ms > kTransferMsMax)
    return refuse(ErrorCode::kSlowRetrieval, "the transfer took more than half an hour");
  const std::uint64_t length = transfer_->image.length;
  if (transfer_->received > length || piece.bytes.size() > length - transfer_->received)
    return refuse(ErrorCode::kEndlessData, "more bytes than the signed length");
  if (auto written = transfer_->file->write_at(piece.offset, piece.bytes); !written) {
    transfer_.reset();
    return fail(written.error());
  }
  transfer_->received += piece.bytes.size();
  return Message{MessageType::kDone};
}

// Read back from the medium: length, and every digest that the metadata names (5.4.2.7).
Result<void> Secondary::check_slot(const EcuImage& image) const {
  const auto with =
      image.sha512 ? crypto::Hasher::With::kSha256AndSha512 : crypto::Hasher::With::kSha256;
  const auto file = TRY(disk_.open_read(spare_path()));
  const auto digests = TRY(crypto::hash_all(*file, with));
  if (digests.length == image.length && digests.sha256 == image.sha256 &&
      (!image.sha512 || digests.sha512 == *image.sha512))
    return {};
  return fail(ErrorCode::kWrongImage, "{}: what came does not have the signed digest and length",
              image.name.text());
}

Result<Message> Secondary::end(const crypto::Digest256& sha256) {
  const bool is_coming = transfer_ && transfer_->image.sha256 == sha256;
  if (!is_coming && (is_staged(sha256) || is_installed(sha256))) return Message{MessageType::kDone};
  if (!is_coming) return fail(ErrorCode::kConflict, "no transfer of {} has begun", to_hex(sha256));
  const Transfer transfer = *std::exchange(transfer_, std::nullopt);
  TRY_VOID(transfer.file->sync());
  TRY_VOID(disk_.sync_dir(layout_.software()));
  TRY_VOID(check_slot(transfer.image));
  is_slot_damaged_ = false;
  if (state_.phase == Phase::kPassed) return Message{MessageType::kDone};
  EcuState next = state_;
  next.phase = Phase::kStaged;
  next.staged = transfer.image;
  TRY_VOID(save(std::move(next)));
  return Message{MessageType::kDone};
}

// ---- the switch ---------------------------------------------------------------------------------

// What has passed once may be damaged by now: then it may be sent again.
Result<void> Secondary::check_passed_slot() {
  const auto whole = check_slot(*state_.staged);
  is_slot_damaged_ = !whole;
  if (whole) return {};
  return fail(ErrorCode::kCorrupt, "{}", whole.error().message());
}

// The Director may have changed its mind since the image was staged.
Result<void> Secondary::check_mind() const {
  if (state_.was_on_trial) {
    const bool is_long_over =
        trust_->has_time() && trust_->now(state_) >= state_.wanted_until + kTrialAfterWordSeconds;
    return is_long_over ? check_word() : Result<void>{};
  }
  if (!state_.wanted || *state_.wanted != *state_.staged)
    return fail(ErrorCode::kConflict, "the Director gives the ECU {} something else by now",
                identity_.serial.text());
  return check_word();
}

Result<void> Secondary::activate(const crypto::Digest256& sha256) {
  if (is_installed(sha256) && !state_.runs_spare()) return {};
  if (!is_staged(sha256)) return fail(ErrorCode::kConflict, "{} is not staged", to_hex(sha256));
  TRY_VOID(end_late_trial());
  if (state_.runs_spare() && firmware_.runs(spare_path()) == Firmware::Runs::kYes) return {};
  // A start took the kept one; what has passed once goes on trial as it is.
  if (state_.phase == Phase::kPassed) {
    if (passed_in_run_) return {};
    TRY_VOID(check_passed_slot());
    return boot_trial();
  }
  TRY_VOID(check_mind());
  if (state_.installed && state_.staged->release_counter < state_.installed->release_counter)
    return fail(ErrorCode::kImageRollback, "{}: release counter {}, installed is {}",
                state_.staged->name.text(), state_.staged->release_counter,
                state_.installed->release_counter);
  EcuState next = state_;
  if (const auto whole = check_slot(*state_.staged); !whole) {
    next.phase = Phase::kIdle;
    next.staged.reset();
    next.was_on_trial = false;
    TRY_VOID(save(std::move(next)));
    return fail(ErrorCode::kCorrupt, "{}", whole.error().message());  // nobody sent it just now
  }
  next.phase = Phase::kTrial;
  next.was_on_trial = true;
  next.has_restarted = false;
  TRY_VOID(save(std::move(next)));
  return boot_trial();
}

Result<void> Secondary::boot_trial() {
  booted_in_run_ = false;
  TRY_VOID(firmware_.boot(Firmware::Step::kTrial, spare_path()));
  booted_in_run_ = true;
  return {};
}

Result<void> Secondary::check(const crypto::Digest256& sha256) {
  if (is_installed(sha256) && !state_.runs_spare()) return firmware_.check(kept_path());
  TRY_VOID(end_late_trial());
  if (!state_.runs_spare() || !is_staged(sha256))
    return fail(ErrorCode::kConflict, "{} is not on trial", to_hex(sha256));
  if (passed_in_run_) return {};
  const auto runs = firmware_.runs(spare_path());
  if (runs != Firmware::Runs::kYes && !booted_in_run_)
    return fail(ErrorCode::kConflict, "the ECU started anew: {} goes on trial once more",
                state_.staged->name.text());
  if (runs == Firmware::Runs::kNo)
    return fail(ErrorCode::kUnavailable, "{} does not run yet", state_.staged->name.text());
  if (const auto well = firmware_.check(spare_path()); !well) {
    if (state_.phase == Phase::kPassed) TRY_VOID(check_passed_slot());
    return well;
  }
  EcuState next = state_;
  next.phase = Phase::kPassed;
  TRY_VOID(save(std::move(next)));
  passed_in_run_ = true;
  return {};
}

Result<void> Secondary::keep(const crypto::Digest256& sha256) {
  if (is_installed(sha256) && !state_.runs_spare()) return {};
  if (state_.phase != Phase::kPassed || !is_staged(sha256))
    return fail(ErrorCode::kConflict, "{} has not passed its check", to_hex(sha256));
  // What passed before the ECU started anew may not be what runs now.
  if (!passed_in_run_) TRY_VOID(check(sha256));
  TRY_VOID(firmware_.boot(Firmware::Step::kKeep, spare_path()));
  EcuState next = state_;
  next.kept = state_.spare();
  next.installed = state_.staged;
  next.staged.reset();
  next.was_on_trial = next.has_restarted = false;
  next.phase = Phase::kIdle;
  TRY_VOID(save(std::move(next)));
  booted_in_run_ = passed_in_run_ = false;
  return {};
}

// What was kept stays kept: who brings the metadata must not bring back an older image.
Result<void> Secondary::revert(const crypto::Digest256& sha256) {
  if (state_.runs_spare() && !is_staged(sha256))
    return fail(ErrorCode::kConflict, "another image is on trial than {}", to_hex(sha256));
  if (state_.runs_spare()) return end_trial(Staged::kTakenBack);
  if (!is_staged(sha256)) return {};
  EcuState next = state_;
  next.was_on_trial = false;
  return save(std::move(next));
}

// The image stays where it is: the next try need not bring it again.
Result<void> Secondary::end_trial(Staged staged) {
  TRY_VOID(firmware_.boot(Firmware::Step::kRevert, kept_path()));
  EcuState next = state_;
  next.phase = Phase::kStaged;
  next.has_restarted = false;
  if (staged == Staged::kTakenBack) next.was_on_trial = false;
  TRY_VOID(save(std::move(next)));
  is_trial_over_ = booted_in_run_ = passed_in_run_ = is_slot_damaged_ = false;
  transfer_.reset();
  return {};
}

Result<void> Secondary::end_late_trial() {
  if (!is_trial_over_) return {};
  return end_trial(Staged::kAsBefore);
}

}  // namespace layby::secondary
