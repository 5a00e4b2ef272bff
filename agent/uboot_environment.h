// U-Boot's environment in its two redundant copies, as `fw_setenv` writes it to files and block
// devices: CRC-32 of the data (little-endian), a flag byte that counts up, then NAME=VALUE with a
// zero each, and a zero more. The copy with a good CRC and the newer flag counts; a write goes to
// the other one, so that a power cut leaves the one or the other.
#pragma once

#include <array>

#include "agent/boot_control.h"
#include "base/disk.h"

namespace layby::agent {

class UbootEnvironment final : public BootControl {
 public:
  // `config_path`: fw_env.config, with one line a copy: DEVICE OFFSET SIZE. `disk` must outlive it.
  // kUnsupported for a single copy, or two that lie over each other, which a power cut could
  // destroy, and for raw flash (/dev/mtd*), whose copies are written otherwise. A file or device
  // that is not there is kNotFound when it is read or written: none is made.
  static Result<UbootEnvironment> open(Disk& disk, const std::string& config_path);

  Result<BootRecord> read() override;
  Result<void> write(const BootRecord& record) override;

  Result<BootVariables> variables();

 private:
  struct Copy {
    std::string path;
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
  };
  struct Loaded {
    BootVariables variables;
    std::size_t copy = 0;  // which of the two counts
    std::uint8_t flag = 0;
  };
  UbootEnvironment(Disk& disk, std::array<Copy, 2> copies)
      : disk_(disk), copies_(std::move(copies)) {}
  static bool overlap(Disk& disk, const Copy& a, const Copy& b);
  static Result<Copy> parse_line(const std::string& line);
  Result<Bytes> read_copy(const Copy& copy);
  Result<Loaded> load();

  Disk& disk_;
  std::array<Copy, 2> copies_;
};

}  // namespace layby::agent
