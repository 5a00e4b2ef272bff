#include "delta/squashfs_reader.h"

#include <algorithm>
#include <unordered_set>

#include "delta/image_layouts.h"
#include "delta/stream_text.h"

namespace layby::delta {
namespace {

constexpr std::uint32_t kMagic = 0x73717368;
constexpr std::uint16_t kCompressorGzip = 1;
constexpr std::uint16_t kCompressorXz = 4;
constexpr std::uint16_t kCompressorZstd = 6;
constexpr std::uint32_t kMetadataBytes = 8192;  // of text in a block
constexpr std::uint32_t kBlockIsPlain = 1u << 24;
constexpr std::uint32_t kNoFragment = ~std::uint32_t{0};
constexpr std::uint32_t kFragmentEntryBytes = 16;
// Text of all tables, and blocks of all files: an image of so many bytes has no more, a bomb does.
constexpr std::uint64_t table_bytes_max(std::uint64_t image_bytes) {
  return image_bytes / 2 + 16 * kMiB;
}
constexpr std::uint64_t blocks_max(std::uint64_t image_bytes) {
  return image_bytes / 64 + 64 * kKiB;
}

class SquashfsReader {
 public:
  explicit SquashfsReader(ByteSpan image)
      : image_(image),
        table_bytes_left_(table_bytes_max(image.size())),
        blocks_left_(blocks_max(image.size())) {}

  std::optional<SquashfsImage> read() {
    if (!read_super_block()) return std::nullopt;
    const auto inodes = number<std::uint64_t>(64);
    const auto directories = number<std::uint64_t>(72);
    const std::uint64_t entries = number<std::uint32_t>(16);
    const Bytes fragments = read_indexed(number<std::uint64_t>(80), entries * kFragmentEntryBytes);
    const std::uint64_t there =
        std::min<std::uint64_t>(entries, fragments.size() / kFragmentEntryBytes);
    for (std::uint64_t i = 0; i < there; ++i) add_fragment(fragments, i * kFragmentEntryBytes);
    read_indexed(number<std::uint64_t>(88), std::uint64_t{number<std::uint32_t>(4)} * 8);
    read_indexed(number<std::uint64_t>(48), std::uint64_t{number<std::uint16_t>(26)} * 4);
    // Directories end where the first of the other tables begins.
    std::uint64_t end = image_.size();
    for (const FoundStream& table : squashfs_.streams)
      if (const std::uint64_t at = table.pieces.front().offset; at >= directories)
        end = std::min(end, at - sizeof(std::uint16_t));
    for (const std::uint64_t at : plain_tables_)
      if (at >= directories) end = std::min(end, at);
    read_run(directories, end);
    read_inodes(read_run(inodes, directories));
    return std::move(squashfs_);
  }

 private:
  template <typename T>
  T number(std::uint64_t offset) const {  // zero outside of the image: nothing is there
    return load_number<T>(image_, offset).value_or(0);
  }

  bool read_super_block() {
    if (number<std::uint32_t>(0) != kMagic || number<std::uint16_t>(28) != 4) return false;
    const auto compressor = number<std::uint16_t>(20);
    switch (compressor) {
      case kCompressorGzip: form_ = StreamForm::kZlib; break;
      case kCompressorXz: form_ = StreamForm::kXz; break;
      case kCompressorZstd: form_ = StreamForm::kZstd; break;
      default: return false;
    }
    squashfs_.block_bytes = number<std::uint32_t>(12);
    return squashfs_.block_bytes >= 4096 && squashfs_.block_bytes <= kStreamTextBytesMax;
  }

  void add_stream(const SquashfsBlock& block, std::uint32_t text_bytes_max) {
    if (!block.is_compressed || block.bytes == 0 || block.offset > image_.size() ||
        block.bytes > image_.size() - block.offset || block.bytes > kStreamBytesMax)
      return;
    if (met_.insert(block.offset).second)
      squashfs_.streams.push_back({form_, {{block.offset, block.bytes}}, text_bytes_max});
  }

  // The metadata block at `at`, whose text is put behind `text`; where it ends, or 0. None is read
  // twice.
  std::uint64_t read_metadata(std::uint64_t at, Bytes& text) {
    const std::optional<std::uint16_t> header = load_number<std::uint16_t>(image_, at);
    if (!header || table_bytes_left_ < kMetadataBytes || !read_.insert(at).second) return 0;
    table_bytes_left_ -= kMetadataBytes;
    const SquashfsBlock block{at + 2, *header & 0x7fffu, (*header & 0x8000u) == 0};
    if (block.bytes == 0 || block.bytes > image_.size() - block.offset) return 0;
    const ByteSpan bytes = image_.subspan(block.offset, block.bytes);
    if (block.is_compressed) {
      const std::optional<Bytes> expanded = text_of_stream(form_, bytes, kMetadataBytes);
      if (!expanded) return 0;
      text.insert(text.end(), expanded->begin(), expanded->end());
      add_stream(block, kMetadataBytes);
    } else {
      text.insert(text.end(), bytes.begin(), bytes.end());
      plain_tables_.push_back(at);
    }
    return block.offset + block.bytes;
  }

  // Metadata blocks that follow each other.
  Bytes read_run(std::uint64_t at, std::uint64_t end) {
    Bytes text;
    while (at != 0 && at < end) at = read_metadata(at, text);
    return text;
  }

  // A table of which an index at `at` says where its blocks are.
  Bytes read_indexed(std::uint64_t at, std::uint64_t text_bytes) {
    Bytes text;
    for (std::uint64_t i = 0; i * kMetadataBytes < text_bytes; ++i) {
      const auto block = load_number<std::uint64_t>(image_, at > image_.size() ? at : at + 8 * i);
      if (!block || read_metadata(*block, text) == 0) break;
    }
    return text;
  }

