// A Firmware whose steps are programs (docs/secondaries.md, "Hook programs").
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/secondary/secondary.h"

namespace layby::secondary {

struct FirmwareHooks {
  // Each an absolute path and arguments of its own.
  std::vector<std::string> boot{};     // empty: nothing is done
  std::vector<std::string> running{};  // empty: it is not known
  std::vector<std::string> check{};    // empty: what runs counts as well
  std::int64_t seconds_max = 120;      // then it is killed with all that it has started
};

class HookFirmware final : public Firmware {
 public:
  // `clock` must outlive it.
  HookFirmware(const Clock& clock, FirmwareHooks hooks) : clock_(clock), hooks_(std::move(hooks)) {}
  Result<void> boot(Step step, const std::string& slot_path) override;
  Runs runs(const std::string& slot_path) override;
  Result<void> check(const std::string& slot_path) override;

 private:
  const Clock& clock_;
  const FirmwareHooks hooks_;
};

}  // namespace layby::secondary
