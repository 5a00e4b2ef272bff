// A disk in memory that tells what was synced from what was only written. It can be cut from power
// at the n-th operation (it throws PowerCut, and from then on always), and afterwards comes back
// with what a real one may come back with.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>

#include "base/disk.h"

namespace layby::tests {

struct PowerCut {};

class MemoryDisk final : public Disk {
 public:
  MemoryDisk();

  // Operations that change something are counted. 0: never.
  void cut_power_at(std::uint64_t operation) { cut_at_ = operation; }
  std::uint64_t operations() const { return operations_; }
  void set_free_bytes(std::uint64_t bytes) { free_bytes_ = bytes; }

  enum class Survives {
    kEverything,  // the process was killed, the machine ran on
    kOnlySynced,  // the harshest power cut
    kPerhaps,     // unsynced files and names survive or not, as the seed says; writes may be torn
  };
  // What the next start finds.
  void restart(Survives survives, std::uint32_t seed);

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

  struct Node;
  using NodePtr = std::shared_ptr<Node>;
  struct Node {
    FileStatus::Kind kind = FileStatus::Kind::kFile;
    Bytes data, synced_data;
    std::string target;                                      // of a symlink
    std::map<std::string, NodePtr> entries, synced_entries;  // of a directory
  };
  // Counts an operation, and cuts the power when it is time.
  void count();

 private:
  enum class Last { kFollow, kStay };
  Result<NodePtr> find(const std::string& path, Last last) const;
  Result<std::vector<NodePtr>> walk(const std::string& path, Last last, int links_left,
                                    std::vector<NodePtr> trail) const;
  Result<std::pair<NodePtr, std::string>> parent_of(const std::string& path) const;
  void settle(Node& node, Survives survives, std::mt19937& random);

  NodePtr root_;
  std::uint64_t operations_ = 0;
  std::uint64_t cut_at_ = 0;
  std::uint64_t free_bytes_ = 1ull << 40;
};

}  // namespace layby::tests
