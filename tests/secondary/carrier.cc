#include "tests/secondary/carrier.h"

#include "base/assert.h"
#include "tests/agent/world.h"

namespace layby::tests {

using secondary::Message;
using secondary::MessageType;

Result<void> FakeFirmware::boot(Step step, const std::string& slot_path) {
  log.push_back(fmt::format("{} {}",
                            step == Step::kTrial  ? "trial"
                            : step == Step::kKeep ? "keep"
                                                  : "revert",
                            slot_path));
  if (!boots) return fail(ErrorCode::kActivationFailed, "the ECU does not boot");
  if (step == Step::kTrial && trial_is_restart) {
    next = slot_path;
    return {};
  }
  running = slot_path;
  if (step != Step::kTrial) kept = slot_path;
  return {};
}

void FakeFirmware::restart() {
  running = next.empty() ? kept : next;
  next.clear();
}

secondary::Firmware::Runs FakeFirmware::runs(const std::string& slot_path) {
  if (!knows_what_runs) return Runs::kUnknown;
  return running == slot_path ? Runs::kYes : Runs::kNo;
}

Result<void> FakeFirmware::check(const std::string& slot_path) {
  log.push_back("check " + slot_path);
  if (is_well) return {};
  return fail(ErrorCode::kHealthCheckFailed, "the brakes do not answer");
}

void make_ecu(MemoryDisk& disk, FakeFirmware& firmware, const FakeServer& server,
              const EcuSpec& spec, ByteSpan software) {
  LAYBY_ASSERT(disk.make_dirs("/factory") &&
               replace_file(disk, "/factory/director.json", server.director_root()) &&
               replace_file(disk, "/factory/image.json", server.image_root()) &&
               replace_file(disk, "/factory/software.img", software));
  const bool is_full = spec.verification == secondary::Verification::kFull;
  const secondary::EcuFactory factory{
      .identity = {.vin = manifest::Vin::parse(kCarVin).value(),
                   .serial = manifest::EcuSerial::parse(spec.serial).value(),
                   .hardware = manifest::HardwareId::parse(spec.hardware).value(),
                   .verification = spec.verification},
      .director_root_path = "/factory/director.json",
      .image_root_path = is_full ? "/factory/image.json" : "",
      .software_path = "/factory/software.img"};
  const secondary::EcuLayout layout(kEcuState);
  LAYBY_ASSERT(secondary::provision(disk, layout, factory).has_value());
  firmware.running = firmware.kept = layout.slot('a');
}

std::unique_ptr<secondary::Secondary> start_ecu(MemoryDisk& disk, const Clock& clock,
                                                FakeFirmware& firmware) {
  firmware.restart();
  auto opened = secondary::Secondary::open(disk, clock, firmware, kEcuState);
  LAYBY_ASSERT(opened.has_value());
  return std::move(*opened);
}

EcuWorld::EcuWorld(secondary::Verification verification)
    : server(clock, kCarVin, "HU-000017", "hu-4"),
      old_image(noise(70'000, 31)),
      new_image(noise(80'000, 32)) {
  make_ecu(disk, firmware, server, {kBrake, kBrakeHardware, verification}, old_image);
  start();
  server.add_ecu(kBrake, kBrakeHardware, ecu->status().key);
}

void EcuWorld::start() {
  ecu.reset();
  ecu = start_ecu(disk, clock, firmware);
}

std::string EcuWorld::image(int version) {
  return fmt::format("software/{}/{}.img", kBrakeHardware, version);
}

manifest::OrderId EcuWorld::order(int version, const Bytes& bytes, std::uint64_t release_counter) {
  server.publish(
      {.name = image(version), .bytes = bytes, .base = {}, .release_counter = release_counter});
  return server.order({image(version)});
}

Result<Bytes> EcuWorld::ask(const Message& question) {
  Message answer = ecu->answer(question);
  LAYBY_ASSERT(secondary::encode(answer).has_value());
  if (answer.type == MessageType::kError) return fail(secondary::read_error(answer.body));
  return std::move(answer.body);
}

Result<void> EcuWorld::carry_time() {
  const Bytes said = TRY(ask({MessageType::kNonce}));
  manifest::TimeNonce own{}, others = manifest::make_time_nonce();
  LAYBY_ASSERT(said.size() == own.size());
  std::copy(said.begin(), said.end(), own.begin());
  secondary::TimeBody body{.nonces = {others, own}, .document = {}};
  const auto response = TRY(server.exchange(
      {.path = "/v1/vehicle/time?nonce=" + to_hex(manifest::join_time_nonces(body.nonces)),
       .bytes_max = 4096},
      {}));
  body.document = to_bytes(response.body);
  return ask(secondary::make_time(body)).map([](const Bytes&) {});
}

std::optional<Bytes> EcuWorld::file(const secondary::WantBody& want) const {
  const bool is_director = want.repository == secondary::RepositoryName::kDirector;
  const auto& files = is_director ? server.director_files() : server.image_files();
  const std::string name = want.file == "targets.json"
                               ? std::to_string(server.director_version()) + ".targets.json"
                               : want.file;
  const auto found = files.find(name);
  if (found == files.end()) return std::nullopt;
  return found->second;
}

Result<void> EcuWorld::carry_metadata(secondary::LookFor look_for) {
  Message answer = ecu->answer(secondary::make_look(look_for));
  for (int files = 0; answer.type == MessageType::kWant && files < 600; ++files) {
    const auto want = secondary::read_want(answer.body).value();
    std::optional<Bytes> handed = file(want);
    if (tamper) tamper(want, handed);
    answer = ecu->answer(secondary::make_file(handed));
  }
  if (answer.type == MessageType::kError) return fail(secondary::read_error(answer.body));
  LAYBY_ASSERT(answer.type == MessageType::kDone);
  return {};
}

Result<void> EcuWorld::carry_news() {
  TRY_VOID(carry_metadata(secondary::LookFor::kRoots));
  TRY_VOID(carry_time());
  return carry_metadata();
}

Result<void> EcuWorld::stage(const Bytes& bytes) {
  const auto sha256 = crypto::sha256(bytes);
  const auto begun = TRY(
      secondary::read_begin_answer(TRY(ask(secondary::make_digest(MessageType::kBegin, sha256)))));
  constexpr std::size_t kPiece = 30'000;
  for (std::size_t at = 0; begun == secondary::BeginAnswer::kSend && at < bytes.size();
       at += kPiece)
    TRY(ask(secondary::make_piece(
        {at, ByteSpan(bytes).subspan(at, std::min(kPiece, bytes.size() - at))})));
  return command(MessageType::kEnd, bytes);
}

Result<void> EcuWorld::command(MessageType type, const Bytes& bytes) {
  return ask(secondary::make_digest(type, crypto::sha256(bytes))).map([](const Bytes&) {});
}

Result<void> EcuWorld::install(const Bytes& bytes) {
  TRY_VOID(stage(bytes));
  for (const MessageType type : {MessageType::kActivate, MessageType::kCheck, MessageType::kKeep})
    TRY_VOID(command(type, bytes));
  return {};
}

manifest::EcuReport EcuWorld::report() {
  const auto signed_report = ask({MessageType::kReport});
  LAYBY_ASSERT(signed_report.has_value());
  const auto serial = manifest::EcuSerial::parse(kBrake).value();
  const auto hu = manifest::EcuSerial::parse("HU-1").value();
  const auto primary = crypto::MemorySigner::generate();
  manifest::EcuReport own{
      .ecu = hu, .agent = "test", .installed = {}, .functions = {}, .attack = {}, .orders = {}};
  own.time = clock.now();
  manifest::KnownCar car{
      .vin = manifest::Vin::parse(kCarVin).value(), .primary = hu, .ecus = {}, .last_manifest = {}};
  car.ecus.emplace(hu, manifest::KnownEcu{manifest::PublicKey::of(*primary), 0});
  car.ecus.emplace(serial,
                   manifest::KnownEcu{manifest::PublicKey::from_ed25519(ecu->status().key), 0});
  const auto manifest = manifest::make_vehicle_manifest(
      car.vin, hu,
      {{hu, manifest::make_ecu_report(own, *primary).value()}, {serial, *signed_report}}, *primary);
  LAYBY_ASSERT(manifest.has_value());
  const auto verified = manifest::verify_vehicle_manifest(*manifest, car);
  LAYBY_ASSERT(verified.has_value());
  return verified->ecus().at(serial);
}

std::string EcuWorld::name_of(const std::string& path) {
  const MemoryDisk::Quiet quiet(disk);
  const auto bytes = read_file(disk, path, 1 << 20);
  if (!bytes) return "none";
  return *bytes == old_image ? "old" : *bytes == new_image ? "new" : "damaged";
}

std::string EcuWorld::kept_bytes() {
  return name_of(firmware.kept);
}

std::string EcuWorld::running_bytes() {
  return name_of(firmware.running);
}

}  // namespace layby::tests
