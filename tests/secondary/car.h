// A whole car: the agent in its working world, and ECUs beside it that speak to it without a
// socket.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "agent/secondaries.h"
#include "tests/agent/world.h"
#include "tests/secondary/carrier.h"

namespace layby::tests {

// An ECU with a disk and a firmware of its own.
struct EcuBox {
  EcuBox(const Clock& clock, const FakeServer& server, const EcuSpec& spec, const Bytes& software);
  EcuBox(const EcuBox& other, const Clock& clock);  // the same moment in another world

  void start();
  // The power goes, and comes back.
  void power_cut(MemoryDisk::Survives survives, std::uint32_t seed);
  Bytes kept();

  const Clock* clock;
  MemoryDisk disk;
  FakeFirmware firmware;
  std::unique_ptr<secondary::Secondary> ecu;
};

class CarLink final : public agent::SecondaryLink {
 public:
  Result<secondary::Message> ask(const std::string& address, const secondary::Message& question,
                                 std::int64_t within_ms) override;

  std::map<std::string, EcuBox*> boxes;
  std::set<std::string> down;  // that do not answer
  // What an ECU answers in place of its own answer, which may be altered.
  std::function<void(const std::string& address, const secondary::Message&, secondary::Message&)>
      lie;
  std::uint64_t messages = 0;
  std::uint64_t cut_at = 0;  // the primary's power goes at this message; 0: never
  enum class Cut { kBefore, kAfter } cut = Cut::kBefore;
  // What an ECU's disk has left where its power goes in the middle of an answer; it comes back at
  // once, and the answer never comes.
  MemoryDisk::Survives survives = MemoryDisk::Survives::kOnlySynced;
  std::uint32_t seed = 1;
  std::function<void()> at_ecu_power_cut;
  // Called before each question is answered.
  std::function<void(const std::string& address, const secondary::Message&)> at_question;

 private:
  Result<secondary::Message> ask_box(const std::string& address, EcuBox& box,
                                     const secondary::Message& question);
};

// BRK-1 verifies partially, CAM-1 fully.
class Car {
 public:
  Car();
  Car(const Car& other);

  World world;
  CarLink link;
  std::map<std::string, std::unique_ptr<EcuBox>> ecus;
  Bytes old_software, new_software;  // of every ECU

  void publish(int version, const Bytes& bytes, const Bytes& base);
  manifest::OrderId order_one();  // for the brakes
  manifest::OrderId order_camera();
  manifest::OrderId order_set();  // for both
  // "old", "new" or "mixture": what the ECUs keep.
  std::string kept();
  std::string kept_by(const std::string& serial);
};

inline const std::string kBrakeSerial = "BRK-1", kCameraSerial = "CAM-1";

}  // namespace layby::tests
