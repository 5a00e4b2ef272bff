// ext4, as far as the places of regular files go. Source: the Linux kernel's documentation
// "ext4 Data Structures and Algorithms" (Documentation/filesystems/ext4): super block, group
// descriptors, inodes, extent trees. Files that are stored by block maps, inline or encrypted are
// left out, and so are file systems of the kind "meta block groups".
#include "delta/image_layouts.h"

namespace layby::delta {
namespace {

constexpr std::uint64_t kSuperBlockOffset = 1024;
constexpr std::uint16_t kMagic = 0xef53;
constexpr std::uint32_t kIncompatMetaGroups = 0x10;
constexpr std::uint32_t kIncompat64Bit = 0x80;
constexpr std::uint64_t kGroupsMax = std::uint64_t{1} << 20;

constexpr std::uint16_t kModeKind = 0xf000;
constexpr std::uint16_t kModeRegular = 0x8000;
constexpr std::uint32_t kInodeEncrypted = 0x800;
constexpr std::uint32_t kInodeExtents = 0x80000;
constexpr std::uint32_t kInodeInline = 0x10000000;
constexpr std::uint64_t kInodeBlockOffset = 0x28;

constexpr std::uint16_t kExtentMagic = 0xf30a;
constexpr std::uint16_t kExtentDepthMax = 5;
constexpr std::uint64_t kExtentEntryBytes = 12;    // of header, index and leaf
constexpr std::uint16_t kExtentLengthMax = 32768;  // longer ones are not written yet: zeros

class Ext4Reader {
 public:
  explicit Ext4Reader(ByteSpan image) : image_(image), files_(image.size()) {}

  std::optional<std::vector<ImageFile>> read() {
    if (!read_super_block()) return std::nullopt;
    for (std::uint64_t group = 0; group < group_count_; ++group) read_group(group);
    return std::move(files_).take();
  }

 private:
  template <typename T>
  T number(std::uint64_t offset) const {  // zero outside of the image: nothing is there
    return load_number<T>(image_, offset).value_or(0);
  }

  bool read_super_block() {
    const std::uint64_t at = kSuperBlockOffset;
    if (number<std::uint16_t>(at + 0x38) != kMagic) return false;
    const auto block_log = number<std::uint32_t>(at + 0x18);
    const auto incompat = number<std::uint32_t>(at + 0x60);
    if (block_log > 6 || (incompat & kIncompatMetaGroups) != 0) return false;
    block_bytes_ = std::uint64_t{1024} << block_log;
    inodes_per_group_ = number<std::uint32_t>(at + 0x28);
    const bool is_dynamic = number<std::uint32_t>(at + 0x4c) != 0;
    first_inode_ = is_dynamic ? number<std::uint32_t>(at + 0x54) : 11;
    inode_bytes_ = is_dynamic ? number<std::uint16_t>(at + 0x58) : 128;
    const bool is_64bit = (incompat & kIncompat64Bit) != 0;
    descriptor_bytes_ = is_64bit ? number<std::uint16_t>(at + 0xfe) : 32;
    const std::uint64_t blocks =
        number<std::uint32_t>(at + 4) |
        (is_64bit ? std::uint64_t{number<std::uint32_t>(at + 0x150)} << 32 : 0);
    const auto first = number<std::uint32_t>(at + 0x14);
    const auto blocks_per_group = number<std::uint32_t>(at + 0x20);
    if (blocks_per_group == 0 || inodes_per_group_ == 0 || blocks <= first) return false;
    if (inode_bytes_ < 128 || inode_bytes_ > block_bytes_) return false;
    if (descriptor_bytes_ < 32 || descriptor_bytes_ > block_bytes_) return false;
    descriptors_offset_ = (first + std::uint64_t{1}) * block_bytes_;
    group_count_ = (blocks - first + blocks_per_group - 1) / blocks_per_group;
    nodes_left_ = inodes_left_ = image_.size() / 128;
    return group_count_ <= kGroupsMax;
  }

