#include "base/disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <system_error>

#include "base/posix_file.h"

namespace layby {
namespace {

class RealFile final : public File {
 public:
  RealFile(int fd, std::string path, std::uint64_t size)
      : fd_(fd), path_(std::move(path)), size_(size) {}

  // A directory opens for reading, and claims to have 2^63-1 bytes.
  Result<void> measure() {
    struct stat st {};
    if (::fstat(fd_.get(), &st) != 0) return fail_errno("measuring", path_, errno);
    if (S_ISDIR(st.st_mode)) return fail_errno("opening", path_, EISDIR);
    const off_t end = ::lseek(fd_.get(), 0, SEEK_END);  // a block device has no st_size
    if (end < 0) return fail_errno("measuring", path_, errno);
    size_ = static_cast<std::uint64_t>(end);
    is_device_ = S_ISBLK(st.st_mode);
    return {};
  }

  std::uint64_t size() const override { return size_; }

  Result<void> read_at(std::uint64_t offset, MutableByteSpan out) const override {
    if (offset > size_ || out.size() > size_ - offset)
      return fail(ErrorCode::kIo, "reading {}: {} bytes at {} reach past its end at {}", path_,
                  out.size(), offset, size_);
    while (!out.empty()) {
      const ssize_t n = ::pread(fd_.get(), out.data(), out.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail_errno("reading", path_, errno);
      if (n == 0) return fail(ErrorCode::kIo, "reading {}: it became shorter meanwhile", path_);
      out = out.subspan(static_cast<std::size_t>(n));
      offset += static_cast<std::uint64_t>(n);
    }
    return {};
  }

  Result<void> write_at(std::uint64_t offset, ByteSpan bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail_errno("writing", path_, errno);
      if (n == 0) return fail(ErrorCode::kIo, "writing {}: nothing more is taken", path_);
      bytes = bytes.subspan(static_cast<std::size_t>(n));
      offset += static_cast<std::uint64_t>(n);
      size_ = std::max(size_, offset);
    }
    return {};
  }

  Result<void> truncate(std::uint64_t size) override {
    // A device keeps its size; whoever writes an image to it knows how long that is.
    if (is_device_ && size <= size_) return {};
    if (is_device_) return fail_errno("truncating", path_, ENOSPC);
    if (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0)
      return fail_errno("truncating", path_, errno);
    size_ = size;
    return {};
  }

  Result<void> reserve(std::uint64_t bytes) override {
    if (bytes == 0) return {};
    while (::fallocate(fd_.get(), FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(bytes)) != 0) {
      if (errno == EINTR) continue;
      if (errno == EOPNOTSUPP || errno == ENOSYS || errno == ENODEV)
        return fail(ErrorCode::kUnsupported, "{}: room cannot be reserved here", path_);
      return fail_errno("reserving room for", path_, errno);
    }
    return {};
  }

  Result<void> sync() override {
    if (::fsync(fd_.get()) != 0) return fail_errno("syncing", path_, errno);
    return {};
  }

 private:
  Descriptor fd_;
  std::string path_;
  std::uint64_t size_;
  bool is_device_ = false;
};

Result<std::unique_ptr<RealFile>> open_file(const std::string& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0600);
  if (fd < 0) return fail_errno("opening", path, errno);
  auto file = std::make_unique<RealFile>(fd, path, 0);
  TRY_VOID(file->measure());
  return file;
}

}  // namespace

Result<std::unique_ptr<ReadAt>> RealDisk::open_read(const std::string& path) {
  return open_file(path, O_RDONLY);
}

Result<std::unique_ptr<File>> RealDisk::open_write(const std::string& path) {
  return open_file(path, O_RDWR | O_CREAT);
}

Result<FileStatus> RealDisk::status(const std::string& path) {
  struct stat st {};
  if (::lstat(path.c_str(), &st) != 0) return fail_errno("looking at", path, errno);
  const auto kind = S_ISREG(st.st_mode)   ? FileStatus::Kind::kFile
                    : S_ISDIR(st.st_mode) ? FileStatus::Kind::kDirectory
                    : S_ISLNK(st.st_mode) ? FileStatus::Kind::kSymlink
                                          : FileStatus::Kind::kOther;
  return FileStatus{kind, static_cast<std::uint64_t>(st.st_size)};
}

