#include "delta/find_streams.h"

#include <algorithm>
#include <string_view>

#include "delta/image_files.h"
#include "delta/residence.h"
#include "delta/squashfs_reader.h"
#include "delta/stopping.h"
#include "delta/stream_text.h"

namespace layby::delta {
namespace {

// Streams shorter than this cost about as much as they save.
constexpr std::size_t kStreamBytesMin = 64;
// Of an image: several times what a payload holds. Hostile ones have any number.
constexpr std::size_t kFoundMax = std::size_t{1} << 18;
// A longer file that stands in pieces, or has holes, is looked at piece by piece.
constexpr std::uint64_t kJoinedBytesMax = 64 * kMiB;
// What an attempt that shows at once costs: memory for its text is cleared.
constexpr std::uint64_t kAttemptCost = 512;

constexpr std::string_view kGzipBegin("\x1f\x8b\x08", 3);
constexpr std::size_t kGzipHeaderBytes = 10;
constexpr std::uint8_t kGzipHasChecksum = 2;
constexpr std::uint8_t kGzipHasExtra = 4;
constexpr std::uint8_t kGzipHasName = 8;
constexpr std::uint8_t kGzipHasComment = 16;
constexpr std::uint8_t kGzipReserved = 0xe0;
constexpr std::size_t kGzipTextBytesMax = 4096;  // of the name, and of the comment

// Local file headers of zip: APPNOTE.TXT, 4.3.7.
constexpr std::string_view kZipBegin("PK\x03\x04", 4);
constexpr std::size_t kZipHeaderBytes = 30;
constexpr std::uint16_t kZipDeflated = 8;
constexpr std::uint16_t kZipDescribedBehind = 8;  // CRC and sizes stand behind the stream

// Streams of one contents: an image that is no file system, or a file of one.
class ContentScanner {
 public:
  struct Found {
    StreamForm form;
    std::size_t offset;
    std::size_t bytes;
    std::uint32_t text_bytes;
  };

  // `fruitless_left`: bytes that may be looked at in, and made of, what turns out to be no stream.
  ContentScanner(ByteSpan content, std::uint64_t& fruitless_left)
      : content_(content), fruitless_left_(fruitless_left) {}

  std::vector<Found> scan() {
    const std::string_view text = as_text(content_);
    std::size_t gzip = find_in_windows(text, kGzipBegin, 0);
    std::size_t zip = find_in_windows(text, kZipBegin, 0);
    while ((gzip != std::string_view::npos || zip != std::string_view::npos) &&
           found_.size() < kFoundMax) {
      check_stop();
      const std::size_t at = std::min(gzip, zip);
      const std::size_t end = std::max(at + 1, at == gzip ? try_gzip(at) : try_zip(at));
      if (gzip < end) gzip = find_in_windows(text, kGzipBegin, end);
      if (zip < end) zip = find_in_windows(text, kZipBegin, end);
    }
    return std::move(found_);
  }

 private:
  // Where the member that begins at `at` ends; 0 if none does.
  std::size_t try_gzip(std::size_t at) {
    if (fruitless_left_ == 0) return 0;
    const std::size_t begin = gzip_header_end(at);
    if (begin == 0) return 0;
    const DeflateAttempt attempt = try_deflate(content_.subspan(begin), kStreamTextBytesMax);
    const std::size_t end = begin + attempt.stream_bytes;
    const std::size_t trailer = trailer_bytes(StreamForm::kGzip);
    if (attempt.stream_bytes == 0 || content_.size() - end < trailer ||
        load_u32(&content_[end]) != crc32(attempt.text) ||
        load_u32(&content_[end + 4]) != attempt.text.size()) {
      charge(attempt.text.size() + attempt.looked_at_bytes + kAttemptCost);
      return 0;
    }
    add({StreamForm::kGzip, begin, attempt.stream_bytes + trailer,
         static_cast<std::uint32_t>(attempt.text.size())});
    return end + trailer;
  }

