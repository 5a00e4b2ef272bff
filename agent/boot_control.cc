#include "agent/boot_control.h"

#include <charconv>

#include "base/assert.h"

namespace layby::agent {
namespace {

constexpr const char* kSlotName = "layby_slot";
constexpr const char* kTrialName = "layby_trial";
constexpr const char* kLeftName = "layby_trial_left";
constexpr std::uint32_t kTrialBootsMax = 100;
constexpr std::string_view kCommandLineName = "layby.slot=";

}  // namespace

std::string_view to_string(BootSlot slot) {
  switch (slot) {
    case BootSlot::kA: return "a";
    case BootSlot::kB: return "b";
  }
  LAYBY_ASSERT(false);
}

Result<BootSlot> parse_boot_slot(std::string_view text) {
  for (const BootSlot slot : {BootSlot::kA, BootSlot::kB})
    if (to_string(slot) == text) return slot;
  return fail(ErrorCode::kCorrupt, "there is no slot \"{}\": there are a and b", text);
}

Result<BootRecord> boot_record_of(const BootVariables& variables) {
  BootRecord record;
  if (const auto kept = variables.find(kSlotName); kept != variables.end())
    record.kept = TRY(parse_boot_slot(kept->second));
  const auto trial = variables.find(kTrialName);
  if (trial == variables.end() || trial->second.empty()) return record;
  record.trial = TRY(parse_boot_slot(trial->second));
  const auto left = variables.find(kLeftName);
  const std::string text = left == variables.end() ? "0" : left->second;
  const auto end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, record.trial_left);
  if (error != std::errc() || at != end || record.trial_left > kTrialBootsMax)
    return fail(ErrorCode::kCorrupt, "boot control: {}={} is no count", kLeftName, text);
  return record;
}

void put_boot_record(const BootRecord& record, BootVariables& variables) {
  variables[kSlotName] = to_string(record.kept);
  variables.erase(kTrialName);
  variables.erase(kLeftName);
  if (!record.trial) return;
  variables[kTrialName] = to_string(*record.trial);
  variables[kLeftName] = std::to_string(record.trial_left);
}

Result<BootSlot> booted_slot(std::string_view kernel_command_line) {
  std::size_t at = 0;
  while (at < kernel_command_line.size()) {
    const std::size_t end = kernel_command_line.find_first_of(" \n", at);
    const std::string_view word = kernel_command_line.substr(at, end - at);
    if (word.starts_with(kCommandLineName))
      return parse_boot_slot(word.substr(kCommandLineName.size()));
    if (end == std::string_view::npos) break;
    at = end + 1;
  }
  return fail(ErrorCode::kNotFound,
              "the kernel's command line has no {}a or b: the boot loader must say what it booted",
              kCommandLineName);
}

}  // namespace layby::agent
