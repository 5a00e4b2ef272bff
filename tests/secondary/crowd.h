// Many small ECUs in one car, which say what a test has them say: to see what they can do to the
// agent and to each other.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/secondaries.h"
#include "tests/agent/world.h"

namespace layby::tests {

class Crowd final : public agent::SecondaryLink {
 public:
  // ECU-00, ECU-01, …, all of one hardware; the car of `world` is paired with them. Must be made
  // before the agent starts.
  Crowd(World& world, std::size_t count);

  Result<secondary::Message> ask(const std::string& address, const secondary::Message& question,
                                 std::int64_t within_ms) override;

  // The next report of one of them, with whatever else it has to say.
  Bytes report(const std::string& serial, const std::string& more = "");
  manifest::EcuReport next_report(const std::string& serial);
  const crypto::MemorySigner& key(const std::string& serial) const { return *keys_.at(serial); }

  std::vector<std::string> serials;
  std::set<std::string> hangs;  // that let every question run out of time
  // An answer in place of the honest one.
  std::function<std::optional<secondary::Message>(const std::string& serial,
                                                  const secondary::Message& question)>
      lie;
  std::map<std::string, std::map<secondary::MessageType, int>> asked;
  std::map<std::string, int> told;  // how often the time was brought

 private:
  World& world_;
  std::map<std::string, std::shared_ptr<crypto::MemorySigner>> keys_;
  std::map<std::string, std::uint64_t> counters_;
};

constexpr const char* kCrowdHardware = "node-1";

}  // namespace layby::tests
