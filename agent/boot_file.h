// Boot control in a file: an environment block of GRUB (`grub-editenv`): 1024 bytes, lines of
// NAME=VALUE, padded with `#`. Replaced as a whole by a rename, so there is always the old or the
// new.
#pragma once

#include "agent/boot_control.h"
#include "base/disk.h"

namespace layby::agent {

class BootFile final : public BootControl {
 public:
  // `disk` must outlive it. A file that is not there is made by the first write.
  BootFile(Disk& disk, std::string path) : disk_(disk), path_(std::move(path)) {}

  Result<BootRecord> read() override;
  Result<void> write(const BootRecord& record) override;

 private:
  Result<BootVariables> load();

  Disk& disk_;
  const std::string path_;
};

}  // namespace layby::agent
