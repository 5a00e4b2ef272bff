#include "agent/software_slot.h"

#include <filesystem>

namespace layby::agent {
namespace {

constexpr int kLinksMax = 8;

// A device has many names below /dev/disk: all of them are links.
std::string behind_links(Disk& disk, std::string path) {
  for (int i = 0; i < kLinksMax; ++i) {
    const auto target = disk.read_symlink(path);
    if (!target) break;
    path = target->starts_with('/') ? *target : parent_dir(path) + "/" + *target;
  }
  return std::filesystem::path(path).lexically_normal().string();
}

class FirstBytes final : public ReadAt {
 public:
  FirstBytes(std::unique_ptr<ReadAt> whole, std::uint64_t length)
      : whole_(std::move(whole)), length_(length) {}
  std::uint64_t size() const override { return length_; }
  Result<void> read_at(std::uint64_t offset, MutableByteSpan out) const override {
    if (offset > length_ || out.size() > length_ - offset)
      return fail(ErrorCode::kIo, "{} bytes at {} reach past the end of the image at {}",
                  out.size(), offset, length_);
    return whole_->read_at(offset, out);
  }

 private:
  std::unique_ptr<ReadAt> whole_;
  const std::uint64_t length_;
};

}  // namespace

bool is_same_file(Disk& disk, const std::string& a, const std::string& b) {
  return behind_links(disk, a) == behind_links(disk, b);
}

std::optional<std::uint64_t> device_bytes(Disk& disk, const std::string& path) {
  const auto status = disk.status(path);
  if (!status || status->kind != FileStatus::Kind::kSymlink) return std::nullopt;
  const auto device = disk.open_read(path);
  return device ? (*device)->size() : 0;
}

Result<std::unique_ptr<ReadAt>> open_software(Disk& disk, const std::string& path,
                                              std::uint64_t length) {
  const auto device = device_bytes(disk, path);
  if (!device) return disk.open_read(path);
  if (*device < length)
    return fail(ErrorCode::kWrongImage, "{} has {} bytes, the image {}", path, *device, length);
  auto whole = TRY(disk.open_read(path));
  return std::unique_ptr<ReadAt>(std::make_unique<FirstBytes>(std::move(whole), length));
}

}  // namespace layby::agent
