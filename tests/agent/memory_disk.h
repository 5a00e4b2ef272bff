// The fault disk: a disk in memory that tells what was synced from what was only written, and fails
// as real ones fail.
//
// What it takes for granted, as journaling file systems and UBIFS give it: a rename is one
// operation, a directory that was made is durable (RealDisk syncs it), a file's synced contents do
// not change when its name does. All else may go wrong:
//   - Each write, truncation, new name, removal and rename is an operation of its own. Until the
//     file (or the directory that got the name) is synced, it survives a power cut or not, whatever
//     became of those before it: any subset may survive, in kPerhaps as the seed says.
//   - A write that survives may be torn at any byte: its beginning is there, or its end.
//   - A sync that failed has lost what was to be synced: a later sync does not bring it back,
//     though until the power goes everybody still reads it.
//   - Room is counted, names included; what is full stays full until something is removed.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/disk.h"

namespace layby::tests {

struct PowerCut {};

struct Fault {
  enum class Kind {
    kDiskFull,    // from this operation on nothing is free; once: for this operation only
    kWriteError,  // the operation fails, a write half done; for ever: every one from then on
    kReadError,   // once, or this file or directory can not be read any more
    kBitFlip,     // of what is read: in what the caller gets, or for ever on the medium
  } kind;
  enum class Lasts { kOnce, kForEver } lasts = Lasts::kOnce;
  // Strikes at the n-th operation from now that it applies to (from 1): of those that change
  // something for the first two, of those that read for the others.
  std::uint64_t at = 1;
};

class MemoryDisk final : public Disk {
 public:
  MemoryDisk();
  // The same contents, with what is not synced; without faults and observer. Files that are open on
  // `other` stay there.
  MemoryDisk(const MemoryDisk& other);
  MemoryDisk& operator=(const MemoryDisk&) = delete;

  // Operations that change something are counted. 0: never. From then on all throw PowerCut.
  void cut_power_at(std::uint64_t operation) { cut_at_ = operation; }
  std::uint64_t operations() const { return operations_; }
  std::uint64_t reads() const { return reads_; }
  // From now on so many bytes can be taken.
  void set_free_bytes(std::uint64_t bytes);
  // Called before each operation that changes something, with its path.
  std::function<void(const std::string& path)> observer;
  std::string undeletable;  // a path that sits on a bad block

  void inject(const Fault& fault);
  bool has_struck() const { return has_struck_; }
  // What a kReadError or kBitFlip struck last; empty: nothing.
  const std::string& struck_path() const { return struck_path_; }
  // The medium is well again and has room. What was lost or flipped stays so.
  void heal();

  enum class Survives {
    kEverything,  // the process was killed, perhaps in the middle of the last write
    kOnlySynced,  // the harshest power cut
    kPerhaps,     // any subset, as the seed says
  };
  // What the next start finds. Faults and observer are gone.
  void restart(Survives survives, std::uint32_t seed);

  // While it lives, nothing is counted, observed or failed: the test looks, not the car.
  class Quiet {
   public:
    explicit Quiet(MemoryDisk& disk) : disk_(disk) { ++disk_.quiet_; }
    ~Quiet() { --disk_.quiet_; }
    Quiet(const Quiet&) = delete;
    Quiet& operator=(const Quiet&) = delete;

   private:
    MemoryDisk& disk_;
  };

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
  friend class MemoryFile;
  struct Node;
  using NodePtr = std::shared_ptr<Node>;
  struct DataChange {  // a write at `offset`, or without bytes a truncation to it
    std::uint64_t offset;
    std::optional<Bytes> bytes;
  };
  struct NameChange {  // `node` gets this name, or nobody has it any more
    NodePtr directory;
    std::string name;
    NodePtr node;
    NodePtr from_directory;  // of a rename
    std::string from_name;
  };
  struct Node {
    FileStatus::Kind kind = FileStatus::Kind::kFile;
    Bytes data, durable;
    std::vector<DataChange> unsynced;
    std::uint64_t reserved = 0;
    bool is_unreadable = false;
    std::string target;                                       // of a symlink
    std::map<std::string, NodePtr> entries, durable_entries;  // of a directory
    std::uint64_t taken() const;
  };
  struct Armed {
    Fault fault;
    std::uint64_t operation;  // or read
  };

  // Counts, and fails where it is time to; cuts the power too.
  Result<void> begin_change(const std::string& path, std::uint64_t bytes_taken = 0);
  Result<void> begin_read(Node& node, const std::string& path);
  void spoil(Node& node, const std::string& path, std::uint64_t offset, MutableByteSpan out);

  enum class Last { kFollow, kStay };
  Result<NodePtr> find(const std::string& path, Last last) const;
  Result<std::vector<NodePtr>> walk(const std::string& path, Last last, int links_left,
                                    std::vector<NodePtr> trail) const;
  Result<std::pair<NodePtr, std::string>> parent_of(const std::string& path) const;
  Result<NodePtr> add_name(const NodePtr& directory, const std::string& name, const NodePtr& node,
                           const std::string& path);
  void make_durable(const NodePtr& directory);
  static void apply(const NameChange& change);
  static void apply(const DataChange& change, Bytes& data);
  void settle(Node& node, Survives survives, std::mt19937& random);
  std::uint64_t taken() const;

  NodePtr root_;
  std::vector<NameChange> unsynced_names_;
  NodePtr last_written_;  // the last operation was a write to it
  std::uint64_t operations_ = 0;
  std::uint64_t reads_ = 0;
  std::uint64_t cut_at_ = 0;
  std::uint64_t capacity_ = 1ull << 40;
  std::vector<Armed> faults_;
  bool has_struck_ = false;
  std::string struck_path_;
  bool is_dead_ = false;  // writes fail for ever
  bool flips_next_read_ = false, rots_next_read_ = false;
  int quiet_ = 0;
};

}  // namespace layby::tests
