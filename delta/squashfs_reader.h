// SquashFS 4.0, as far as its blocks and regular files go: gzip, xz and zstd alone. Encoder only:
// an image comes from outside, so nothing in it is believed. Source: the Linux kernel's
// documentation (Documentation/filesystems/squashfs.rst) and its header fs/squashfs/squashfs_fs.h.
#pragma once

#include <optional>
#include <vector>

#include "delta/find_streams.h"
#include "delta/image_files.h"

namespace layby::delta {

struct SquashfsBlock {
  std::uint64_t offset = 0;
  std::uint32_t bytes = 0;  // 0: zeros that are stored nowhere
  bool is_compressed = false;
};

struct SquashfsFile {
  std::uint64_t bytes = 0;
  std::vector<SquashfsBlock> blocks;  // the last one may be a tail in a fragment
  bool has_tail = false;
  std::uint32_t tail_offset = 0;  // in the fragment's text
};

struct SquashfsImage {
  std::uint32_t block_bytes = 0;
  std::vector<FoundStream> streams;  // in no order; no two begin at the same offset
  std::vector<SquashfsFile> files;
};

// Nothing where the image is another file system or damaged where it matters to all files.
std::optional<SquashfsImage> read_squashfs(ByteSpan image);

// The files as they stand in a view of the image, blocks that are not listed being holes.
std::vector<ImageFile> squashfs_files(const SquashfsImage& squashfs, const ViewLayout& layout);

}  // namespace layby::delta
