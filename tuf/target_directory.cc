#include "tuf/target_directory.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "manifest/url_names.h"

namespace layby::tuf {
namespace {

constexpr mode_t kFileMode = 0644;

tl::unexpected<Error> fail_errno(const std::string& path) {
  return fail(errno == ENOSPC ? ErrorCode::kDiskFull : ErrorCode::kIo, "{}: {}", path,
              std::strerror(errno));
}

bool matches(const crypto::Hasher::Digests& digests, const manifest::Target& target) {
  return !target.hashes.empty() && digests.length == target.length &&
         (!target.hashes.sha256 || *target.hashes.sha256 == digests.sha256) &&
         (!target.hashes.sha512 || *target.hashes.sha512 == digests.sha512);
}

std::string path_of(const std::string& directory, const std::string& name) {
  return directory + "/" + manifest::percent_encoded_file_name(name);
}

}  // namespace

Result<IncomingTarget> IncomingTarget::create(Disk& disk, const std::string& directory) {
  TRY_VOID(disk.make_dirs(directory));
  int descriptor = ::open(directory.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, kFileMode);
  if (descriptor >= 0) return IncomingTarget(disk, directory, descriptor, {});
  // Not every file system has files without names. A comma is in no encoded name.
  std::string path = fmt::format("{}/,{}", directory, ::getpid());
  descriptor =
      ::open(path.c_str(), O_CREAT | O_TRUNC | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, kFileMode);
  if (descriptor < 0) return fail_errno(path);
  return IncomingTarget(disk, directory, descriptor, std::move(path));
}

IncomingTarget::IncomingTarget(Disk& disk, std::string directory, int descriptor,
                               std::string temporary)
    : disk_(&disk),
      directory_(std::move(directory)),
      descriptor_(descriptor),
      temporary_(std::move(temporary)) {}

IncomingTarget::IncomingTarget(IncomingTarget&& other) noexcept
    : disk_(other.disk_),
      directory_(std::move(other.directory_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      temporary_(std::exchange(other.temporary_, {})),
      hasher_(std::move(other.hasher_)) {}

IncomingTarget::~IncomingTarget() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Result<void> IncomingTarget::write(ByteSpan bytes) {
  hasher_.update(bytes);
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail_errno(directory_);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

Result<void> IncomingTarget::publish(const std::string& name, const manifest::Target& target) {
  if (!matches(hasher_.finish(), target))
    return fail(ErrorCode::kWrongImage, "target {}: not the length or digest that was signed",
                name);
  if (::fsync(descriptor_) != 0) return fail_errno(directory_);
  if (temporary_.empty()) {
    std::string path = fmt::format("{}/,{}", directory_, ::getpid());
    const std::string open_file = fmt::format("/proc/self/fd/{}", descriptor_);
    ::unlink(path.c_str());  // of a process that was killed between here and the renaming
    if (::linkat(AT_FDCWD, open_file.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) != 0)
      return fail_errno(path);
    temporary_ = std::move(path);
  }
  TRY_VOID(disk_->rename(temporary_, path_of(directory_, name)));
  temporary_.clear();
  return disk_->sync_dir(directory_);
}

bool has_target(Disk& disk, const std::string& directory, const std::string& name,
                const manifest::Target& target) {
  const auto file = disk.open_read(path_of(directory, name));
  if (!file || (*file)->size() != target.length) return false;
  const auto digests = crypto::hash_all(**file, crypto::Hasher::With::kSha256AndSha512);
  return digests && matches(*digests, target);
}

}  // namespace layby::tuf
