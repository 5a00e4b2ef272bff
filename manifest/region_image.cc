#include "manifest/region_image.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/assert.h"
#include "base/limits.h"

namespace layby::manifest {
namespace {

constexpr std::size_t kBlock = 512;
constexpr std::size_t kEndBytes = 2 * kBlock;
constexpr std::size_t kCopyBytes = 256 * kKiB;
constexpr std::size_t kOpenFilesMax = 4;
constexpr std::uint64_t kFileBytesMax = 077777777777;  // 11 octal digits: 8 GiB - 1

using Block = std::array<std::uint8_t, kBlock>;

// Fields of a ustar header (POSIX.1-1988, 10.1.1): offset and length.
struct Field {
  std::size_t at;
  std::size_t length;
};
constexpr Field kName{0, 100};
constexpr Field kMode{100, 8};
constexpr Field kUid{108, 8};
constexpr Field kGid{116, 8};
constexpr Field kSize{124, 12};
constexpr Field kMtime{136, 12};
constexpr Field kChecksum{148, 8};
constexpr std::size_t kTypeAt = 156;
constexpr Field kMagicAndVersion{257, 8};
constexpr Field kDeviceMajor{329, 8};
constexpr Field kDeviceMinor{337, 8};
constexpr Field kPrefix{345, 155};

enum class EntryKind { kFile, kDirectory };

struct Entry {
  std::string path;  // without a slash at either end
  EntryKind kind;
  std::uint64_t bytes;   // of the file; 0 for a directory
  std::uint64_t offset;  // of its header in the archive

