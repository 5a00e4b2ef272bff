#include "delta/image_files.h"

#include <algorithm>

#include "delta/image_layouts.h"
#include "delta/squashfs_reader.h"

namespace layby::delta {

void ImageFileBuilder::add(const FileExtent& extent) {
  if (extent.file_offset >= file_.bytes || file_.extents.size() == kFileExtentsMax) return;
  FileExtent kept = extent;
  kept.bytes = std::min(kept.bytes, file_.bytes - kept.file_offset);
  if (kept.bytes == 0 || kept.image_offset > image_bytes_ ||
      kept.bytes > image_bytes_ - kept.image_offset)
    return;
  file_.extents.push_back(kept);
}

std::optional<ImageFile> ImageFileBuilder::take() && {
  auto& extents = file_.extents;
  std::sort(extents.begin(), extents.end(),
            [](const FileExtent& a, const FileExtent& b) { return a.file_offset < b.file_offset; });
  std::vector<FileExtent> merged;
  for (const FileExtent& extent : extents) {
    if (!merged.empty()) {
      FileExtent& last = merged.back();
      if (extent.file_offset < last.file_end()) return std::nullopt;
      if (extent.file_offset == last.file_end() &&
          extent.image_offset == last.image_offset + last.bytes) {
        last.bytes += extent.bytes;
        continue;
      }
    }
    merged.push_back(extent);
  }
  extents = std::move(merged);
  return std::move(file_);
}

void ImageFileList::add(ImageFile file) {
  std::uint64_t stored = 0;
  for (const FileExtent& extent : file.extents) stored += extent.bytes;
  if (stored == 0 || stored > bytes_left_ || file.extents.size() > extents_left_) return;
  bytes_left_ -= stored;
  extents_left_ -= file.extents.size();
  files_.push_back(std::move(file));
}

std::optional<std::vector<ImageFile>> find_image_files(ByteSpan image) {
  if (auto files = find_ext4_files(image)) return files;
  return find_erofs_files(image);
}

namespace {

// Where the extents are in the view, without what is in streams.
void move_to_view(const ViewLayout& layout, ImageFile& file) {
  std::vector<FileExtent> moved;
  for (const FileExtent& extent : file.extents) {
    const std::uint64_t end = extent.image_offset + extent.bytes;
    std::uint64_t at = extent.image_offset;
    const auto add_until = [&](std::uint64_t until) {
      if (at >= until) return;
      moved.push_back(
          {layout.view_offset(at), extent.file_offset + (at - extent.image_offset), until - at});
    };
    for (auto cut = layout.first_cut_behind(at);
         cut != layout.cuts().end() && cut->image_offset < end; ++cut) {
      add_until(cut->image_offset);
      at = cut->image_end();
    }
    add_until(end);
  }
  file.extents = std::move(moved);
}

void move_to_view(const ViewLayout& layout, std::vector<ImageFile>& files) {
  if (!layout.has_streams()) return;
  for (ImageFile& file : files) move_to_view(layout, file);
  std::erase_if(files, [](const ImageFile& file) { return file.extents.empty(); });
}

}  // namespace

std::optional<std::vector<ImageFile>> find_files_in_view(const ViewedImage& image) {
  std::optional<std::vector<ImageFile>> files;
  if (const auto squashfs = read_squashfs(image.image)) {
    files = squashfs_files(*squashfs, image.layers.outer);
  } else {
    files = find_image_files(image.image);
    if (files) move_to_view(image.layers.outer, *files);
  }
  if (files) move_to_view(image.layers.inner, *files);
  return files;
}

bool read_file(ByteSpan image, const ImageFile& file, std::uint64_t offset, MutableByteSpan out) {
  if (offset > file.bytes || out.size() > file.bytes - offset) return false;
  std::fill(out.begin(), out.end(), std::uint8_t{0});
  const std::uint64_t end = offset + out.size();
  auto extent = std::partition_point(
      file.extents.begin(), file.extents.end(),
      [offset](const FileExtent& before) { return before.file_end() <= offset; });
  for (; extent != file.extents.end() && extent->file_offset < end; ++extent) {
    const std::uint64_t from = std::max(offset, extent->file_offset);
    const std::uint64_t to = std::min(end, extent->file_end());
    const std::uint64_t at = extent->image_offset + (from - extent->file_offset);
    std::copy_n(image.begin() + static_cast<std::ptrdiff_t>(at), to - from,
                out.begin() + static_cast<std::ptrdiff_t>(from - offset));
  }
  return true;
}

}  // namespace layby::delta
