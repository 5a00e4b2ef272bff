// Orders over secondaries in trouble: ECUs that are taken out of the car, a car that is driven off,
// a journal that is lost, and somebody who is silent for ever.
#include <catch2/catch.hpp>

#include "agent/layout.h"
#include "tests/secondary/car.h"

using namespace layby;
using namespace layby::tests;
using agent::State;
using secondary::MessageType;

namespace {

// A set of two that lies in the car; the car stands open.
manifest::OrderId with_set(Car& car) {
  const auto id = car.order_set();
  REQUIRE(car.world.run_until_state(id, State::kDownloaded, 600));
  REQUIRE(car.world.run(60));
  return id;
}

// The primary's power goes before the ECU gets this question; it is not started again.
void lock_and_cut_at(Car& car, const std::string& serial, MessageType type) {
  car.link.at_question = [&](const auto& address, const secondary::Message& question) {
    if (address == serial && question.type == type) throw PowerCut{};
  };
  car.world.exit_and_lock();
  CHECK_THROWS_AS(car.world.run(3600), PowerCut);
  car.link.at_question = {};
  car.world.agent.reset();
  car.world.disk.restart(MemoryDisk::Survives::kOnlySynced, 1);
}

// Paired anew without it; its order is cancelled, and has started.
void take_out(Car& car, const std::string& serial, const manifest::OrderId& id) {
  const agent::Layout layout(kState);
  auto list = agent::read_ecu_list(car.world.disk, layout).value();
  std::erase(list.addresses, serial);
  std::erase_if(list.paired, [&](const auto& ecu) { return ecu.serial.text() == serial; });
  REQUIRE(agent::write_ecu_list(car.world.disk, layout, list));
  car.world.server.cancel(id);
  car.world.server.remove_ecu(serial);
}

std::optional<ErrorCode> error_of(Car& car, const manifest::OrderId& id) {
  const auto* order = car.world.order(id);
  if (order == nullptr || !order->error) return std::nullopt;
  return order->error->code();
}

}  // namespace

TEST_CASE("An ECU that is taken out of the car before the word takes its set back as a whole") {
  Car car;
  const auto id = with_set(car);
  const auto type = GENERATE(MessageType::kBegin, MessageType::kActivate, MessageType::kCheck);
  lock_and_cut_at(car, kCameraSerial, type);
  take_out(car, kCameraSerial, id);
  car.world.start();
  REQUIRE(car.world.run(3600, [&] { return error_of(car, id) == ErrorCode::kWrongEcu; }));
  CHECK(car.world.order(id)->error->message().find(kCameraSerial) != std::string::npos);
  REQUIRE(car.world.run(3600));
  CHECK(car.kept_by(kBrakeSerial) == "old");
  const auto& brake = car.ecus.at(kBrakeSerial)->firmware;
  CHECK(brake.running == brake.kept);
}

TEST_CASE("An ECU that is taken out after the word is named, and the others keep what they have") {
  Car car;
  const auto id = with_set(car);
  const auto serial = GENERATE(as<std::string>(), kBrakeSerial, kCameraSerial);
  lock_and_cut_at(car, serial, MessageType::kKeep);
  take_out(car, kCameraSerial, id);
  car.world.start();
  REQUIRE(car.world.run(3600, [&] {
    const auto said = car.world.server.reported(id);
    return said && said->state == manifest::OrderState::kActive && said->error;
  }));
  const auto error = *car.world.server.reported(id)->error;
  CHECK(error.name == "wrong-ecu");
  CHECK(error.text.find(kCameraSerial) != std::string::npos);
  CHECK(error.text.find(kBrakeSerial) == std::string::npos);
  CHECK(car.kept_by(kBrakeSerial) == "new");
}