  std::uint64_t padded_end() const {
    return offset + kBlock + (bytes + kBlock - 1) / kBlock * kBlock;
  }
};

void put_text(Block& block, Field field, std::string_view text) {
  LAYBY_ASSERT(text.size() <= field.length);
  std::copy(text.begin(), text.end(), block.begin() + static_cast<std::ptrdiff_t>(field.at));
}

// Octal digits with leading zeros, and NUL.
void put_octal(Block& block, Field field, std::uint64_t value) {
  put_text(block, {field.at, field.length}, fmt::format("{:0{}o}", value, field.length - 1));
}

std::string_view text_of(const Block& block, Field field) {
  const auto* from = reinterpret_cast<const char*>(block.data()) + field.at;
  return {from, ::strnlen(from, field.length)};
}

struct SplitName {
  std::string_view prefix;
  std::string_view name;
};

// Up to 100 characters stand in the name; of more, as many as can go to the prefix, up to a slash.
Result<SplitName> split_name(std::string_view path) {
  if (path.size() <= kName.length) return SplitName{{}, path};
  // The slash at the end of a directory separates nothing.
  const std::string_view splittable = path.substr(0, std::min(path.size() - 1, kPrefix.length + 1));
  const auto slash = splittable.rfind('/');
  if (slash == std::string_view::npos || slash == 0 || path.size() - slash - 1 > kName.length)
    return fail(ErrorCode::kTooLarge,
                "{}: a path has at most 100 characters, or 155 and 100 around a '/'", path);
  return SplitName{path.substr(0, slash), path.substr(slash + 1)};
}

// The one header that this entry has.
Result<Block> make_header(std::string_view path, EntryKind kind, std::uint64_t bytes) {
  const bool directory = kind == EntryKind::kDirectory;
  const std::string listed = directory ? fmt::format("{}/", path) : std::string(path);
  const SplitName split = TRY(split_name(listed));
  Block block{};
  put_text(block, kName, split.name);
  put_text(block, kPrefix, split.prefix);
  put_octal(block, kMode, directory ? 0755 : 0644);
  put_octal(block, kUid, 0);
  put_octal(block, kGid, 0);
  put_octal(block, kSize, bytes);
  put_octal(block, kMtime, 0);
  put_octal(block, kDeviceMajor, 0);
  put_octal(block, kDeviceMinor, 0);
  block[kTypeAt] = directory ? '5' : '0';
  put_text(block, kMagicAndVersion, std::string_view("ustar\00000", 8));
  put_text(block, kChecksum, "        ");  // counts as blanks in its own sum
  unsigned sum = 0;
  for (const std::uint8_t byte : block) sum += byte;
  put_text(block, kChecksum, fmt::format("{:06o}", sum));
  block[kChecksum.at + 6] = 0;
  return block;
}

Result<void> check_component(std::string_view component, std::string_view path) {
  const bool control = std::ranges::any_of(component, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
  if (component.empty() || component == "." || component == ".." || control)
    return fail(ErrorCode::kBadFormat, "\"{}\" is no path within a region", path);
  return {};
}

Result<void> check_path(std::string_view path) {
  std::string_view rest = path;
  for (;;) {
    const auto slash = rest.find('/');
    TRY_VOID(check_component(rest.substr(0, slash), path));
    if (slash == std::string_view::npos) return {};
    rest.remove_prefix(slash + 1);
  }
}

Result<Entry> look_at(Disk& disk, const std::string& directory, std::string path) {
  TRY_VOID(check_path(path));
  const FileStatus status = TRY(disk.status(directory + "/" + path));
  switch (status.kind) {
    case FileStatus::Kind::kFile:
      if (status.size > kFileBytesMax)
        return fail(ErrorCode::kTooLarge, "{}: a file of a region has less than 8 GiB", path);
      TRY_VOID(make_header(path, EntryKind::kFile, status.size));
      return Entry{std::move(path), EntryKind::kFile, status.size, 0};
    case FileStatus::Kind::kDirectory:
      TRY_VOID(make_header(path, EntryKind::kDirectory, 0));
      return Entry{std::move(path), EntryKind::kDirectory, 0, 0};
    case FileStatus::Kind::kSymlink:
    case FileStatus::Kind::kOther: break;
  }
  return fail(ErrorCode::kBadFormat, "{}: a region holds files and directories only", path);
}

// Everything below `directory`, sorted by path, with offsets.
Result<std::vector<Entry>> scan(Disk& disk, const std::string& directory) {
  std::vector<Entry> entries;
  std::vector<std::string> to_visit = {""};
  while (!to_visit.empty()) {
    const std::string at = std::move(to_visit.back());
    to_visit.pop_back();
    for (const std::string& name : TRY(disk.list(at.empty() ? directory : directory + "/" + at))) {
      if (entries.size() == kRegionEntriesMax)
        return fail(ErrorCode::kTooLarge, "{}: a region has at most {} files and directories",
                    directory, kRegionEntriesMax);
      entries.push_back(TRY(look_at(disk, directory, at.empty() ? name : at + "/" + name)));
      if (entries.back().kind == EntryKind::kDirectory) to_visit.push_back(entries.back().path);
    }
  }
  std::ranges::sort(entries, {}, &Entry::path);
  std::uint64_t offset = 0;
  for (Entry& entry : entries) {
    entry.offset = offset;
    offset = entry.padded_end();
  }
  return entries;
}

}  // namespace

struct RegionImage::State {
  Disk& disk;
  std::string directory;
  std::vector<Entry> entries;
  std::uint64_t size;

  // The files last read, newest last.
  struct OpenFile {
    std::size_t entry;
    std::unique_ptr<ReadAt> file;
  };
  std::vector<OpenFile> open_files;

  Result<const ReadAt*> file_of(std::size_t index) {
    const auto at = std::ranges::find(open_files, index, &OpenFile::entry);
    if (at != open_files.end()) {
      std::rotate(at, at + 1, open_files.end());
      return open_files.back().file.get();
    }
    const Entry& entry = entries[index];
    auto file = TRY(disk.open_read(directory + "/" + entry.path));
    if (file->size() != entry.bytes)
      return fail(ErrorCode::kIo, "{}/{}: its size changed while it was read", directory,
                  entry.path);
    if (open_files.size() == kOpenFilesMax) open_files.erase(open_files.begin());
    open_files.push_back({index, std::move(file)});
    return open_files.back().file.get();
  }

