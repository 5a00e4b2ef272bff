// A secondary on the fault disk, and the primary that carries things between a working server and
// it: an honest one, and one that a test makes lie.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/secondary/secondary.h"
#include "tests/agent/fake_server.h"
#include "tests/agent/memory_disk.h"

namespace layby::tests {

constexpr const char* kCarVin = "WVWZZZ1JZXW000017";
constexpr const char* kBrake = "BRK-1";
constexpr const char* kBrakeHardware = "brake-2";

// Which slot is booted; a restart forgets a trial, but for one that begins with it.
class FakeFirmware final : public secondary::Firmware {
 public:
  Result<void> boot(Step step, const std::string& slot_path) override;
  Runs runs(const std::string& slot_path) override;
  Result<void> check(const std::string& slot_path) override;
  void restart();

  std::string running, kept;
  bool trial_is_restart = false;
  bool knows_what_runs = true;
  std::string next;  // of the next restart alone
  bool is_well = true;
  bool boots = true;
  std::vector<std::string> log;
};

// As it leaves the factory, for the car and the roots of this server: its software is in slot a,
// and runs.
struct EcuSpec {
  std::string serial, hardware;
  secondary::Verification verification;
};
void make_ecu(MemoryDisk& disk, FakeFirmware& firmware, const FakeServer& server,
              const EcuSpec& spec, ByteSpan software);
// The power comes.
std::unique_ptr<secondary::Secondary> start_ecu(MemoryDisk& disk, const Clock& clock,
                                                FakeFirmware& firmware);

// One ECU and its server.
class EcuWorld {
 public:
  explicit EcuWorld(secondary::Verification verification);

  ManualClock clock{1'795'000'000};
  MemoryDisk disk;
  FakeServer server;
  FakeFirmware firmware;
  std::unique_ptr<secondary::Secondary> ecu;
  Bytes old_image, new_image;

  // What a malicious primary does: to each file that it hands on, and to the signed time.
  std::function<void(const secondary::WantBody&, std::optional<Bytes>&)> tamper;

  void start();
  static std::string image(int version);
  // Publishes the next software of the ECU and orders it.
  manifest::OrderId order(int version, const Bytes& bytes, std::uint64_t release_counter);

  // The steps of a primary; the error is the secondary's.
  Result<void> carry_time();
  Result<void> carry_metadata(secondary::LookFor look_for = secondary::LookFor::kAll);
  Result<void> carry_news();  // roots, time, metadata
  Result<void> stage(const Bytes& bytes);
  Result<void> command(secondary::MessageType type, const Bytes& bytes);
  Result<void> install(const Bytes& bytes);  // stage, activate, check, keep
  Result<Bytes> ask(const secondary::Message& question);
  // The next report, verified with the ECU's own key.
  manifest::EcuReport report();

  std::string kept_bytes();     // "old", "new", "none" or "damaged": what the firmware keeps
  std::string running_bytes();  // the same of what it runs

 private:
  std::string name_of(const std::string& path);
  std::optional<Bytes> file(const secondary::WantBody& want) const;
};

constexpr const char* kEcuState = "/ecu";

}  // namespace layby::tests
