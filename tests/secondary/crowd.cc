#include "tests/secondary/crowd.h"

#include "agent/layout.h"
#include "base/assert.h"
#include "manifest/envelope.h"
#include "manifest/json_value.h"

namespace layby::tests {

using secondary::Message;
using secondary::MessageType;

namespace {

manifest::EcuSerial serial_of(const std::string& text) {
  return manifest::EcuSerial::parse(text).value();
}

}  // namespace

Crowd::Crowd(World& world, std::size_t count) : world_(world) {
  agent::EcuList list{.addresses = {}};
  for (std::size_t i = 0; i < count; ++i) {
    const std::string serial = fmt::format("ECU-{:02}", i);
    serials.push_back(serial);
    keys_[serial] = crypto::MemorySigner::generate();
    const auto key = keys_[serial]->public_key();
    world.server.add_ecu(serial, kCrowdHardware, key);
    list.addresses.push_back(serial);
    list.paired.push_back(
        {serial, serial_of(serial), manifest::HardwareId::parse(kCrowdHardware).value(), key});
  }
  LAYBY_ASSERT(agent::write_ecu_list(world.disk, agent::Layout(kState), list).has_value());
  world.options.secondaries = this;
}

manifest::EcuReport Crowd::next_report(const std::string& serial) {
  return {.ecu = serial_of(serial),
          .counter = ++counters_[serial],
          .time = world_.clock.now(),
          .agent = "node",
          .installed = {},
          .functions = {},
          .attack = {},
          .orders = {}};
}

Bytes Crowd::report(const std::string& serial, const std::string& more) {
  const Bytes plain = manifest::make_ecu_report(next_report(serial), key(serial)).value();
  if (more.empty()) return plain;
  manifest::Json part = manifest::parse_strict(plain, {.bytes_max = kMiB}).value()["signed"];
  part["more"] = more;
  return manifest::sign_envelope(part, key(serial)).value();
}

Result<Message> Crowd::ask(const std::string& address, const Message& question,
                           std::int64_t within_ms) {
  ++asked[address][question.type];
  if (hangs.contains(address)) {
    world_.clock.advance_ms(within_ms);
    return fail(ErrorCode::kTimeout, "{} does not answer", address);
  }
  if (lie)
    if (auto said = lie(address, question)) return std::move(*said);
  switch (question.type) {
    case MessageType::kStatus: {
      const secondary::EcuStatus status{
          .serial = serial_of(address),
          .hardware = manifest::HardwareId::parse(kCrowdHardware).value(),
          .key = key(address).public_key()};
      return Message{MessageType::kDone, secondary::encode(status).value()};
    }
    case MessageType::kNonce: {
      const auto nonce = manifest::make_time_nonce();
      return Message{MessageType::kDone, Bytes(nonce.begin(), nonce.end())};
    }
    case MessageType::kTime: ++told[address]; return Message{MessageType::kDone};
    case MessageType::kReport: return Message{MessageType::kDone, report(address)};
    default: return Message{MessageType::kDone};
  }
}

}  // namespace layby::tests