  // Fills the beginning of `out` from within one part of one entry; how much it filled.
  Result<std::size_t> read_some(std::uint64_t offset, MutableByteSpan out) {
    const auto after = std::ranges::upper_bound(entries, offset, {}, &Entry::offset);
    const bool within = after != entries.begin() && offset < std::prev(after)->padded_end();
    if (!within) {  // the end of the archive
      std::ranges::fill(out, std::uint8_t{0});
      return out.size();
    }
    const auto entry = std::prev(after);
    const std::uint64_t at = offset - entry->offset;
    if (at < kBlock) {
      const Block header = TRY(make_header(entry->path, entry->kind, entry->bytes));
      const auto count = std::min<std::size_t>(kBlock - at, out.size());
      std::copy_n(header.begin() + static_cast<std::ptrdiff_t>(at), count, out.begin());
      return count;
    }
    const std::uint64_t in_file = at - kBlock;
    if (in_file < entry->bytes) {
      const auto count =
          static_cast<std::size_t>(std::min<std::uint64_t>(entry->bytes - in_file, out.size()));
      const auto index = static_cast<std::size_t>(entry - entries.begin());
      TRY_VOID(TRY(file_of(index))->read_at(in_file, out.first(count)));
      return count;
    }
    const auto count =
        static_cast<std::size_t>(std::min<std::uint64_t>(entry->padded_end() - offset, out.size()));
    std::ranges::fill(out.first(count), std::uint8_t{0});
    return count;
  }
};

RegionImage::RegionImage(std::unique_ptr<State> state) : state_(std::move(state)) {}
RegionImage::~RegionImage() = default;

Result<std::unique_ptr<RegionImage>> RegionImage::open(Disk& disk, const std::string& directory) {
  auto entries = TRY(scan(disk, directory));
  const std::uint64_t size = (entries.empty() ? 0 : entries.back().padded_end()) + kEndBytes;
  return std::unique_ptr<RegionImage>(new RegionImage(
      std::unique_ptr<State>(new State{disk, directory, std::move(entries), size, {}})));
}

std::uint64_t RegionImage::size() const {
  return state_->size;
}

Result<void> RegionImage::read_at(std::uint64_t offset, MutableByteSpan out) const {
  if (offset > state_->size || out.size() > state_->size - offset)
    return fail(ErrorCode::kIo, "{}: {} bytes at {} reach past the end of the image at {}",
                state_->directory, out.size(), offset, state_->size);
  while (!out.empty()) {
    const std::size_t count = TRY(state_->read_some(offset, out));
    out = out.subspan(count);
    offset += count;
  }
  return {};
}

namespace {

class Unpacker {
 public:
  Unpacker(const ReadAt& image, Disk& disk, const std::string& directory)
      : image_(image), disk_(disk), directory_(directory) {}

  Result<void> run() {
    TRY_VOID(start());
    std::size_t count = 0;
    for (;;) {
      Block header;
      TRY_VOID(read(header));
      if (header == Block{}) break;
      if (++count > kRegionEntriesMax)
        return fail(ErrorCode::kTooLarge, "a region has at most {} files and directories",
                    kRegionEntriesMax);
      const Entry entry = TRY(read_entry(header));
      switch (entry.kind) {
        case EntryKind::kDirectory: TRY_VOID(disk_.make_dirs(target(entry))); break;
        case EntryKind::kFile: TRY_VOID(copy_file(entry)); break;
      }
      previous_ = entry.path;
    }
    Block last;
    TRY_VOID(read(last));
    if (last != Block{} || at_ != image_.size())
      return fail(ErrorCode::kBadFormat, "a region image ends with two blocks of zeros");
    return finish();
  }

 private:
  std::string target(const Entry& entry) const { return directory_ + "/" + entry.path; }

  Result<void> start() {
    if (auto status = disk_.status(directory_); !status) {
      if (status.error().code() != ErrorCode::kNotFound) return fail(status.error());
      return disk_.make_dirs(directory_);
    } else if (status->kind != FileStatus::Kind::kDirectory) {
      return fail(ErrorCode::kInvalidArgument, "{} is not a directory", directory_);
    }
    if (!TRY(disk_.list(directory_)).empty())
      return fail(ErrorCode::kInvalidArgument, "{} is not empty", directory_);
    return {};
  }

