// Finds where the regular files of a file system image stand, so that what is in them can be
// understood although an image stores a file in pieces and leaves blocks of zeros out. Encoder
// only: images come from outside, so nothing in one is believed and all work is bounded by its
// size.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "delta/view_layout.h"

namespace layby::delta {

struct FileExtent {
  std::uint64_t image_offset = 0;
  std::uint64_t file_offset = 0;
  std::uint64_t bytes = 0;

  std::uint64_t file_end() const { return file_offset + bytes; }
};

// A file as its image stores it. What no extent holds is zeros.
struct ImageFile {
  std::uint64_t bytes = 0;
  // In order of the file offset, without overlap, inside the file and inside the image.
  std::vector<FileExtent> extents;
};

// The regular files of the ext4 or EROFS file system that the image is, empty ones left out. All
// their extents together are no longer than the image: where a damaged image says otherwise, or
// has more than 2^20 of them, files are missing. Nothing where the image is no such file system.
std::optional<std::vector<ImageFile>> find_image_files(ByteSpan image);

// An image, and the view of it in which things are looked for.
struct ViewedImage {
  ByteSpan image;
  ByteSpan view;
  ViewLayers layers;
};

// The same with extents of the view; what of a file is a listed stream, compressed, is a hole in
// it.
std::optional<std::vector<ImageFile>> find_files_in_view(const ViewedImage& image);

// Puts the file's bytes from `offset` on into `out`. False where the file ends before.
bool read_file(ByteSpan image, const ImageFile& file, std::uint64_t offset, MutableByteSpan out);

}  // namespace layby::delta
