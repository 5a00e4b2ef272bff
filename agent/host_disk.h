// A host's disk, as the C interface has it.
#pragma once

#include "agent/layby_agent.h"
#include "base/disk.h"

namespace layby::agent {

class HostDisk final : public Disk {
 public:
  explicit HostDisk(const layby_disk& host) : host_(host) {}
  Result<std::unique_ptr<ReadAt>> open_read(const std::string& path) override;
  Result<std::unique_ptr<File>> open_write(const std::string& path) override;
  Result<FileStatus> status(const std::string& path) override;
  Result<void> make_dirs(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& path) override;
  Result<void> rename(const std::string& from, const std::string& to) override;
  Result<void> symlink(const std::string& target, const std::string& path) override;
  Result<std::string> read_symlink(const std::string& path) override;
  Result<void> remove(const std::string& path) override;
  Result<void> remove_tree(const std::string& path) override;
  Result<void> sync_dir(const std::string& path) override;
  Result<std::uint64_t> free_bytes(const std::string& path) override;

 private:
  Result<std::unique_ptr<File>> open(const std::string& path, layby_open_mode mode);

  layby_disk host_;
};

}  // namespace layby::agent
