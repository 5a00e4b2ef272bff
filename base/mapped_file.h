// Files as part of the address space: their pages are read when they are looked at, and the system
// takes them back when memory is short. For images larger than memory.
//
// A mapped file that another process shortens, or a disk that fails under it, ends the process with
// SIGBUS: map only files that nobody changes.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/disk.h"

namespace layby {

// A file that is only read.
class MappedFile final : public ReadAt {
 public:
  // Errors are those of Disk::open_read(); also where the file cannot be mapped, which a caller
  // may answer by reading it.
  static Result<std::unique_ptr<MappedFile>> open(const std::string& path);
  ~MappedFile() override;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::uint64_t size() const override { return bytes_.size(); }
  Result<void> read_at(std::uint64_t offset, MutableByteSpan out) const override;

  ByteSpan bytes() const { return bytes_; }  // as long as the object lives

 private:
  explicit MappedFile(ByteSpan bytes) : bytes_(bytes) {}

  ByteSpan bytes_;
};

// The bytes of a source that is a MappedFile.
std::optional<ByteSpan> mapped_bytes(const ReadAt& source);

// Bytes of a size that is known beforehand, all zero at first: on the heap, or in a file that has
// no name and goes with the object. Movable; views of it stay valid.
class Expanse {
 public:
  enum class Where { kHeap, kFile };
  struct Place {
    Where where = Where::kHeap;
    std::string directory;             // of the file
    std::uint64_t free_bytes_min = 0;  // what the file must leave free there
  };

  Expanse() = default;  // none
  // The disk must have the room, which is taken at once: kDiskFull, and nothing of it is. What
  // memory there is not for kHeap throws std::bad_alloc.
  static Result<Expanse> create(std::uint64_t bytes, const Place& place);
  Expanse(Expanse&& other) noexcept;
  Expanse& operator=(Expanse&& other) noexcept;
  ~Expanse();

  ByteSpan bytes() const { return bytes_; }
  MutableByteSpan bytes() { return bytes_; }
  bool is_file() const { return is_file_; }

 private:
  Expanse(MutableByteSpan bytes, bool is_file) : bytes_(bytes), is_file_(is_file) {}

  MutableByteSpan bytes_;
  bool is_file_ = false;
};

}  // namespace layby
