// Boot control: what the boot loader reads before it chooses a software slot, and the agent writes.
//
// Two implementations: U-Boot's environment (uboot_environment.h) and an environment block of GRUB
// in a file (boot_file.h). Both hold the same three variables; docs/embedding.md has the boot
// loader's side.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace layby::agent {

enum class BootSlot : std::uint8_t { kA, kB };
std::string_view to_string(BootSlot slot);  // "a", "b"
Result<BootSlot> parse_boot_slot(std::string_view text);

struct BootRecord {
  BootSlot kept = BootSlot::kA;     // what is booted
  std::optional<BootSlot> trial{};  // unless this one has boots left
  std::uint32_t trial_left = 0;     // counted down by the boot loader, before each
  bool operator==(const BootRecord&) const = default;
};

class BootControl {
 public:
  virtual ~BootControl() = default;
  virtual Result<BootRecord> read() = 0;
  // Whole or not at all, whenever the power fails; durable when it returns. Other variables stay.
  virtual Result<void> write(const BootRecord& record) = 0;
};

// Boot control that cannot be reached: it answers why.
class NoBootControl final : public BootControl {
 public:
  explicit NoBootControl(Error why) : why_(std::move(why)) {}
  Result<BootRecord> read() override { return fail(why_); }
  Result<void> write(const BootRecord&) override { return fail(why_); }

 private:
  const Error why_;
};

// Variables of the boot loader's environment, by name.
using BootVariables = std::map<std::string, std::string>;

// kCorrupt for values that neither a boot loader nor we would have written; where none of ours are,
// slot A is kept and nothing is on trial.
Result<BootRecord> boot_record_of(const BootVariables& variables);
void put_boot_record(const BootRecord& record, BootVariables& variables);

// `layby.slot=a` on the kernel's command line: what the boot loader has booted. kNotFound, where it
// does not say so.
Result<BootSlot> booted_slot(std::string_view kernel_command_line);

}  // namespace layby::agent
