// The Disk seam: every byte that must survive a power cut goes through it.
//
// Two implementations: RealDisk here, and the fault disk of the tests, which loses what was not
// synced. Rules for callers: data first, then the mark; `sync` before anything refers to the data;
// `replace_file` for small files. Paths are plain POSIX paths; a disk does not normalise them. All
// calls may be made from any thread, one `File` from one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace layby {

// Random read access to bytes of a known size: a file, or a view over a directory.
class ReadAt {
 public:
  virtual ~ReadAt() = default;
  virtual std::uint64_t size() const = 0;
  // Fills all of `out`; kIo where the range reaches past the end or the medium fails.
  virtual Result<void> read_at(std::uint64_t offset, MutableByteSpan out) const = 0;
};

class File : public ReadAt {
 public:
  virtual Result<void> write_at(std::uint64_t offset, ByteSpan bytes) = 0;
  virtual Result<void> truncate(std::uint64_t size) = 0;
  // Takes the room for the first `bytes` bytes now, so that writing them does not fail for want of
  // it; size() stays as it is, and a truncate or the removal of the file gives it back. kDiskFull
  // where it is not there; kUnsupported where the medium cannot promise it (the default).
  virtual Result<void> reserve(std::uint64_t bytes);
  // After it the contents and the size survive a power cut.
  virtual Result<void> sync() = 0;
};

struct FileStatus {
  enum class Kind { kFile, kDirectory, kSymlink, kOther } kind;
  std::uint64_t size;  // bytes; for files only
};

class Disk {
 public:
  virtual ~Disk() = default;
  // A directory is kIo, here as at open_write.
  virtual Result<std::unique_ptr<ReadAt>> open_read(const std::string& path) = 0;
  // Opens for reading and writing; created with mode 0600 if absent.
  virtual Result<std::unique_ptr<File>> open_write(const std::string& path) = 0;
  // Does not follow a symlink at the last component. kNotFound if there is nothing.
  virtual Result<FileStatus> status(const std::string& path) = 0;
  // With all above it. Existing directories are fine, something else in the way is kIo.
  virtual Result<void> make_dirs(const std::string& path) = 0;
  virtual Result<std::vector<std::string>> list(const std::string& path) = 0;  // names, sorted
  virtual Result<void> rename(const std::string& from,
                              const std::string& to) = 0;  // atomic replace
  virtual Result<void> symlink(const std::string& target, const std::string& path) = 0;
  virtual Result<std::string> read_symlink(const std::string& path) = 0;
  virtual Result<void> remove(
      const std::string& path) = 0;  // a file, symlink or empty directory; absent is fine
  virtual Result<void> remove_tree(
      const std::string& path) = 0;  // does not follow symlinks; absent is fine
  // After it, names created, renamed or removed in this directory survive a power cut.
  virtual Result<void> sync_dir(const std::string& path) = 0;
  virtual Result<std::uint64_t> free_bytes(const std::string& path) = 0;
};

class RealDisk final : public Disk {
 public:
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
};

// "a/b/c" -> "a/b"; "c" -> ".".
std::string parent_dir(const std::string& path);

// Reads a whole file; kTooLarge above bytes_max, before anything is read.
Result<Bytes> read_file(Disk& disk, const std::string& path, std::uint64_t bytes_max);

// Temporary file, sync, rename, sync of the directory: after a power cut the path holds the old
// bytes or the new; on an error before the last sync the old. The temporary file is `path` and
// ".new": one caller at a time for one path.
Result<void> replace_file(Disk& disk, const std::string& path, ByteSpan bytes);

}  // namespace layby
