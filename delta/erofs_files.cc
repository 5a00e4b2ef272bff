// EROFS, as far as the places of regular files go. Source: the Linux kernel's documentation
// (Documentation/filesystems/erofs.rst, "On-disk details"). Files that are compressed or stored in
// chunks are left out.
#include <algorithm>
#include <unordered_set>

#include "delta/image_layouts.h"

namespace layby::delta {
namespace {

constexpr std::uint64_t kSuperBlockOffset = 1024;
constexpr std::uint32_t kMagic = 0xe0f5e1e2;
constexpr std::uint64_t kInodeSlotBytes = 32;  // inodes are numbered by these
constexpr std::uint64_t kExtendedInodeBytes = 64;
constexpr std::uint64_t kDirectoryEntryBytes = 12;
constexpr std::uint16_t kModeKind = 0xf000;
constexpr std::uint16_t kModeRegular = 0x8000;
constexpr std::uint16_t kModeDirectory = 0x4000;
constexpr std::uint16_t kLayoutPlain = 0;   // all in blocks
constexpr std::uint16_t kLayoutInline = 2;  // what does not fill a block stands behind the inode

class ErofsReader {
 public:
  explicit ErofsReader(ByteSpan image) : image_(image), files_(image.size()) {}

  std::optional<std::vector<ImageFile>> read() {
    const std::uint64_t at = kSuperBlockOffset;
    if (number<std::uint32_t>(at) != kMagic) return std::nullopt;
    const auto block_log = number<std::uint8_t>(at + 0xc);
    if (block_log < 9 || block_log > 16) return std::nullopt;
    block_bytes_ = std::uint64_t{1} << block_log;
    inodes_offset_ = number<std::uint32_t>(at + 0x28) * block_bytes_;
    directory_bytes_left_ = image_.size();
    meet(number<std::uint16_t>(at + 0xe));
    // A stack of its own: directories may be as deep as the image is large.
    while (!waiting_.empty()) {
      const std::uint64_t inode = waiting_.back();
      waiting_.pop_back();
      read_inode(inode);
    }
    return std::move(files_).take();
  }

 private:
  template <typename T>
  T number(std::uint64_t offset) const {  // zero outside of the image: nothing is there
    return load_number<T>(image_, offset).value_or(0);
  }

  void meet(std::uint64_t inode) {
    if (inode < image_.size() / kInodeSlotBytes && met_.insert(inode).second)
      waiting_.push_back(inode);
  }

  void read_inode(std::uint64_t inode) {
    const std::uint64_t at = inodes_offset_ + inode * kInodeSlotBytes;
    const auto kind = static_cast<std::uint16_t>(number<std::uint16_t>(at + 4) & kModeKind);
    if (kind != kModeRegular && kind != kModeDirectory) return;
    std::optional<ImageFile> file = place_of(at);
    if (!file) return;
    if (kind == kModeDirectory)
      read_directory(*file);
    else
      files_.add(std::move(*file));
  }

  std::optional<ImageFile> place_of(std::uint64_t at) const {
    const auto format = number<std::uint16_t>(at);
    const bool is_extended = (format & 1) != 0;
    const auto layout = static_cast<std::uint16_t>(format >> 1 & 7);
    if (layout != kLayoutPlain && layout != kLayoutInline) return std::nullopt;
    const std::uint64_t bytes =
        is_extended ? number<std::uint64_t>(at + 8) : number<std::uint32_t>(at + 8);
    const std::uint64_t in_blocks =
        layout == kLayoutInline && bytes != 0 ? (bytes - 1) / block_bytes_ * block_bytes_ : bytes;
    ImageFileBuilder builder(image_.size(), bytes);
    builder.add({number<std::uint32_t>(at + 0x10) * block_bytes_, 0, in_blocks});
    const auto attributes = number<std::uint16_t>(at + 2);  // words, the first three are one
    builder.add({at + (is_extended ? kExtendedInodeBytes : kInodeSlotBytes) +
                     (attributes == 0 ? 0 : 12 + 4 * (std::uint64_t{attributes} - 1)),
                 in_blocks, bytes - in_blocks});
    return std::move(builder).take();
  }

  // Each block: entries, then names; the first entry's name says where the entries end.
  void read_directory(const ImageFile& directory) {
    for (const FileExtent& extent : directory.extents) {
      if (extent.bytes > directory_bytes_left_) return;
      directory_bytes_left_ -= extent.bytes;
      for (std::uint64_t block = 0; block < extent.bytes; block += block_bytes_) {
        const std::uint64_t at = extent.image_offset + block;
        const std::uint64_t end = std::min(block_bytes_, extent.bytes - block);
        const std::uint64_t names = std::min<std::uint64_t>(number<std::uint16_t>(at + 8), end);
        for (std::uint64_t entry = 0; entry + kDirectoryEntryBytes <= names;
             entry += kDirectoryEntryBytes)
          meet(number<std::uint64_t>(at + entry));
      }
    }
  }

  ByteSpan image_;
  ImageFileList files_;
  std::uint64_t block_bytes_ = 0;
  std::uint64_t inodes_offset_ = 0;
  std::uint64_t directory_bytes_left_ = 0;
  std::unordered_set<std::uint64_t> met_;
  std::vector<std::uint64_t> waiting_;
};

}  // namespace

std::optional<std::vector<ImageFile>> find_erofs_files(ByteSpan image) {
  return ErofsReader(image).read();
}

}  // namespace layby::delta