  Result<void> read(MutableByteSpan out) {
    if (out.size() > image_.size() - at_)
      return fail(ErrorCode::kBadFormat, "the region image ends at {}, in the middle",
                  image_.size());
    TRY_VOID(image_.read_at(at_, out));
    at_ += out.size();
    return {};
  }

  // Reads what the header claims, and believes it only if it is the very header that this claim
  // has: every byte is covered.
  Result<Entry> read_entry(const Block& header) {
    const auto refuse = [&](std::string_view why) {
      return fail(ErrorCode::kBadFormat, "region image at {}: {}", at_ - kBlock, why);
    };
    const std::string_view prefix = text_of(header, kPrefix);
    std::string path(prefix);
    if (!prefix.empty()) path += '/';
    path += text_of(header, kName);
    Entry entry{std::move(path), EntryKind::kFile, 0, at_ - kBlock};
    if (header[kTypeAt] == '5') {
      entry.kind = EntryKind::kDirectory;
      if (!entry.path.ends_with('/')) return refuse("a directory without '/'");
      entry.path.pop_back();
    } else if (header[kTypeAt] != '0') {
      return refuse("neither a file nor a directory");
    }
    for (const char digit : text_of(header, kSize)) {
      if (digit < '0' || digit > '7') return refuse("a size that is none");
      entry.bytes = entry.bytes * 8 + static_cast<std::uint64_t>(digit - '0');
    }
    TRY_VOID(check_path(entry.path));
    if (entry.kind == EntryKind::kDirectory && entry.bytes != 0)
      return refuse("a directory with contents");
    if (entry.bytes > kFileBytesMax) return refuse("a size that is none");
    const auto canonical = make_header(entry.path, entry.kind, entry.bytes);
    if (!canonical || *canonical != header) return refuse("not the header that this entry has");
    if (entry.path <= previous_) return refuse("not sorted by path, or twice the same");
    TRY_VOID(check_parent(entry));
    return entry;
  }

  // We began with an empty directory, so whatever is there now was listed before.
  Result<void> check_parent(const Entry& entry) {
    const auto slash = entry.path.rfind('/');
    if (slash == std::string::npos) return {};
    const auto parent = disk_.status(directory_ + "/" + entry.path.substr(0, slash));
    if (!parent || parent->kind != FileStatus::Kind::kDirectory)
      return fail(ErrorCode::kBadFormat, "{}: its directory is not listed before it", entry.path);
    return {};
  }

  Result<void> copy_file(const Entry& entry) {
    const std::uint64_t padded = entry.padded_end() - at_;
    if (padded > image_.size() - at_)
      return fail(ErrorCode::kBadFormat, "{}: reaches past the end of the image", entry.path);
    const auto file = TRY(disk_.open_write(target(entry)));
    for (std::uint64_t done = 0; done < entry.bytes;) {
      buffer_.resize(
          static_cast<std::size_t>(std::min<std::uint64_t>(kCopyBytes, entry.bytes - done)));
      TRY_VOID(read(buffer_));
      TRY_VOID(file->write_at(done, buffer_));
      done += buffer_.size();
    }
    buffer_.resize(static_cast<std::size_t>(padded - entry.bytes));
    TRY_VOID(read(buffer_));
    if (std::ranges::any_of(buffer_, [](std::uint8_t byte) { return byte != 0; }))
      return fail(ErrorCode::kBadFormat, "{}: not padded with zeros", entry.path);
    return file->sync();
  }

  // The names must survive a power cut as well.
  Result<void> finish() {
    const auto entries = TRY(scan(disk_, directory_));
    for (const Entry& entry : entries)
      if (entry.kind == EntryKind::kDirectory) TRY_VOID(disk_.sync_dir(target(entry)));
    TRY_VOID(disk_.sync_dir(directory_));
    return disk_.sync_dir(parent_dir(directory_));
  }

  const ReadAt& image_;
  Disk& disk_;
  const std::string& directory_;
  std::uint64_t at_ = 0;
  std::string previous_;
  Bytes buffer_;
};

}  // namespace

Result<void> unpack_region_image(const ReadAt& image, Disk& disk, const std::string& directory) {
  return Unpacker(image, disk, directory).run();
}

}  // namespace layby::manifest