  void read_group(std::uint64_t group) {
    const std::uint64_t at = descriptors_offset_ + group * descriptor_bytes_;
    std::uint64_t table = number<std::uint32_t>(at + 8);
    if (descriptor_bytes_ >= 64) table |= std::uint64_t{number<std::uint32_t>(at + 0x28)} << 32;
    if (table == 0 || table > image_.size() / block_bytes_) return;
    for (std::uint64_t i = 0; i < inodes_per_group_; ++i) {
      const std::uint64_t inode = table * block_bytes_ + i * inode_bytes_;
      if (inodes_left_ == 0 || inode > image_.size() || image_.size() - inode < inode_bytes_)
        return;
      --inodes_left_;
      const std::uint64_t named = group * inodes_per_group_ + i + 1;
      if (named >= first_inode_) read_inode(inode);  // before: the journal and its like
    }
  }

  void read_inode(std::uint64_t inode) {
    if ((number<std::uint16_t>(inode) & kModeKind) != kModeRegular) return;
    if (number<std::uint16_t>(inode + 0x1a) == 0) return;  // no name: deleted
    const auto flags = number<std::uint32_t>(inode + 0x20);
    if ((flags & (kInodeEncrypted | kInodeExtents | kInodeInline)) != kInodeExtents) return;
    ImageFileBuilder builder(image_.size(), number<std::uint32_t>(inode + 4) |
                                         std::uint64_t{number<std::uint32_t>(inode + 0x6c)} << 32);
    constexpr std::uint64_t kRootEntriesMax = 4;
    if (!read_node(inode + kInodeBlockOffset, kRootEntriesMax, kExtentDepthMax, builder)) return;
    if (auto file = std::move(builder).take()) files_.add(std::move(*file));
  }

  // A node of an extent tree. Its depth falls on the way down, so that a circle ends; the nodes of
  // all files are counted, so that a node with many parents costs no more than the image is long.
  bool read_node(std::uint64_t at, std::uint64_t entries_max, std::uint16_t depth_max,
                 ImageFileBuilder& builder) {
    const auto entries = number<std::uint16_t>(at + 2);
    const auto depth = number<std::uint16_t>(at + 6);
    if (nodes_left_ == 0 || number<std::uint16_t>(at) != kExtentMagic || entries > entries_max ||
        depth > depth_max)
      return false;
    --nodes_left_;
    for (std::uint64_t i = 1; i <= entries; ++i) {
      const std::uint64_t entry = at + i * kExtentEntryBytes;
      if (depth == 0)
        read_extent(entry, builder);
      else if (!read_child(entry, static_cast<std::uint16_t>(depth - 1), builder))
        return false;
    }
    return true;
  }

  bool read_child(std::uint64_t entry, std::uint16_t depth_max, ImageFileBuilder& builder) {
    const std::uint64_t block =
        number<std::uint32_t>(entry + 4) | std::uint64_t{number<std::uint16_t>(entry + 8)} << 32;
    if (block >= image_.size() / block_bytes_) return false;
    return read_node(block * block_bytes_, block_bytes_ / kExtentEntryBytes - 1, depth_max,
                     builder);
  }

  void read_extent(std::uint64_t entry, ImageFileBuilder& builder) {
    const auto length = number<std::uint16_t>(entry + 4);
    if (length > kExtentLengthMax) return;
    const std::uint64_t block =
        number<std::uint32_t>(entry + 8) | std::uint64_t{number<std::uint16_t>(entry + 6)} << 32;
    builder.add(
        {block * block_bytes_, number<std::uint32_t>(entry) * block_bytes_, length * block_bytes_});
  }

  ByteSpan image_;
  ImageFileList files_;
  std::uint64_t block_bytes_ = 0;
  std::uint64_t inodes_per_group_ = 0;
  std::uint64_t first_inode_ = 0;  // of those that have names
  std::uint64_t inode_bytes_ = 0;
  std::uint64_t descriptor_bytes_ = 0;
  std::uint64_t descriptors_offset_ = 0;
  std::uint64_t group_count_ = 0;
  std::uint64_t inodes_left_ = 0;
  std::uint64_t nodes_left_ = 0;
};

}  // namespace

std::optional<std::vector<ImageFile>> find_ext4_files(ByteSpan image) {
  return Ext4Reader(image).read();
}

}  // namespace layby::delta