Result<void> RealDisk::make_dirs(const std::string& path) {
  for (std::size_t at = 1; at <= path.size(); ++at) {
    if (at != path.size() && path[at] != '/') continue;
    const std::string prefix = path.substr(0, at);
    if (::mkdir(prefix.c_str(), 0700) == 0) {
      TRY_VOID(sync_dir(parent_dir(prefix)));
      continue;
    }
    if (errno != EEXIST) return fail_errno("making directory", prefix, errno);
  }
  struct stat st {};  // through links, as everything below will go
  if (::stat(path.c_str(), &st) != 0) return fail_errno("making directory", path, errno);
  if (!S_ISDIR(st.st_mode)) return fail_errno("making directory", path, ENOTDIR);
  return {};
}

Result<std::vector<std::string>> RealDisk::list(const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(path.c_str()), ::closedir);
  if (!dir) return fail_errno("listing", path, errno);
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return fail_errno("listing", path, errno);
  std::sort(names.begin(), names.end());
  return names;
}

Result<void> RealDisk::rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return fail_errno("renaming to", to, errno);
  return {};
}

Result<void> RealDisk::symlink(const std::string& target, const std::string& path) {
  if (::symlink(target.c_str(), path.c_str()) != 0) return fail_errno("linking", path, errno);
  return {};
}

Result<std::string> RealDisk::read_symlink(const std::string& path) {
  std::string target(4096, '\0');
  const ssize_t n = ::readlink(path.c_str(), target.data(), target.size());
  if (n < 0) return fail_errno("reading link", path, errno);
  if (static_cast<std::size_t>(n) == target.size())
    return fail(ErrorCode::kTooLarge, "reading link {}: it is longer than any path", path);
  target.resize(static_cast<std::size_t>(n));
  return target;
}

Result<void> RealDisk::remove(const std::string& path) {
  if (::remove(path.c_str()) != 0 && errno != ENOENT) return fail_errno("removing", path, errno);
  return {};
}

Result<void> RealDisk::remove_tree(const std::string& path) {
  const Result<FileStatus> found = status(path);
  if (!found && found.error().code() == ErrorCode::kNotFound) return {};
  if (!found) return fail(found.error());
  if (found->kind == FileStatus::Kind::kDirectory)
    for (const std::string& name : TRY(list(path))) TRY_VOID(remove_tree(path + "/" + name));
  return remove(path);
}

Result<void> RealDisk::sync_dir(const std::string& path) {
  const Descriptor dir(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (dir.get() < 0) return fail_errno("opening directory", path, errno);
  if (::fsync(dir.get()) != 0) return fail_errno("syncing directory", path, errno);
  return {};
}

Result<std::uint64_t> RealDisk::free_bytes(const std::string& path) {
  struct statvfs st {};
  if (::statvfs(path.c_str(), &st) != 0) return fail_errno("measuring free space at", path, errno);
  return std::uint64_t{st.f_bavail} * st.f_frsize;
}

Result<void> File::reserve(std::uint64_t) {
  return fail(ErrorCode::kUnsupported, "room cannot be reserved here");
}

std::string parent_dir(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Result<Bytes> read_file(Disk& disk, const std::string& path, std::uint64_t bytes_max) {
  const auto file = TRY(disk.open_read(path));
  if (file->size() > bytes_max)
    return fail(ErrorCode::kTooLarge, "{} has {} bytes, at most {} are allowed", path, file->size(),
                bytes_max);
  Bytes bytes(file->size());
  TRY_VOID(file->read_at(0, bytes));
  return bytes;
}

namespace {

Result<void> write_synced(Disk& disk, const std::string& path, ByteSpan bytes) {
  const auto file = TRY(disk.open_write(path));
  TRY_VOID(file->truncate(0));
  TRY_VOID(file->write_at(0, bytes));
  return file->sync();
}

}  // namespace

Result<void> replace_file(Disk& disk, const std::string& path, ByteSpan bytes) {
  const std::string temporary = path + ".new";
  const auto replace = [&]() -> Result<void> {
    TRY_VOID(write_synced(disk, temporary, bytes));
    return disk.rename(temporary, path);
  };
  if (auto replaced = replace(); !replaced) {
    // A full disk is no fuller for the attempt; what was wrong is the first error.
    static_cast<void>(disk.remove(temporary));
    return replaced;
  }
  return disk.sync_dir(parent_dir(path));
}

}  // namespace layby
