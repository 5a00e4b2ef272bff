#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <new>
#include <utility>

#include "base/posix_file.h"

namespace layby {
namespace {

// A file without a name; where the file system knows none, one that loses it at once.
int open_nameless(const std::string& directory) {
  const int fd = ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)) return fd;
  std::string name = directory + "/expanse-XXXXXX";
  const int named = ::mkostemp(name.data(), O_CLOEXEC);
  if (named >= 0) ::unlink(name.c_str());
  return named;
}

// What the file takes must leave others that store on this file system their room.
Result<void> check_room(int fd, std::uint64_t bytes, const Expanse::Place& place) {
  struct statvfs st {};
  if (::fstatvfs(fd, &st) != 0)
    return fail_errno("measuring free space at", place.directory, errno);
  const std::uint64_t free = std::uint64_t{st.f_bavail} * st.f_frsize;
  if (bytes <= free && place.free_bytes_min <= free - bytes) return {};
  return fail(ErrorCode::kDiskFull,
              "a temporary file of {} bytes in {}, where {} are free and {} must stay so", bytes,
              place.directory, free, place.free_bytes_min);
}

}  // namespace

Result<std::unique_ptr<MappedFile>> MappedFile::open(const std::string& path) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return fail_errno("opening", path, errno);
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) return fail_errno("measuring", path, errno);
  if (S_ISDIR(st.st_mode)) return fail_errno("opening", path, EISDIR);
  const off_t end = ::lseek(fd.get(), 0, SEEK_END);  // a block device has no st_size
  if (end < 0) return fail_errno("measuring", path, errno);
  const auto size = static_cast<std::size_t>(end);
  if (size == 0) return std::unique_ptr<MappedFile>(new MappedFile({}));
  void* const at = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (at == MAP_FAILED) return fail_errno("mapping", path, errno);
  const ByteSpan bytes(static_cast<const std::uint8_t*>(at), size);
  return std::unique_ptr<MappedFile>(new MappedFile(bytes));
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::uint8_t*>(bytes_.data()), bytes_.size());
}

Result<void> MappedFile::read_at(std::uint64_t offset, MutableByteSpan out) const {
  if (offset > bytes_.size() || out.size() > bytes_.size() - offset)
    return fail(ErrorCode::kIo, "{} bytes at {} reach past the end at {}", out.size(), offset,
                bytes_.size());
  std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
  return {};
}

std::optional<ByteSpan> mapped_bytes(const ReadAt& source) {
  const auto* const file = dynamic_cast<const MappedFile*>(&source);
  if (file == nullptr) return std::nullopt;
  return file->bytes();
}

Result<Expanse> Expanse::create(std::uint64_t bytes, const Place& place) {
  if (bytes == 0) return Expanse();
  const auto size = static_cast<std::size_t>(bytes);
  switch (place.where) {
    case Where::kHeap: {
      void* const at = std::calloc(size, 1);
      if (at == nullptr) throw std::bad_alloc();
      return Expanse(MutableByteSpan(static_cast<std::uint8_t*>(at), size), false);
    }
    case Where::kFile: break;
  }
  const std::string& directory = place.directory;
  const Descriptor fd(open_nameless(directory));
  if (fd.get() < 0) return fail_errno("making a temporary file in", directory, errno);
  TRY_VOID(check_room(fd.get(), bytes, place));
  const int error = ::posix_fallocate(fd.get(), 0, static_cast<off_t>(size));
  if (error != 0)
    return fail_errno("making a temporary file in", fmt::format("{} of {} bytes", directory, bytes),
                      error);
  void* const at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (at == MAP_FAILED) return fail_errno("mapping a temporary file in", directory, errno);
  return Expanse(MutableByteSpan(static_cast<std::uint8_t*>(at), size), true);
}

Expanse::Expanse(Expanse&& other) noexcept
    : bytes_(std::exchange(other.bytes_, {})), is_file_(other.is_file_) {}

Expanse& Expanse::operator=(Expanse&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  std::swap(is_file_, other.is_file_);
  return *this;
}

Expanse::~Expanse() {
  if (bytes_.empty()) return;
  if (is_file_)
    ::munmap(bytes_.data(), bytes_.size());
  else
    std::free(bytes_.data());
}

}  // namespace layby
