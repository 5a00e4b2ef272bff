// Region images: one directory, one deterministic ustar archive (docs/formats.md, "Region image").
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/disk.h"
#include "base/result.h"

namespace layby::manifest {

// The archive of a directory, as a view: nothing is copied. The directory must not change while the
// view lives; a file whose size changed is kIo. One thread at a time.
class RegionImage final : public ReadAt {
 public:
  // Reads names and sizes. kBadFormat for what a region may not hold: links, devices, control
  // characters in names; kTooLarge for names beyond ustar (100 characters, or 155 and 100 around a
  // `/`), files of 8 GiB and more, and more than kRegionEntriesMax entries.
  static Result<std::unique_ptr<RegionImage>> open(Disk& disk, const std::string& directory);
  ~RegionImage() override;

  std::uint64_t size() const override;
  Result<void> read_at(std::uint64_t offset, MutableByteSpan out) const override;

 private:
  struct State;
  explicit RegionImage(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Writes the archive's files into `directory`, which must be absent or empty, and syncs them all;
// afterwards RegionImage::open(directory) has the same bytes. Strict: kBadFormat for anything that
// the view would not have written itself, down to each byte of a header, so nothing can escape the
// directory. On an error the directory is left half filled: remove it. Memory: some hundred KiB,
// whatever the sizes.
Result<void> unpack_region_image(const ReadAt& image, Disk& disk, const std::string& directory);

}  // namespace layby::manifest
