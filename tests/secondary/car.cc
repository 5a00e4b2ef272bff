#include "tests/secondary/car.h"

#include "agent/layout.h"
#include "base/assert.h"

namespace layby::tests {
namespace {

constexpr const char* kHardwareOf[][2] = {{"BRK-1", "brake-2"}, {"CAM-1", "camera-3"}};

}  // namespace

EcuBox::EcuBox(const Clock& clock_in, const FakeServer& server, const EcuSpec& spec,
               const Bytes& software)
    : clock(&clock_in) {
  make_ecu(disk, firmware, server, spec, software);
  start();
}

EcuBox::EcuBox(const EcuBox& other, const Clock& clock_in)
    : clock(&clock_in), disk(other.disk), firmware(other.firmware) {
  auto opened = secondary::Secondary::open(disk, *clock, firmware, kEcuState);
  LAYBY_ASSERT(opened.has_value());
  ecu = std::move(*opened);
}

void EcuBox::start() {
  ecu.reset();
  ecu = start_ecu(disk, *clock, firmware);
}

void EcuBox::power_cut(MemoryDisk::Survives survives, std::uint32_t seed) {
  ecu.reset();
  disk.restart(survives, seed);
  start();
}

Bytes EcuBox::kept() {
  const MemoryDisk::Quiet quiet(disk);
  return read_file(disk, firmware.kept, 1 << 20).value();
}

Result<secondary::Message> CarLink::ask(const std::string& address,
                                        const secondary::Message& question, std::int64_t) {
  const auto box = boxes.find(address);
  LAYBY_ASSERT(box != boxes.end());
  ++messages;
  if (at_question) at_question(address, question);
  if (down.contains(address)) return fail(ErrorCode::kUnavailable, "{} is off", address);
  const bool is_cut = cut_at != 0 && messages == cut_at;
  if (is_cut && cut == Cut::kBefore) throw PowerCut{};
  auto answer = ask_box(address, *box->second, question);
  if (lie && answer) lie(address, question, *answer);
  if (is_cut) throw PowerCut{};
  return answer;
}

Result<secondary::Message> CarLink::ask_box(const std::string& address, EcuBox& box,
                                            const secondary::Message& question) {
  try {
    return box.ecu->answer(question);
  } catch (const PowerCut&) {
    box.power_cut(survives, seed);
    if (at_ecu_power_cut) at_ecu_power_cut();
    return fail(ErrorCode::kUnavailable, "{} has lost power", address);
  }
}

Car::Car() : old_software(noise(20'000, 51)), new_software(changed(old_software, 52)) {
  agent::EcuList list{.addresses = {}};
  for (const auto& [serial, hardware] : kHardwareOf) {
    const auto verification = std::string(serial) == kBrakeSerial
                                  ? secondary::Verification::kPartial
                                  : secondary::Verification::kFull;
    auto box = std::make_unique<EcuBox>(world.clock, world.server,
                                        EcuSpec{serial, hardware, verification}, old_software);
    const auto key = box->ecu->status().key;
    world.server.add_ecu(serial, hardware, key);
    list.addresses.push_back(serial);
    list.paired.push_back({serial, manifest::EcuSerial::parse(serial).value(),
                           manifest::HardwareId::parse(hardware).value(), key});
    link.boxes[serial] = box.get();
    ecus[serial] = std::move(box);
  }
  LAYBY_ASSERT(agent::write_ecu_list(world.disk, agent::Layout(kState), list).has_value());
  world.options.secondaries = &link;
}

Car::Car(const Car& other)
    : world(other.world), old_software(other.old_software), new_software(other.new_software) {
  for (const auto& [serial, box] : other.ecus) {
    ecus[serial] = std::make_unique<EcuBox>(*box, world.clock);
    link.boxes[serial] = ecus[serial].get();
  }
  world.options.secondaries = &link;
}

void Car::publish(int version, const Bytes& bytes, const Bytes& base) {
  for (const auto& [serial, hardware] : kHardwareOf)
    world.server.publish({.name = fmt::format("software/{}/{}.img", hardware, version),
                          .bytes = bytes,
                          .base = base,
                          .release_counter = static_cast<std::uint64_t>(version)});
}

manifest::OrderId Car::order_one() {
  publish(2, new_software, old_software);
  return world.server.order({"software/brake-2/2.img"});
}

manifest::OrderId Car::order_camera() {
  publish(2, new_software, old_software);
  return world.server.order({"software/camera-3/2.img"});
}

manifest::OrderId Car::order_set() {
  publish(2, new_software, old_software);
  return world.server.order({"software/brake-2/2.img", "software/camera-3/2.img"});
}

std::string Car::kept_by(const std::string& serial) {
  const Bytes bytes = ecus.at(serial)->kept();
  return bytes == old_software ? "old" : bytes == new_software ? "new" : "damaged";
}

std::string Car::kept() {
  const std::string brake = kept_by(kBrakeSerial);
  return brake == kept_by(kCameraSerial) ? brake : "mixture";
}

}  // namespace layby::tests
