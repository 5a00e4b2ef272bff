// The file systems that `find_image_files` knows, and what reading them has in common. One .cc file
// each: ext4_files.cc, erofs_files.cc.
#pragma once

#include <cstring>

#include "delta/image_files.h"

namespace layby::delta {

// Nothing where the image is another file system, or damaged where it matters to all files.
std::optional<std::vector<ImageFile>> find_ext4_files(ByteSpan image);
std::optional<std::vector<ImageFile>> find_erofs_files(ByteSpan image);

// The little-endian number of type T at an offset that may be anything.
template <typename T>
std::optional<T> load_number(ByteSpan image, std::uint64_t offset) {
  if (offset > image.size() || image.size() - offset < sizeof(T)) return std::nullopt;
  T number = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i)
    number |= static_cast<T>(static_cast<T>(image[static_cast<std::size_t>(offset) + i]) << 8 * i);
  return number;
}

// Takes the extents of a file as they come, in any order, and makes a file of them.
class ImageFileBuilder {
 public:
  ImageFileBuilder(std::uint64_t image_bytes, std::uint64_t file_bytes)
      : image_bytes_(image_bytes) {
    file_.bytes = file_bytes;
  }
  // Cut to the file's end. Extents outside the image are left out, as if they were zeros.
  void add(const FileExtent& extent);
  // Nothing where the extents overlap.
  std::optional<ImageFile> take() &&;

 private:
  std::uint64_t image_bytes_;
  ImageFile file_;
};

// Of all files of an image, and of one: more would take the encoder too much memory.
constexpr std::size_t kFileExtentsMax = std::size_t{1} << 20;

// Keeps files as long as their extents together are no longer than the image, and not too many.
class ImageFileList {
 public:
  explicit ImageFileList(std::uint64_t image_bytes) : bytes_left_(image_bytes) {}
  void add(ImageFile file);
  std::vector<ImageFile> take() && { return std::move(files_); }

 private:
  std::uint64_t bytes_left_;
  std::size_t extents_left_ = kFileExtentsMax;
  std::vector<ImageFile> files_;
};

}  // namespace layby::delta
