#include "agent/secondaries.h"

#include <algorithm>
#include <set>

#include "agent/kept_file.h"
#include "base/limits.h"
#include "manifest/json_value.h"
#include "manifest/target_search.h"

namespace layby::agent {
namespace {

using manifest::Json;
using secondary::Message;
using secondary::MessageType;

constexpr std::uint64_t kListBytesMax = 256 * kKiB;
constexpr std::size_t kEcusMax = secondary::kNoncesMax - 1;  // and the primary's own nonce
constexpr std::int64_t kAnswerMs = 10'000;
// Of one step in rounds: a visit is begun within the first time, and ends within the second.
constexpr std::int64_t kVisitsBeginMs = 10'000;
constexpr std::int64_t kVisitMs = 20'000;
// In rounds an ECU is not asked again for so long after a question that it let run out of time, or
// that took so long to fail; twice as long each further time, up to two hours.
constexpr std::int64_t kPauseMs = 900'000;
constexpr std::uint32_t kPauseDoublingsMax = 3;
constexpr std::int64_t kLongFailureMs = 1'000;
// A nonce is good for five minutes (secondary/ecu_trust.cc).
constexpr std::int64_t kNonceRoundMs = 120'000;
constexpr std::int64_t kNonceMsMax = 240'000;
// The primary's own time may be that much behind the server's, which grants twice as much.
constexpr UnixSeconds kEcuAheadSecondsMax = manifest::kReportAheadSecondsMax / 2;
// A step for which an ECU may run a program of its firmware, or read an image back.
constexpr std::int64_t kSlowAnswerMs = 560'000;
constexpr std::int64_t kQuestionMsMin = 2'000;  // less of a visit is not worth a question
// Of one look: two chains of roots with the other roles, and what is delegated.
constexpr int kFilesMax =
    2 * (kRootRotationsMax + 8) + static_cast<int>(manifest::kDelegatedRolesMax);
constexpr std::size_t kAttackCharactersMax = 300;
// An ECU that starts anew in its trial, as it may just when it is asked, is switched so often more.
constexpr int kSwitchesMax = 2;

bool is_slow(MessageType type) {
  return type == MessageType::kBegin || type == MessageType::kEnd ||
         type == MessageType::kActivate || type == MessageType::kCheck ||
         type == MessageType::kKeep || type == MessageType::kRevert;
}

// Another look may mend it: the ECU is away, or has started anew since it asked for the time.
bool is_passing(ErrorCode code) {
  return code == ErrorCode::kUnavailable || code == ErrorCode::kTimeout ||
         code == ErrorCode::kConflict || code == ErrorCode::kUntrustedTime ||
         code == ErrorCode::kReplay;
}

Json ecu_json(const PairedEcu& ecu) {
  return {{"address", ecu.address},
          {"serial", ecu.serial.text()},
          {"hardware", ecu.hardware.text()},
          {"key", to_hex(ecu.key)}};
}

Result<PairedEcu> read_ecu(const Json& json) {
  std::string address = TRY(manifest::text_field(json, "address"));
  auto serial = TRY(manifest::EcuSerial::parse(TRY(manifest::text_field(json, "serial"))));
  auto hardware = TRY(manifest::HardwareId::parse(TRY(manifest::text_field(json, "hardware"))));
  const auto key = TRY(array_from_hex<32>(TRY(manifest::text_field(json, "key"))));
  return PairedEcu{std::move(address), std::move(serial), std::move(hardware), key};
}

// What is in the journal of what an ECU has said.
void note(const secondary::EcuStatus& status, UnixSeconds now, EcuSeen& seen) {
  seen.phase = secondary::to_string(status.phase);
  seen.image = status.installed ? status.installed->name.text() : std::string();
  seen.sha256 = status.installed ? status.installed->sha256 : crypto::Digest256{};
  seen.attack = printable(status.attack, kAttackCharactersMax);
  seen.error.reset();
  seen.silent = false;
  seen.at = now;
}

// What an ECU may say by the name of a code: of the documents and images that it was given, and of
// the state that it is in. Everything else, as what ails its disk, is its own affair, and must not
// be taken for the agent's.
bool may_say(ErrorCode code) {
  switch (code) {
    case ErrorCode::kConflict:
    case ErrorCode::kUnavailable:
    case ErrorCode::kBadJson:
    case ErrorCode::kBadCanonicalJson:
    case ErrorCode::kBadFormat:
    case ErrorCode::kBadSignature:
    case ErrorCode::kRollback:
    case ErrorCode::kFreeze:
    case ErrorCode::kMixAndMatch:
    case ErrorCode::kEndlessData:
    case ErrorCode::kSlowRetrieval:
    case ErrorCode::kWrongVehicle:
    case ErrorCode::kWrongEcu:
    case ErrorCode::kRepositoriesDisagree:
    case ErrorCode::kImageRollback:
    case ErrorCode::kWrongImage:
    case ErrorCode::kReplay:
    case ErrorCode::kUntrustedTime:
    case ErrorCode::kNotEnoughSpace:
    case ErrorCode::kInstallFailed:
    case ErrorCode::kActivationFailed:
    case ErrorCode::kHealthCheckFailed: return true;
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kNotFound:
    case ErrorCode::kAlreadyExists:
    case ErrorCode::kIo:
    case ErrorCode::kDiskFull:
    case ErrorCode::kTooLarge:
    case ErrorCode::kCorrupt:
    case ErrorCode::kTimeout:
    case ErrorCode::kUnauthenticated:
    case ErrorCode::kForbidden:
    case ErrorCode::kUnsupported:
    case ErrorCode::kCancelled:
    case ErrorCode::kInternal:
    case ErrorCode::kLicenceRefused:
    case ErrorCode::kBadPayload:
    case ErrorCode::kWrongBase:
    case ErrorCode::kWrongChunk:
    case ErrorCode::kEncoderDefect:
    case ErrorCode::kConditionsNotMet:
    case ErrorCode::kPrivateMode:
    case ErrorCode::kByteBudgetSpent:
    case ErrorCode::kSlotsDisagree:
    case ErrorCode::kEcuRefused: return false;
  }
  return false;
}

Error refusal_of(const Error& said) {
  if (may_say(said.code())) return said;
  return Error(ErrorCode::kEcuRefused,
               fmt::format("it refuses: {}: {}", to_string(said.code()), said.message()));
}

Result<Message> ask_once(SecondaryLink& link, const std::string& address, const Message& question,
                         std::int64_t within_ms) {
  Message answer = TRY(link.ask(address, question, within_ms));
  if (answer.type == MessageType::kError)
    return fail(refusal_of(secondary::read_error(answer.body)));
  if (answer.type != MessageType::kDone && answer.type != MessageType::kWant)
    return fail(ErrorCode::kBadFormat, "{}: a question for an answer", address);
  return answer;
}

Result<MetEcu> meet(SecondaryLink& link, const std::string& address) {
  const Message said = TRY(ask_once(link, address, {MessageType::kStatus}, kAnswerMs));
  const auto status = TRY(secondary::decode_status(said.body));
  Message report = TRY(ask_once(link, address, {MessageType::kReport}, kAnswerMs));
  TRY(manifest::verify_secondary_report(report.body, status.serial,
                                        {.key = manifest::PublicKey::from_ed25519(status.key),
                                         .counter = 0,
                                         .hardware = status.hardware}));
  return MetEcu{.ecu = {address, status.serial, status.hardware, status.key},
                .report = std::move(report.body)};
}

}  // namespace

// ---- who they are -------------------------------------------------------------------------------

Result<void> write_ecu_list(Disk& disk, const Layout& layout, const EcuList& list) {
  const std::set<std::string> different(list.addresses.begin(), list.addresses.end());
  if (different.size() != list.addresses.size() || different.size() > kEcusMax)
    return fail(ErrorCode::kInvalidArgument, "at most {} different ECUs, each once", kEcusMax);
  Json json = {{"addresses", list.addresses}, {"paired", Json::array()}};
  for (const PairedEcu& ecu : list.paired) json["paired"].push_back(ecu_json(ecu));
  return write_kept(disk, layout.ecus(), as_bytes(TRY(manifest::to_wire(json))));
}

Result<EcuList> read_ecu_list(Disk& disk, const Layout& layout) {
  const auto bytes = read_kept(disk, layout.ecus(), kListBytesMax);
  if (!bytes && bytes.error().code() == ErrorCode::kNotFound) return EcuList{.addresses = {}};
  if (!bytes) return fail(bytes.error());
  const Json json =
      TRY_CONTEXT(manifest::parse_strict(*bytes, {.bytes_max = kListBytesMax}), layout.ecus());
  EcuList list{.addresses = {}};
  for (const Json& address : *TRY(manifest::array_field(json, "addresses"))) {
    if (!address.is_string()) return fail(ErrorCode::kBadFormat, "addresses: a text each");
    list.addresses.push_back(address.get<std::string>());
  }
  for (const Json& ecu : *TRY(manifest::array_field(json, "paired")))
    list.paired.push_back(TRY(read_ecu(ecu)));
  return list;
}

Result<std::vector<MetEcu>> meet_ecus(SecondaryLink& link, const EcuList& list) {
  std::vector<MetEcu> met;
  for (const std::string& address : list.addresses) {
    MetEcu here = TRY_CONTEXT(meet(link, address), address);
    for (const MetEcu& other : met)
      if (other.ecu.serial == here.ecu.serial)
        return fail(ErrorCode::kAlreadyExists, "{} and {} are both the ECU {}", other.ecu.address,
                    address, here.ecu.serial.text());
    met.push_back(std::move(here));
  }
  return met;
}

// ---- asking -------------------------------------------------------------------------------------

const PairedEcu* Secondaries::find(const manifest::EcuSerial& serial) const {
  for (const PairedEcu& ecu : list_.paired)
    if (ecu.serial == serial) return &ecu;
  return nullptr;
}

Result<Message> Secondaries::exchange(const PairedEcu& ecu, const Message& question,
                                      std::int64_t within_ms) {
  if (link_ == nullptr)
    return fail(ErrorCode::kUnavailable, "there is no way to the ECU {}", ecu.serial.text());
  const std::int64_t began_ms = clock_->monotonic_ms();
  if (visit_ends_ms_) {
    if (const auto pause = pauses_.find(ecu.serial);
        pause != pauses_.end() && began_ms < pause->second.until_ms)
      return fail(ErrorCode::kUnavailable, "{} did not answer a while ago", ecu.serial.text());
    // Time that was spent on fetching what it wants is not its own slowness.
    if (*visit_ends_ms_ - began_ms < kQuestionMsMin)
      return fail(ErrorCode::kUnavailable, "{} takes too long", ecu.serial.text());
    within_ms = std::min(within_ms, *visit_ends_ms_ - began_ms);
  }
  auto said = ask_once(*link_, ecu.address, question, within_ms);
  note_patience(ecu, said, clock_->monotonic_ms() - began_ms);
  return said;
}

void Secondaries::note_patience(const PairedEcu& ecu, const Result<Message>& said,
                                std::int64_t took_ms) {
  const auto code = said ? std::optional<ErrorCode>() : said.error().code();
  const bool is_silent =
      code == ErrorCode::kTimeout || (code == ErrorCode::kUnavailable && took_ms >= kLongFailureMs);
  if (is_silent) {
    Pause& pause = pauses_[ecu.serial];
    const auto doublings = std::min(pause.timeouts++, kPauseDoublingsMax);
    pause.until_ms = clock_->monotonic_ms() + (kPauseMs << doublings);
  } else if (const auto pause = pauses_.find(ecu.serial); said && pause != pauses_.end()) {
    pause->second.until_ms = 0;  // an order's step has found it awake
  }
}

Result<Bytes> Secondaries::ask(const PairedEcu& ecu, const Message& question,
                               std::int64_t within_ms) {
  auto said = exchange(ecu, question, within_ms);
  // An ECU that does not answer in time, or that has just started and has no time yet, may do so
  // later.
  if (!said && (said.error().code() == ErrorCode::kTimeout ||
                said.error().code() == ErrorCode::kUntrustedTime))
    return fail(ErrorCode::kUnavailable, "{}: {}", ecu.serial.text(), said.error().message());
  Message answer = TRY_CONTEXT(std::move(said), ecu.serial.text());
  if (answer.type != MessageType::kDone)
    return fail(ErrorCode::kBadFormat, "{}: wants something else", ecu.serial.text());
  return std::move(answer.body);
}

Result<Bytes> Secondaries::ask(const PairedEcu& ecu, const Message& question) {
  return ask(ecu, question, is_slow(question.type) ? kSlowAnswerMs : kAnswerMs);
}

Result<void> Secondaries::command(const PairedEcu& ecu, MessageType type,
                                  const crypto::Digest256& sha256) {
  return ask(ecu, secondary::make_digest(type, sha256)).map([](const Bytes&) {});
}

Result<secondary::EcuStatus> Secondaries::status(const PairedEcu& ecu) {
  const auto status = TRY(secondary::decode_status(TRY(ask(ecu, {MessageType::kStatus}))));
  if (status.serial == ecu.serial && status.hardware == ecu.hardware && status.key == ecu.key)
    return status;
  return fail(ErrorCode::kWrongEcu,
              "at {} is another ECU or key now ({}) than {}, the car's: layby-agent ecus",
              ecu.address, status.serial.text(), ecu.serial.text());
}

Result<void> Secondaries::hand_metadata(const PairedEcu& ecu, secondary::LookFor look_for,
                                        const MetadataSource& source) {
  Message answer = TRY(exchange(ecu, secondary::make_look(look_for), kAnswerMs));
  for (int files = 0; answer.type == MessageType::kWant; ++files) {
    if (files == kFilesMax)
      return fail(ErrorCode::kEndlessData, "{} wants more files than there are", ecu.serial.text());
    const auto want = TRY(secondary::read_want(answer.body));
    auto file = TRY(source(want));
    if (file && file->size() > want.bytes_max) file.reset();
    answer = TRY(exchange(ecu, secondary::make_file(file), kAnswerMs));
  }
  return {};
}

// ---- rounds -------------------------------------------------------------------------------------

// Who has let questions run out of time comes last: it costs the others nothing then.
std::vector<const PairedEcu*> Secondaries::in_turn() const {
  std::vector<const PairedEcu*> ecus;
  for (const PairedEcu& ecu : list_.paired) ecus.push_back(&ecu);
  std::ranges::stable_sort(ecus, {}, [&](const PairedEcu* ecu) {
    const auto pause = pauses_.find(ecu->serial);
    return pause == pauses_.end() ? 0 : pause->second.timeouts;
  });
  return ecus;
}

Secondaries::Round Secondaries::go_on(Visits& visits, const Visit& visit) {
  if (!std::exchange(visits.is_under_way, true)) {
    visits.left = in_turn();
    std::ranges::reverse(visits.left);
  }
  while (!visits.left.empty()) {
    const std::int64_t now_ms = clock_->monotonic_ms();
    if (now_ms - step_began_ms_ >= kVisitsBeginMs) return Round::kMore;
    const PairedEcu* ecu = visits.left.back();
    visits.left.pop_back();
    visit_ends_ms_ = now_ms + kVisitMs;
    visit(*ecu);
    visit_ends_ms_.reset();
  }
  visits.is_under_way = false;
  return Round::kOver;
}

Secondaries::Round Secondaries::ask_for_nonces() {
  // One that was interrupted for long has nonces that no ECU answers to any more.
  if (clock_->monotonic_ms() - nonces_at_ms_ >= kNonceRoundMs) nonce_visits_ = {};
  if (!nonce_visits_.is_under_way) {
    nonces_.clear();
    nonces_at_ms_ = clock_->monotonic_ms();
  }
  const Round round = go_on(nonce_visits_, [&](const PairedEcu& ecu) {
    const auto said = ask(ecu, {MessageType::kNonce});
    manifest::TimeNonce nonce{};
    if (!said || said->size() != nonce.size()) return;
    std::ranges::copy(*said, nonce.begin());
    nonces_.emplace(ecu.serial, nonce);
  });
  if (round == Round::kOver || clock_->monotonic_ms() - nonces_at_ms_ < kNonceRoundMs) return round;
  nonce_visits_ = {};
  return Round::kOver;
}

std::vector<manifest::TimeNonce> Secondaries::nonces() const {
  std::vector<manifest::TimeNonce> nonces;
  for (const auto& [serial, nonce] : nonces_) nonces.push_back(nonce);
  return nonces;
}

// Who gave no nonce has no use for the time, and takes nothing without one.
Result<void> Secondaries::give_news(const PairedEcu& ecu, const secondary::TimeBody& time,
                                    const MetadataSource& source) {
  if (!nonces_.contains(ecu.serial))
    return fail(ErrorCode::kUnavailable, "{} has not asked for the time", ecu.serial.text());
  TRY_VOID(hand_metadata(ecu, secondary::LookFor::kRoots, source));
  TRY(ask(ecu, secondary::make_time(time)));
  return hand_metadata(ecu, secondary::LookFor::kAll, source);
}

Secondaries::Round Secondaries::hand_on(const secondary::TimeBody& time,
                                        const MetadataSource& source, Record& record,
                                        UnixSeconds now, const MaySwitch& may_switch) {
  forget_strangers(record);
  if (!news_visits_.is_under_way) refused_.clear();
  return go_on(news_visits_, [&](const PairedEcu& ecu) {
    ++visits_with_news_;
    // A time that comes late looks to an ECU like one that was held back.
    if (clock_->monotonic_ms() - nonces_at_ms_ >= kNonceMsMax) return;
    // A stranger in its place is given nothing.
    if (!note_status(ecu, record, now)) return;
    const auto given = give_news(ecu, time, source);
    if (given) pauses_.erase(ecu.serial);
    if (!given && !is_passing(given.error().code())) refused_.insert(ecu.serial);
    const auto said = note_status(ecu, record, now);
    if (!said) return;
    if (!given) seen_in(record, ecu).error = recordable(given.error());
    if (is_orphan_trial(*said, record) && may_switch()) end_trial(ecu, *said);
  });
}

bool Secondaries::is_orphan_trial(const secondary::EcuStatus& said, const Record& record) {
  if (!said.staged || said.phase == secondary::Phase::kStaged) return false;
  const auto is_its = [&](const OrderRecord& order) {
    return is_past_no_return(order.state) &&
           std::ranges::any_of(order.images, [&](const ImageProgress& image) {
             return image.sha256 == said.staged->sha256;
           });
  };
  return std::ranges::none_of(record.orders, is_its);
}

// Its firmware may take its time; nobody else is asked in this step then.
void Secondaries::end_trial(const PairedEcu& ecu, const secondary::EcuStatus& said) {
  visit_ends_ms_.reset();
  static_cast<void>(command(ecu, MessageType::kRevert, said.staged->sha256));
  step_began_ms_ = clock_->monotonic_ms() - kVisitsBeginMs;
}

void Secondaries::forget_strangers(Record& record) const {
  std::erase_if(record.ecus, [&](const auto& ecu) { return find(ecu.first) == nullptr; });
}

// The counter is one of the key's.
EcuSeen& Secondaries::seen_in(Record& record, const PairedEcu& ecu) const {
  EcuSeen& seen =
      record.ecus.try_emplace(ecu.serial, EcuSeen{.hardware = ecu.hardware}).first->second;
  seen.hardware = ecu.hardware;
  if (seen.key != ecu.key) seen.counter = 0;
  seen.key = ecu.key;
  return seen;
}

Result<secondary::EcuStatus> Secondaries::note_status(const PairedEcu& ecu, Record& record,
                                                      UnixSeconds now) {
  auto said = status(ecu);
  EcuSeen& seen = seen_in(record, ecu);
  if (said) {
    note(*said, now, seen);
  } else {
    seen.error = recordable(said.error());
    seen.silent = true;
  }
  return said;
}

Secondaries::Round Secondaries::ask_for_reports(Record& record, UnixSeconds now) {
  forget_strangers(record);
  if (!report_visits_.is_under_way) reports_ = {};
  return go_on(report_visits_, [&](const PairedEcu& ecu) { take_report(ecu, record, now); });
}

void Secondaries::take_report(const PairedEcu& ecu, Record& record, UnixSeconds now) {
  EcuSeen& seen = seen_in(record, ecu);
  const bool was_silent = seen.silent;
  auto said = report(ecu, record, now);
  seen.report_error.reset();
  if (said) {
    reports_.reports.emplace(ecu.serial, std::move(*said));
    return;
  }
  seen.report_error = recordable(said.error());
  // It answered, and then not any more: what the server misses is news once it answers again.
  if (said.error().code() == ErrorCode::kUnavailable) seen.silent = true;
  reports_.silent.emplace(ecu.serial, std::string(to_string(said.error().code())));
  reports_.has_fallen_silent = reports_.has_fallen_silent || (seen.silent && !was_silent);
}

// One that a server would not take is none: the whole manifest would be refused for it.
Result<Bytes> Secondaries::report(const PairedEcu& ecu, Record& record, UnixSeconds now) {
  TRY(note_status(ecu, record, now));
  EcuSeen& seen = seen_in(record, ecu);
  Bytes bytes = TRY(ask(ecu, {MessageType::kReport}));
  const manifest::KnownEcu known{.key = manifest::PublicKey::from_ed25519(ecu.key),
                                 .counter = seen.counter,
                                 .hardware = ecu.hardware};
  const auto report =
      TRY_CONTEXT(manifest::verify_secondary_report(bytes, ecu.serial, known), ecu.serial.text());
  TRY_VOID(manifest::check_report_time(report, now, kEcuAheadSecondsMax));
  seen.counter = report.counter;
  return bytes;
}

// ---- an order's images --------------------------------------------------------------------------

Result<void> Secondaries::check_all_there(const OrderRecord& order) const {
  std::string gone;
  for (const ImageProgress& image : order.images)
    for (const manifest::EcuSerial& serial : image.ecus)
      if (find(serial) == nullptr) gone += (gone.empty() ? "" : ", ") + serial.text();
  if (gone.empty()) return {};
  return fail(ErrorCode::kWrongEcu, "no ECU of this car any more: {}", gone);
}

// One that is gone has nothing to do with the order any more.
Result<void> Secondaries::for_each(const OrderRecord& order, const Step& step) const {
  Result<void> first;
  for (const ImageProgress& image : order.images) {
    for (const manifest::EcuSerial& serial : image.ecus) {
      const PairedEcu* ecu = find(serial);
      if (ecu == nullptr) continue;
      if (auto done = step(*ecu, image.sha256); !done && first) first = std::move(done);
    }
  }
  return first;
}

bool Secondaries::have_word(const OrderRecord& order) {
  const auto each = [&](const PairedEcu& ecu, const crypto::Digest256& sha256) -> Result<void> {
    if (has_word(ecu, sha256)) return {};
    return fail(ErrorCode::kUntrustedTime, "{}", ecu.serial.text());
  };
  return for_each(order, each).has_value();
}

bool Secondaries::has_word(const PairedEcu& ecu, const crypto::Digest256& sha256) {
  const auto said = status(ecu);
  if (!said) return true;
  const auto is_it = [&](const std::optional<secondary::EcuImage>& image) {
    return image && image->sha256 == sha256;
  };
  if (is_it(said->installed) || (said->word_holds && is_it(said->wanted))) return true;
  return refused_.contains(ecu.serial);  // for a reason of its own, which no look mends
}

Result<void> Secondaries::stage(const manifest::EcuSerial& serial, const ImageProgress& image,
                                const ReadAt& content) {
  const PairedEcu* ecu = find(serial);
  if (ecu == nullptr)
    return fail(ErrorCode::kWrongEcu, "no ECU of this car any more: {}", serial.text());
  TRY(status(*ecu));
  const auto begun = TRY(secondary::read_begin_answer(
      TRY(ask(*ecu, secondary::make_digest(MessageType::kBegin, image.sha256)))));
  if (begun != secondary::BeginAnswer::kSend) return {};
  Bytes piece(secondary::kPieceBytesMax);
  for (std::uint64_t at = 0; at < image.length;) {
    const std::size_t count = std::min<std::uint64_t>(piece.size(), image.length - at);
    TRY_VOID(content.read_at(at, MutableByteSpan(piece).first(count)));
    TRY(ask(*ecu, secondary::make_piece({at, ByteSpan(piece).first(count)})));
    at += count;
  }
  return command(*ecu, MessageType::kEnd, image.sha256);
}

Result<void> Secondaries::activate_one(const PairedEcu& ecu, const crypto::Digest256& sha256,
                                       const MaySwitch& may_switch) {
  TRY_VOID(may_switch());
  return command(ecu, MessageType::kActivate, sha256);
}

Result<void> Secondaries::activate(const OrderRecord& order, const MaySwitch& may_switch) {
  TRY_VOID(check_all_there(order));
  // The first that does not want to ends it: no further one is switched for nothing.
  bool goes_on = true;
  return for_each(order, [&](const PairedEcu& ecu, const crypto::Digest256& sha256) {
    if (!goes_on) return Result<void>{};
    auto done = activate_one(ecu, sha256, may_switch);
    goes_on = done.has_value();
    return done;
  });
}

// One that has started anew meanwhile has lost its trial.
Result<void> Secondaries::check_one(const PairedEcu& ecu, const crypto::Digest256& sha256,
                                    const MaySwitch& may_switch) {
  auto well = command(ecu, MessageType::kCheck, sha256);
  for (int i = 0; i < kSwitchesMax; ++i) {
    if (well || well.error().code() != ErrorCode::kConflict) break;
    TRY_VOID(activate_one(ecu, sha256, may_switch));
    well = command(ecu, MessageType::kCheck, sha256);
  }
  return well;
}

Result<void> Secondaries::check(const OrderRecord& order, const MaySwitch& may_switch) {
  TRY_VOID(check_all_there(order));
  return for_each(order, [&](const PairedEcu& ecu, const crypto::Digest256& sha256) {
    return check_one(ecu, sha256, may_switch);
  });
}

Result<void> Secondaries::keep_one(const PairedEcu& ecu, const crypto::Digest256& sha256,
                                   const MaySwitch& may_switch) {
  const auto kept = command(ecu, MessageType::kKeep, sha256);
  if (kept || kept.error().code() != ErrorCode::kConflict) return kept;
  TRY_VOID(check_one(ecu, sha256, may_switch));
  return command(ecu, MessageType::kKeep, sha256);
}

Result<void> Secondaries::keep(const OrderRecord& order, const MaySwitch& may_switch,
                               const Again& again) {
  const auto each = [&](const PairedEcu& ecu, const crypto::Digest256& sha256) -> Result<void> {
    auto kept = keep_one(ecu, sha256, may_switch);
    const bool may_be_damaged = !kept && (kept.error().code() == ErrorCode::kEcuRefused ||
                                          kept.error().code() == ErrorCode::kHealthCheckFailed);
    if (!may_be_damaged) return kept;
    TRY_VOID(may_switch());  // it goes back to what it had before it takes the image over
    TRY_VOID(again(ecu.serial, sha256));
    return keep_one(ecu, sha256, may_switch);
  };
  return for_each(order, each);
}

Result<void> Secondaries::revert(const OrderRecord& order, const MaySwitch& may_switch) {
  return for_each(order,
                  [&](const PairedEcu& ecu, const crypto::Digest256& sha256) -> Result<void> {
                    TRY_VOID(may_switch());
                    return command(ecu, MessageType::kRevert, sha256);
                  });
}

bool Secondaries::is_undone(const OrderRecord& order) {
  return for_each(order,
                  [&](const PairedEcu& ecu, const crypto::Digest256&) -> Result<void> {
                    const auto said = TRY(status(ecu));
                    if (said.phase != secondary::Phase::kTrial &&
                        said.phase != secondary::Phase::kPassed)
                      return {};
                    return fail(ErrorCode::kConflict, "{} has it on trial", ecu.serial.text());
                  })
      .has_value();
}

}  // namespace layby::agent