  // Where the member of a zip that begins at `at` ends; 0 if none does, or it is stored otherwise.
  std::size_t try_zip(std::size_t at) {
    if (content_.size() - at < kZipHeaderBytes || fruitless_left_ == 0) return 0;
    const std::uint8_t* header = &content_[at];
    const std::size_t begin = at + kZipHeaderBytes + load_u16(header + 26) + load_u16(header + 28);
    if (load_u16(header + 8) != kZipDeflated || begin >= content_.size()) return 0;
    const DeflateAttempt attempt = try_deflate(content_.subspan(begin), kStreamTextBytesMax);
    const bool is_described = (load_u16(header + 6) & kZipDescribedBehind) == 0;
    if (attempt.stream_bytes == 0 ||
        (is_described && load_u32(header + 14) != crc32(attempt.text))) {
      charge(attempt.text.size() + attempt.looked_at_bytes + kAttemptCost);
      return 0;
    }
    add({StreamForm::kDeflate, begin, attempt.stream_bytes,
         static_cast<std::uint32_t>(attempt.text.size())});
    return begin + attempt.stream_bytes;
  }

  // RFC 1952, 2.3. 0 for what is no header.
  std::size_t gzip_header_end(std::size_t at) {
    if (content_.size() - at < kGzipHeaderBytes) return 0;
    const std::uint8_t flags = content_[at + 3];
    if ((flags & kGzipReserved) != 0) return 0;
    at += kGzipHeaderBytes;
    if ((flags & kGzipHasExtra) != 0) {
      if (content_.size() - at < 2) return 0;
      const std::size_t bytes = load_u16(&content_[at]);
      if (content_.size() - at - 2 < bytes) return 0;
      at += 2 + bytes;
    }
    for (const std::uint8_t text : {kGzipHasName, kGzipHasComment}) {
      if ((flags & text) == 0) continue;
      const ByteSpan rest = content_.subspan(at, std::min(content_.size() - at, kGzipTextBytesMax));
      const auto end = std::find(rest.begin(), rest.end(), std::uint8_t{0});
      const auto bytes = static_cast<std::size_t>(end - rest.begin());
      charge(bytes);
      if (end == rest.end()) return 0;
      at += bytes + 1;
    }
    if ((flags & kGzipHasChecksum) != 0) at += 2;
    return at < content_.size() ? at : 0;
  }

  void charge(std::uint64_t bytes) {
    fruitless_left_ -= std::min<std::uint64_t>(fruitless_left_, bytes);
  }

  void add(const Found& found) {
    if (found.bytes >= kStreamBytesMin && found.text_bytes > 0) found_.push_back(found);
  }

  ByteSpan content_;
  std::uint64_t& fruitless_left_;
  std::vector<Found> found_;
};

class ImageScanner {
 public:
  explicit ImageScanner(ByteSpan image)
      : image_(image),
        fruitless_left_(4 * std::uint64_t{image.size()} + kStreamTextBytesMax),
        holes_left_(image.size()) {}

  std::vector<FoundStream> scan() {
    if (auto squashfs = read_squashfs(image_)) {
      found_ = std::move(squashfs->streams);
      drop_overlapping();
      return std::move(found_);
    }
    const auto files = find_image_files(image_);
    return scan_files(files ? *files
                            : std::vector{ImageFile{image_.size(), {{0, 0, image_.size()}}}});
  }

  std::vector<FoundStream> scan_files(const std::vector<ImageFile>& files) {
    for (const ImageFile& file : files) scan_file(file);
    drop_overlapping();
    return std::move(found_);
  }

 private:
  void scan_file(const ImageFile& file) {
    check_stop();
    const bool is_whole = file.extents.size() == 1 && file.extents[0].bytes == file.bytes;
    if (!is_whole && file.bytes > kJoinedBytesMax) {
      for (const FileExtent& extent : file.extents)
        scan_file({extent.bytes, {{extent.image_offset, 0, extent.bytes}}});
      return;
    }
    ByteSpan content;
    Bytes joined;
    if (is_whole) {
      content = image_.subspan(file.extents[0].image_offset, file.bytes);
    } else {
      std::uint64_t stored = 0;
      for (const FileExtent& extent : file.extents) stored += extent.bytes;
      const std::uint64_t holes = file.bytes - std::min(file.bytes, stored);
      if (holes > holes_left_) return;
      holes_left_ -= holes;
      joined.resize(file.bytes);
      if (!read_file(image_, file, 0, joined)) return;
      content = joined;
    }
    for (const ContentScanner::Found& found : ContentScanner(content, fruitless_left_).scan()) {
      FoundStream stream{found.form, pieces_of(file, found), found.text_bytes};
      if (!stream.pieces.empty() && found_.size() < kFoundMax) found_.push_back(std::move(stream));
    }
  }

