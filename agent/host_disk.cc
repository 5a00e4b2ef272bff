#include "agent/host_disk.h"

#include <algorithm>
#include <exception>

namespace layby::agent {
namespace {

// What a host may say of its disk. Anything else is trouble with the medium.
Result<void> result_of(int result, const std::string& path, std::string_view what) {
  if (result == LAYBY_OK) return {};
  const auto code = result == LAYBY_NOT_FOUND     ? ErrorCode::kNotFound
                    : result == LAYBY_DISK_FULL   ? ErrorCode::kDiskFull
                    : result == LAYBY_UNSUPPORTED ? ErrorCode::kUnsupported
                                                  : ErrorCode::kIo;
  return fail(code, "{}: the host's disk cannot {} it ({})", path, what, result);
}

class HostFile final : public File {
 public:
  HostFile(const layby_disk& host, std::string path) : host_(host), path_(std::move(path)) {}
  ~HostFile() override {
    if (is_open_) host_.close(host_.context, file_);
  }
  HostFile(const HostFile&) = delete;
  HostFile& operator=(const HostFile&) = delete;

  // Once, first of all: when the host gives the handle, the object that closes it is there, path
  // and all, and want of memory cannot come between the two.
  Result<void> open(layby_open_mode mode) {
    TRY_VOID(result_of(host_.open(host_.context, path_.c_str(), mode, &file_), path_, "open"));
    is_open_ = true;
    return result_of(host_.size(host_.context, file_, &size_), path_, "measure");
  }
  std::uint64_t size() const override { return size_; }
  Result<void> read_at(std::uint64_t offset, MutableByteSpan out) const override {
    if (offset > size_ || out.size() > size_ - offset)
      return fail(ErrorCode::kIo, "{}: {} bytes at {} of {}", path_, out.size(), offset, size_);
    if (out.empty()) return {};
    return result_of(host_.read(host_.context, file_, offset, out.data(), out.size()), path_,
                     "read");
  }
  Result<void> write_at(std::uint64_t offset, ByteSpan bytes) override {
    if (bytes.empty()) return {};
    TRY_VOID(result_of(host_.write(host_.context, file_, offset, bytes.data(), bytes.size()), path_,
                       "write"));
    size_ = std::max(size_, offset + bytes.size());
    return {};
  }
  Result<void> truncate(std::uint64_t size) override {
    TRY_VOID(result_of(host_.truncate(host_.context, file_, size), path_, "truncate"));
    size_ = size;
    return {};
  }
  Result<void> reserve(std::uint64_t bytes) override {
    if (host_.reserve == nullptr) return File::reserve(bytes);
    return result_of(host_.reserve(host_.context, file_, bytes), path_, "reserve room for");
  }
  Result<void> sync() override {
    return result_of(host_.sync(host_.context, file_), path_, "sync");
  }

 private:
  const layby_disk& host_;  // the disk outlives its files
  void* file_ = nullptr;    // whatever the host gave, NULL too
  bool is_open_ = false;
  std::string path_;
  std::uint64_t size_ = 0;
};

// Filled through frames of the host: no exception may leave.
struct Names {
  std::vector<std::string> names;
  bool is_complete = true;

  static void take(void* sink, const char* name) noexcept {
    if (sink == nullptr || name == nullptr) return;
    Names& all = *static_cast<Names*>(sink);
    try {
      all.names.emplace_back(name);
    } catch (const std::exception&) {
      all.is_complete = false;
    }
  }
};

Result<std::vector<std::string>> names_of(Names&& taken, const std::string& path) {
  if (!taken.is_complete) return fail(ErrorCode::kInternal, "{}: no memory for its names", path);
  return std::move(taken.names);
}

Result<FileStatus::Kind> kind_of(layby_file_kind kind, const std::string& path) {
  switch (kind) {
    case LAYBY_FILE: return FileStatus::Kind::kFile;
    case LAYBY_DIRECTORY: return FileStatus::Kind::kDirectory;
    case LAYBY_SYMLINK: return FileStatus::Kind::kSymlink;
    case LAYBY_OTHER: return FileStatus::Kind::kOther;
  }
  return fail(ErrorCode::kIo, "{}: the host's disk says it is of kind {}", path,
              static_cast<int>(kind));
}

}  // namespace

Result<std::unique_ptr<File>> HostDisk::open(const std::string& path, layby_open_mode mode) {
  auto file = std::make_unique<HostFile>(host_, path);
  TRY_VOID(file->open(mode));
  return file;
}

Result<std::unique_ptr<ReadAt>> HostDisk::open_read(const std::string& path) {
  return std::unique_ptr<ReadAt>(TRY(open(path, LAYBY_OPEN_READ)));
}

Result<std::unique_ptr<File>> HostDisk::open_write(const std::string& path) {
  return open(path, LAYBY_OPEN_WRITE);
}

Result<FileStatus> HostDisk::status(const std::string& path) {
  layby_file_kind kind = LAYBY_OTHER;
  std::uint64_t bytes = 0;
  TRY_VOID(result_of(host_.status(host_.context, path.c_str(), &kind, &bytes), path, "look at"));
  const FileStatus::Kind known = TRY(kind_of(kind, path));
  return FileStatus{known, bytes};
}

Result<void> HostDisk::make_dirs(const std::string& path) {
  return result_of(host_.make_directories(host_.context, path.c_str()), path, "make");
}

Result<std::vector<std::string>> HostDisk::list(const std::string& path) {
  Names taken;
  TRY_VOID(result_of(host_.list(host_.context, path.c_str(), Names::take, &taken), path, "list"));
  auto names = TRY(names_of(std::move(taken), path));
  std::ranges::sort(names);
  return names;
}

Result<void> HostDisk::rename(const std::string& from, const std::string& to) {
  return result_of(host_.rename(host_.context, from.c_str(), to.c_str()), to, "rename to");
}

Result<void> HostDisk::symlink(const std::string& target, const std::string& path) {
  return result_of(host_.make_symlink(host_.context, target.c_str(), path.c_str()), path, "link");
}

Result<std::string> HostDisk::read_symlink(const std::string& path) {
  Names taken;
  TRY_VOID(result_of(host_.read_symlink(host_.context, path.c_str(), Names::take, &taken), path,
                     "follow"));
  const auto names = TRY(names_of(std::move(taken), path));
  if (names.size() != 1) return fail(ErrorCode::kIo, "{}: the host's disk names no target", path);
  return names.front();
}

Result<void> HostDisk::remove(const std::string& path) {
  return result_of(host_.remove(host_.context, path.c_str()), path, "remove");
}

Result<void> HostDisk::remove_tree(const std::string& path) {
  return result_of(host_.remove_tree(host_.context, path.c_str()), path, "remove");
}

Result<void> HostDisk::sync_dir(const std::string& path) {
  return result_of(host_.sync_directory(host_.context, path.c_str()), path, "sync");
}

Result<std::uint64_t> HostDisk::free_bytes(const std::string& path) {
  std::uint64_t bytes = 0;
  TRY_VOID(
      result_of(host_.free_bytes(host_.context, path.c_str(), &bytes), path, "tell the room at"));
  return bytes;
}

}  // namespace layby::agent