  void add_fragment(ByteSpan fragments, std::uint64_t at) {
    const auto offset = load_number<std::uint64_t>(fragments, at);
    const auto size = load_number<std::uint32_t>(fragments, at + 8);
    if (!offset || !size) return;
    fragments_.push_back(block_of(*offset, *size));
    add_stream(fragments_.back(), squashfs_.block_bytes);
  }

  static SquashfsBlock block_of(std::uint64_t offset, std::uint32_t size) {
    return {offset, size & (kBlockIsPlain - 1), (size & kBlockIsPlain) == 0};
  }

  // One inode behind the other: each kind has its own length.
  void read_inodes(ByteSpan inodes) {
    for (std::uint64_t at = 0; at + 16 <= inodes.size();) {
      const auto get = [&](std::uint64_t offset) -> std::uint64_t {
        return load_number<std::uint32_t>(inodes, at + offset).value_or(0);
      };
      switch (load_number<std::uint16_t>(inodes, at).value_or(0)) {
        case 1: at += 32; break;
        case 2:
          at += 32 + read_file(inodes.subspan(at), {get(28), get(16), get(20), get(24), 32});
          break;
        case 3: at += 24 + get(20); break;
        case 4:
        case 5: at += 24; break;
        case 6:
        case 7: at += 20; break;
        case 8: at = directory_end(inodes, at); break;
        case 9:
          at += 56 + read_file(inodes.subspan(at), {get(24) | get(28) << 32,
                                                    get(16) | get(20) << 32, get(44), get(48), 56});
          break;
        case 10: at += 28 + get(20); break;
        case 11:
        case 12: at += 28; break;
        case 13:
        case 14: at += 24; break;
        default: return;
      }
    }
  }

  static std::uint64_t directory_end(ByteSpan inodes, std::uint64_t at) {
    const auto entries = load_number<std::uint16_t>(inodes, at + 32).value_or(0);
    std::uint64_t end = at + 40;
    for (std::uint32_t i = 0; i < entries && end < inodes.size(); ++i)
      end += 12 + std::uint64_t{load_number<std::uint32_t>(inodes, end + 8).value_or(0)} + 1;
    return end;
  }

  struct FileInode {
    std::uint64_t bytes;
    std::uint64_t blocks_offset;
    std::uint64_t fragment;
    std::uint64_t tail_offset;
    std::uint64_t header_bytes;
  };

  // Returns how many bytes the list of blocks behind the inode takes.
  std::uint64_t read_file(ByteSpan inode, const FileInode& of) {
    const std::uint64_t whole = of.bytes / squashfs_.block_bytes;
    const bool has_tail = of.fragment != kNoFragment;
    const std::uint64_t count =
        !has_tail && of.bytes % squashfs_.block_bytes != 0 ? whole + 1 : whole;
    SquashfsFile file;
    file.bytes = of.bytes;
    std::uint64_t offset = of.blocks_offset;
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto size = load_number<std::uint32_t>(inode, of.header_bytes + 4 * i);
      if (!size || blocks_left_ == 0) return inode.size();
      --blocks_left_;
      const SquashfsBlock block = block_of(offset, *size);
      add_stream(block, squashfs_.block_bytes);
      file.blocks.push_back(block);
      offset += block.bytes;
    }
    if (has_tail && of.fragment < fragments_.size()) {
      file.has_tail = true;
      file.blocks.push_back(fragments_[static_cast<std::size_t>(of.fragment)]);
      file.tail_offset = static_cast<std::uint32_t>(of.tail_offset);
    }
    if (!file.blocks.empty()) squashfs_.files.push_back(std::move(file));
    return 4 * count;
  }

  ByteSpan image_;
  std::uint64_t table_bytes_left_;
  std::uint64_t blocks_left_;
  std::unordered_set<std::uint64_t> read_;  // metadata blocks
  StreamForm form_ = StreamForm::kZlib;
  SquashfsImage squashfs_;
  std::vector<SquashfsBlock> fragments_;
  std::vector<std::uint64_t> plain_tables_;
  std::unordered_set<std::uint64_t> met_;
};

// Where a block's text is in the view; nothing where it is not.
std::optional<std::uint64_t> place_of(const SquashfsBlock& block, const ViewLayout& layout) {
  if (block.bytes == 0) return std::nullopt;
  const auto cut = layout.first_cut_behind(block.offset);
  const bool is_in_cut = cut != layout.cuts().end() && cut->image_offset <= block.offset;
  if (block.is_compressed != is_in_cut) return std::nullopt;
  if (!block.is_compressed) return layout.view_offset(block.offset);
  if (cut->image_offset != block.offset || cut->bytes != block.bytes) return std::nullopt;
  return cut->view_offset;
}

}  // namespace

std::optional<SquashfsImage> read_squashfs(ByteSpan image) {
  return SquashfsReader(image).read();
}

std::vector<ImageFile> squashfs_files(const SquashfsImage& squashfs, const ViewLayout& layout) {
  ImageFileList files(layout.view_bytes());
  for (const SquashfsFile& file : squashfs.files) {
    ImageFileBuilder builder(layout.view_bytes(), file.bytes);
    std::uint64_t at = 0;
    for (std::size_t i = 0; i < file.blocks.size(); ++i, at += squashfs.block_bytes) {
      const bool is_tail = file.has_tail && i + 1 == file.blocks.size();
      if (const auto place = place_of(file.blocks[i], layout); place && at < file.bytes)
        builder.add({*place + (is_tail ? file.tail_offset : 0), at,
                     std::min<std::uint64_t>(squashfs.block_bytes, file.bytes - at)});
    }
    if (auto made = std::move(builder).take()) files.add(std::move(*made));
  }
  return std::move(files).take();
}

}  // namespace layby::delta