  // Nothing where a hole is part of the stream.
  static std::vector<StreamPiece> pieces_of(const ImageFile& file,
                                            const ContentScanner::Found& found) {
    std::vector<StreamPiece> pieces;
    std::uint64_t at = found.offset;
    const std::uint64_t end = found.offset + found.bytes;
    auto extent =
        std::partition_point(file.extents.begin(), file.extents.end(),
                             [at](const FileExtent& before) { return before.file_end() <= at; });
    for (; at < end; ++extent) {
      if (extent == file.extents.end() || extent->file_offset > at) return {};
      const std::uint64_t until = std::min(end, extent->file_end());
      pieces.push_back({extent->image_offset + (at - extent->file_offset),
                        static_cast<std::uint32_t>(until - at)});
      at = until;
    }
    return pieces;
  }

  // Files of a damaged image may claim the same bytes: the first one has them.
  void drop_overlapping() {
    std::stable_sort(found_.begin(), found_.end(), [](const FoundStream& a, const FoundStream& b) {
      return a.pieces.front().offset < b.pieces.front().offset;
    });
    struct Owned {
      StreamPiece piece;
      std::size_t stream;
    };
    std::vector<Owned> owned;
    for (std::size_t i = 0; i < found_.size(); ++i)
      for (const StreamPiece& piece : found_[i].pieces) owned.push_back({piece, i});
    std::sort(owned.begin(), owned.end(), [](const Owned& a, const Owned& b) {
      return std::pair(a.piece.offset, a.stream) < std::pair(b.piece.offset, b.stream);
    });
    std::vector<bool> is_dropped(found_.size(), false);
    std::uint64_t end = 0;
    for (const Owned& of : owned) {
      if (of.piece.offset < end) is_dropped[of.stream] = true;
      end = std::max(end, of.piece.end());
    }
    std::size_t at = 0;
    std::erase_if(found_, [&](const FoundStream&) { return is_dropped[at++]; });
  }

  ByteSpan image_;
  std::uint64_t fruitless_left_;
  std::uint64_t holes_left_;  // bytes of all files that need be stored nowhere
  std::vector<FoundStream> found_;
};

}  // namespace

std::vector<FoundStream> find_streams(ByteSpan image) {
  return ImageScanner(image).scan();
}

std::vector<FoundStream> find_inner_streams(ByteSpan image, ByteSpan view,
                                            const ViewLayout& layout) {
  std::vector<ImageFile> files;
  if (const auto squashfs = read_squashfs(image)) {
    files = squashfs_files(*squashfs, layout);
  } else {
    for (const ViewLayout::Cut& cut : layout.cuts())
      if (cut.text_bytes != 0)
        files.push_back({cut.text_bytes, {{cut.view_offset, 0, cut.text_bytes}}});
  }
  std::vector<FoundStream> found = ImageScanner(view).scan_files(files);
  std::erase_if(found, [](const FoundStream& stream) {
    std::uint64_t bytes = 0;
    for (const StreamPiece& piece : stream.pieces) bytes += piece.bytes;
    return bytes > kInnerStreamBytesMax;
  });
  return found;
}

Bytes join_pieces(ByteSpan image, std::span<const StreamPiece> pieces) {
  Bytes bytes;
  for (const StreamPiece& piece : pieces) {
    const ByteSpan from = image.subspan(piece.offset, piece.bytes);
    bytes.insert(bytes.end(), from.begin(), from.end());
  }
  return bytes;
}

}  // namespace layby::delta
