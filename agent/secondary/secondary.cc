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

// What an honest primary does not bring: documents that are none, or that nobody may believe. A
// question that comes too early is none.
bool is_attack(ErrorCode code) {
  const auto number = static_cast<unsigned>(code);
  return number >= 100 && number < 300 && code != ErrorCode::kUntrustedTime;
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
  if (ecu->state_.phase == Phase::kTrial) TRY_VOID(ecu->end_trial());
  return ecu;
}

Result<void> Secondary::save(EcuState next) {
  if (next == state_) return {};
  TRY_VOID(write_state(disk_, layout_, next));
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
          .attack = state_.attack};
}

// ---- questions ----------------------------------------------------------------------------------

Message Secondary::answer(const Message& question) {
  auto answered = handle(question);
  if (answered) return std::move(*answered);
  note_refusal(answered.error());
  // What could not be kept is not what we go on from.
  if (is_of_medium(answered.error().code())) {
    auto reopened = EcuTrust::open(disk_, clock_, layout_, identity_);
    if (reopened) trust_.emplace(std::move(*reopened));
  }
  return make_error(answered.error());
}

void Secondary::note_refusal(const Error& error) {
  if (!is_attack(error.code())) return;
  EcuState next = state_;
  next.attack = describe(error);
  if (next.attack != state_.attack) next.attack_reported = false;
  // A medium that does not take it: it is said from memory, as long as there is power.
  if (!save(next)) state_ = std::move(next);
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
  // It has been told, and all is well since.
  if (next.attack_reported) {
    next.attack.clear();
    next.attack_reported = false;
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

Result<Message> Secondary::begin(const crypto::Digest256& sha256) {
  if (!state_.wanted && !trust_->has_time())
    return fail(ErrorCode::kUntrustedTime, "the Director's word to the ECU {} is not known yet",
                identity_.serial.text());
  if (!state_.wanted || state_.wanted->sha256 != sha256)
    return fail(ErrorCode::kWrongImage, "the Director does not give {} to the ECU {}",
                to_hex(sha256), identity_.serial.text());
  if (is_installed(sha256)) return make_begin_answer(BeginAnswer::kInstalled);
  if (is_staged(sha256)) return make_begin_answer(BeginAnswer::kStaged);
  if (state_.runs_spare())
    return fail(ErrorCode::kConflict, "an image is on trial: it is kept or taken back first");
  transfer_.reset();
  // First the state: it never speaks of bytes that are gone.
  EcuState next = state_;
  next.phase = Phase::kIdle;
  next.staged.reset();
  TRY_VOID(save(std::move(next)));
  auto file = TRY(disk_.open_write(spare_path()));
  TRY_VOID(file->truncate(0));
  const auto reserved = file->reserve(state_.wanted->length);
  if (!reserved && reserved.error().code() != ErrorCode::kUnsupported)
    return fail(reserved.error());
  transfer_ = Transfer{std::move(file), 0, clock_.monotonic_ms()};
  return make_begin_answer(BeginAnswer::kSend);
}

Result<Message> Secondary::piece(const PieceBody& piece) {
  if (!transfer_ || !state_.wanted || piece.offset != transfer_->received)
    return fail(ErrorCode::kConflict, "{} is not where the next piece begins", piece.offset);
  const auto refuse = [&](ErrorCode code, std::string_view what) -> Result<Message> {
    transfer_.reset();
    return fail(code, "{}: {}", state_.wanted->name.text(), what);
  };
  if (clock_.monotonic_ms() - transfer_->began_ms > kTransferMsMax)
    return refuse(ErrorCode::kSlowRetrieval, "the transfer took more than half an hour");
  if (piece.bytes.size() > state_.wanted->length - transfer_->received)
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
  if (is_staged(sha256) || is_installed(sha256)) return Message{MessageType::kDone};
  if (!transfer_ || !state_.wanted || state_.wanted->sha256 != sha256)
    return fail(ErrorCode::kConflict, "no transfer of {} has begun", to_hex(sha256));
  const Transfer transfer = std::move(*transfer_);
  transfer_.reset();
  TRY_VOID(transfer.file->sync());
  TRY_VOID(disk_.sync_dir(layout_.software()));
  TRY_VOID(check_slot(*state_.wanted));
  EcuState next = state_;
  next.phase = Phase::kStaged;
  next.staged = state_.wanted;
  TRY_VOID(save(std::move(next)));
  return Message{MessageType::kDone};
}

// ---- the switch ---------------------------------------------------------------------------------

Result<void> Secondary::activate(const crypto::Digest256& sha256) {
  if (state_.phase == Phase::kIdle && is_installed(sha256)) return {};
  if (!is_staged(sha256)) return fail(ErrorCode::kConflict, "{} is not staged", to_hex(sha256));
  if (state_.phase == Phase::kPassed) return {};
  // The Director may have changed its mind meanwhile, and a medium loses bits.
  if (!state_.wanted || *state_.wanted != *state_.staged)
    return fail(ErrorCode::kConflict, "the Director gives the ECU {} something else by now",
                identity_.serial.text());
  if (state_.installed && state_.staged->release_counter < state_.installed->release_counter)
    return fail(ErrorCode::kImageRollback, "{}: release counter {}, installed is {}",
                state_.staged->name.text(), state_.staged->release_counter,
                state_.installed->release_counter);
  EcuState next = state_;
  if (const auto whole = check_slot(*state_.staged); !whole) {
    next.phase = Phase::kIdle;
    next.staged.reset();
    TRY_VOID(save(std::move(next)));
    return fail(ErrorCode::kCorrupt, "{}", whole.error().message());  // nobody sent it just now
  }
  next.phase = Phase::kTrial;
  TRY_VOID(save(std::move(next)));
  return firmware_.boot(Firmware::Step::kTrial, spare_path());
}

Result<void> Secondary::check(const crypto::Digest256& sha256) {
  if (state_.phase == Phase::kIdle && is_installed(sha256)) return firmware_.check(kept_path());
  if (!state_.runs_spare() || !is_staged(sha256))
    return fail(ErrorCode::kConflict, "{} is not on trial", to_hex(sha256));
  if (state_.phase == Phase::kPassed) return {};
  TRY_VOID(firmware_.check(spare_path()));
  EcuState next = state_;
  next.phase = Phase::kPassed;
  return save(std::move(next));
}

Result<void> Secondary::keep(const crypto::Digest256& sha256) {
  if (state_.phase == Phase::kIdle && is_installed(sha256)) return {};
  if (state_.phase != Phase::kPassed || !is_staged(sha256))
    return fail(ErrorCode::kConflict, "{} has not passed its check", to_hex(sha256));
  TRY_VOID(firmware_.boot(Firmware::Step::kKeep, spare_path()));
  EcuState next = state_;
  next.kept = state_.spare();
  next.installed = state_.staged;
  next.staged.reset();
  next.phase = Phase::kIdle;
  return save(std::move(next));
}

// What was kept stays kept: who brings the metadata must not bring back an older image.
Result<void> Secondary::revert(const crypto::Digest256& sha256) {
  if (!state_.runs_spare()) return {};
  if (!is_staged(sha256))
    return fail(ErrorCode::kConflict, "another image is on trial than {}", to_hex(sha256));
  return end_trial();
}

// The image stays where it is: the next try need not bring it again.
Result<void> Secondary::end_trial() {
  TRY_VOID(firmware_.boot(Firmware::Step::kRevert, kept_path()));
  EcuState next = state_;
  next.phase = Phase::kStaged;
  return save(std::move(next));
}

}  // namespace layby::secondary
