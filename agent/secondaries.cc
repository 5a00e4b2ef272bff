#include "agent/secondaries.h"

#include <algorithm>
#include <set>

#include "agent/kept_file.h"
#include "base/limits.h"
#include "manifest/envelope.h"
#include "manifest/json_value.h"

namespace layby::agent {
namespace {

using manifest::Json;
using secondary::Message;
using secondary::MessageType;

constexpr std::uint64_t kListBytesMax = 256 * kKiB;
constexpr std::size_t kEcusMax = secondary::kNoncesMax - 1;  // and the primary's own nonce
constexpr std::int64_t kAnswerMs = 10'000;
// A step for which an ECU may run a program of its firmware, or read an image back.
constexpr std::int64_t kSlowAnswerMs = 560'000;
constexpr int kFilesMax = 2 * (kRootRotationsMax + 8);  // of one look
constexpr std::size_t kAttackCharactersMax = 300;
// An ECU that starts anew in its trial, as it may just when it is asked, is switched so often more.
constexpr int kSwitchesMax = 2;

bool is_slow(MessageType type) {
  return type == MessageType::kEnd || type == MessageType::kActivate ||
         type == MessageType::kCheck || type == MessageType::kKeep || type == MessageType::kRevert;
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
EcuSeen seen(const secondary::EcuStatus& status, UnixSeconds now) {
  EcuSeen out{.hardware = status.hardware};
  out.phase = secondary::to_string(status.phase);
  if (status.installed) {
    out.image = status.installed->name.text();
    out.sha256 = status.installed->sha256;
  }
  out.attack = printable(status.attack, kAttackCharactersMax);
  out.at = now;
  return out;
}

Result<Message> ask_once(SecondaryLink& link, const std::string& address, const Message& question,
                         std::int64_t within_ms) {
  Message answer = TRY(link.ask(address, question, within_ms));
  if (answer.type == MessageType::kError) return fail(secondary::read_error(answer.body));
  if (answer.type != MessageType::kDone && answer.type != MessageType::kWant)
    return fail(ErrorCode::kBadFormat, "{}: a question for an answer", address);
  return answer;
}

Result<PairedEcu> meet(SecondaryLink& link, const std::string& address) {
  const Message said = TRY(ask_once(link, address, {MessageType::kStatus}, kAnswerMs));
  const auto status = TRY(secondary::decode_status(said.body));
  const Message report = TRY(ask_once(link, address, {MessageType::kReport}, kAnswerMs));
  const auto envelope = TRY(manifest::Envelope::parse(report.body, kVehicleManifestBytesMax));
  TRY_VOID(manifest::verify_signature(envelope, manifest::PublicKey::from_ed25519(status.key),
                                      "ECU report"));
  return PairedEcu{address, status.serial, status.hardware, status.key};
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

Result<std::vector<PairedEcu>> meet_ecus(SecondaryLink& link, const EcuList& list) {
  std::vector<PairedEcu> met;
  for (const std::string& address : list.addresses) {
    PairedEcu ecu = TRY_CONTEXT(meet(link, address), address);
    for (const PairedEcu& other : met)
      if (other.serial == ecu.serial)
        return fail(ErrorCode::kAlreadyExists, "{} and {} are both the ECU {}", other.address,
                    address, ecu.serial.text());
    met.push_back(std::move(ecu));
  }
  return met;
}

// ---- asking -------------------------------------------------------------------------------------

const PairedEcu* Secondaries::find(const manifest::EcuSerial& serial) const {
  for (const PairedEcu& ecu : list_.paired)
    if (ecu.serial == serial) return &ecu;
  return nullptr;
}

Result<Bytes> Secondaries::ask(const PairedEcu& ecu, const Message& question,
                               std::int64_t within_ms) {
  if (link_ == nullptr)
    return fail(ErrorCode::kUnavailable, "there is no way to the ECU {}", ecu.serial.text());
  auto said = ask_once(*link_, ecu.address, question, within_ms);
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
              "at {} is the ECU {} now, and not {} as it was paired: pair the car again",
              ecu.address, status.serial.text(), ecu.serial.text());
}

std::vector<manifest::TimeNonce> Secondaries::ask_for_nonces() {
  std::vector<manifest::TimeNonce> nonces;
  for (const PairedEcu& ecu : list_.paired) {
    const auto said = ask(ecu, {MessageType::kNonce});
    manifest::TimeNonce nonce{};
    if (!said || said->size() != nonce.size()) continue;
    std::ranges::copy(*said, nonce.begin());
    nonces.push_back(nonce);
  }
  return nonces;
}

Result<void> Secondaries::hand_metadata(const PairedEcu& ecu, secondary::LookFor look_for,
                                        const MetadataSource& source) {
  if (link_ == nullptr)
    return fail(ErrorCode::kUnavailable, "there is no way to the ECU {}", ecu.serial.text());
  Message answer = TRY(ask_once(*link_, ecu.address, secondary::make_look(look_for), kAnswerMs));
  for (int files = 0; answer.type == MessageType::kWant; ++files) {
    if (files == kFilesMax)
      return fail(ErrorCode::kEndlessData, "{} wants more files than there are", ecu.serial.text());
    const auto want = TRY(secondary::read_want(answer.body));
    auto file = TRY(source(want));
    if (file && file->size() > want.bytes_max) file.reset();
    answer = TRY(ask_once(*link_, ecu.address, secondary::make_file(file), kAnswerMs));
  }
  return {};
}

Result<void> Secondaries::hand_on_to(const PairedEcu& ecu, const secondary::TimeBody& time,
                                     const MetadataSource& source) {
  TRY_VOID(hand_metadata(ecu, secondary::LookFor::kRoots, source));
  TRY(ask(ecu, secondary::make_time(time)));
  return hand_metadata(ecu, secondary::LookFor::kAll, source);
}

void Secondaries::hand_on(const secondary::TimeBody& time, const MetadataSource& source,
                          Record& record, UnixSeconds now) {
  std::map<manifest::EcuSerial, Error> failed;
  for (const PairedEcu& ecu : list_.paired)
    if (const auto handed = hand_on_to(ecu, time, source); !handed)
      failed.emplace(ecu.serial, recordable(handed.error()));
  look(record, now);
  for (const auto& [serial, error] : failed)
    if (const auto at = record.ecus.find(serial); at != record.ecus.end() && !at->second.error)
      at->second.error = error;
}

void Secondaries::look(Record& record, UnixSeconds now) {
  std::erase_if(record.ecus, [&](const auto& ecu) { return find(ecu.first) == nullptr; });
  for (const PairedEcu& ecu : list_.paired) {
    const auto said = status(ecu);
    const auto at = record.ecus.try_emplace(ecu.serial, EcuSeen{.hardware = ecu.hardware}).first;
    if (said)
      at->second = seen(*said, now);
    else
      at->second.error = recordable(said.error());
  }
}

void Secondaries::end_orphan_trials(const Record& record, const MaySwitch& may_switch) {
  for (const PairedEcu& ecu : list_.paired) {
    const auto said = status(ecu);
    if (!said || !said->staged || said->phase == secondary::Phase::kStaged) continue;
    const auto is_its = [&](const OrderRecord& order) {
      return is_past_no_return(order.state) &&
             std::ranges::any_of(order.images, [&](const ImageProgress& image) {
               return image.sha256 == said->staged->sha256;
             });
    };
    if (std::ranges::none_of(record.orders, is_its) && may_switch())
      static_cast<void>(command(ecu, MessageType::kRevert, said->staged->sha256));
  }
}

std::map<manifest::EcuSerial, Bytes> Secondaries::reports() {
  std::map<manifest::EcuSerial, Bytes> out;
  for (const PairedEcu& ecu : list_.paired)
    if (status(ecu))
      if (auto report = ask(ecu, {MessageType::kReport})) out.emplace(ecu.serial, *report);
  return out;
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

Result<void> Secondaries::keep(const OrderRecord& order, const MaySwitch& may_switch) {
  return for_each(order, [&](const PairedEcu& ecu, const crypto::Digest256& sha256) {
    return keep_one(ecu, sha256, may_switch);
  });
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
