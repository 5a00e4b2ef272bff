#include "delta/elf_ranges.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "crypto/digest.h"
#include "delta/elf_reader.h"
#include "delta/residence.h"
#include "delta/seeds.h"
#include "delta/stopping.h"

namespace layby::delta {
namespace {

constexpr std::string_view kIdentity(
    "\x7f"
    "ELF\x02\x01\x01",
    7);
constexpr std::uint64_t kVoteStepBytes = 64;
constexpr std::size_t kVotesMax = 4096;

// Executables of an image that are looked at: more than a payload could ever name, and no more
// memory than a few of the encoder's MiB, however many there are.
constexpr std::size_t kFilesMax = 4 * kModulesMax;

std::vector<ElfFile> find_in_file_system(ByteSpan image, std::vector<ImageFile> stored) {
  std::vector<ElfFile> files;
  for (ImageFile& file : stored) {
    check_stop();
    if (files.size() == kFilesMax) break;
    if (std::optional<ElfFile> elf = read_elf(image, std::move(file)); elf && !elf->ranges.empty())
      files.push_back(std::move(*elf));
  }
  return files;
}

// Whatever begins like a file and is none, before an image is given up: each may cost a look at
// thousands of sections.
constexpr std::size_t kOthersMax = 4096;

// In archives and unknown file systems files stand in one piece, wherever they begin.
std::vector<ElfFile> find_anywhere(ByteSpan image) {
  const std::string_view text(reinterpret_cast<const char*>(image.data()), image.size());
  std::vector<ElfFile> files;
  std::size_t at = 0;
  std::size_t others = 0;
  while (others < kOthersMax && files.size() < kFilesMax &&
         (at = find_in_windows(text, kIdentity, at)) != std::string_view::npos) {
    check_stop();
    const std::uint64_t left = image.size() - at;
    std::optional<ElfFile> elf = read_elf(image, {left, {{at, 0, left}}});
    if (elf && !elf->ranges.empty()) {
      at += std::max<std::size_t>(1, static_cast<std::size_t>(elf->file.bytes));
      files.push_back(std::move(*elf));
    } else {
      ++at;
      ++others;
    }
  }
  return files;
}

std::vector<ElfFile> find_files(const ViewedImage& image) {
  if (auto stored = find_files_in_view(image)) {
    std::vector<ElfFile> files = find_in_file_system(image.view, std::move(*stored));
    if (!files.empty()) return files;
  }
  return find_anywhere(image.view);
}

// What tells contents apart. Holes count by the file's size alone: who confuses two files so loses
// payload bytes, no more.
struct Content {
  std::uint64_t bytes = 0;
  crypto::Digest256 digest{};

  auto operator<=>(const Content&) const = default;
};

Content content_of(const ElfFile& elf, ByteSpan image) {
  crypto::Hasher hasher(crypto::Hasher::With::kSha256);
  for (const FileExtent& extent : elf.file.extents)
    for_each_window(image.subspan(extent.image_offset, extent.bytes),
                    [&hasher](ByteSpan window) { hasher.update(window); });
  return {elf.file.bytes, hasher.finish().sha256};
}

// Which files of the base the target's one resembles, by blocks that both have.
class Resemblance {
 public:
  Resemblance(ByteSpan base, const std::vector<ElfFile>& files, std::uint64_t table_bytes_max) {
    for (std::size_t i = 0; i < files.size(); ++i)
      for (const FileExtent& extent : files[i].file.extents)
        places_.push_back({extent.image_offset, extent.bytes, i});
    std::sort(places_.begin(), places_.end(),
              [](const Place& a, const Place& b) { return a.offset < b.offset; });
    std::vector<Region> regions;
    std::uint64_t bytes = 0;
    std::uint64_t end = 0;  // files of a damaged image may claim the same bytes
    for (const Place& place : places_) {
      const Region region{std::max(end, place.offset), place.offset + place.bytes};
      if (region.begin >= region.end) continue;
      regions.push_back(region);
      bytes += region.bytes();
      end = region.end;
    }
    stride_ = block_stride(bytes, table_bytes_max);
    seeds_ = make_block_seeds(base, regions, table_bytes_max);
  }

  // Bytes that each file of the base seems to have in common with `elf`.
  std::map<std::size_t, std::uint64_t> common_bytes(const ElfFile& elf, ByteSpan target) const {
    const std::uint64_t step = std::max<std::uint64_t>(kVoteStepBytes, elf.file.bytes / kVotesMax);
    std::map<std::size_t, std::uint64_t> common;
    for (const FileExtent& extent : elf.file.extents)
      for (std::uint64_t at = 0; at < extent.bytes; at += step)
        if (const auto file = vote(target, extent.image_offset + at, extent.bytes - at))
          common[*file] += step;
    return common;
  }

 private:
  struct Place {
    std::uint64_t offset;
    std::uint64_t bytes;
    std::size_t file;
  };

  // One of so many neighbours begins a block of the base that is known.
  std::optional<std::size_t> vote(ByteSpan target, std::uint64_t offset, std::uint64_t left) const {
    Seed found[kSeedsMax];
    for (std::uint64_t i = 0; i < std::min(stride_, left); ++i)
      if (seeds_->find(target.subspan(offset + i, left - i), offset + i, found) != 0)
        return file_at(found[0].base_offset);
    return std::nullopt;
  }

  std::optional<std::size_t> file_at(std::uint64_t offset) const {
    const auto after = std::upper_bound(
        places_.begin(), places_.end(), offset,
        [](std::uint64_t wanted, const Place& place) { return wanted < place.offset; });
    if (after == places_.begin()) return std::nullopt;
    const Place& place = *(after - 1);
    if (offset - place.offset >= place.bytes) return std::nullopt;
    return place.file;
  }

  std::vector<Place> places_;
  std::uint64_t stride_ = kSeedBlockBytes;
  std::unique_ptr<Seeds> seeds_;
};

struct Pair {
  std::size_t base = 0;
  std::size_t target = 0;
};

// Says which file of the base each file of the target is a later version of: no two of the same as
// long as both have another that they resemble.
class Pairing {
 public:
  Pairing(ByteSpan base_image, ByteSpan target_image, const std::vector<ElfFile>& base,
          const std::vector<ElfFile>& target, std::uint64_t table_bytes_max)
      : base_image_(base_image),
        target_image_(target_image),
        base_(base),
        target_(target),
        table_bytes_max_(table_bytes_max) {}

  std::vector<Pair> pairs() {
    settle_equal_files();
    std::vector<Candidate> candidates = find_candidates();
    std::stable_sort(
        candidates.begin(), candidates.end(),
        [](const Candidate& a, const Candidate& b) { return a.likeness > b.likeness; });
    // First everyone to the one that is most like it and still free; then whoever is left over.
    for (const bool may_share : {false, true})
      for (const Candidate& candidate : candidates) {
        if (is_settled_[candidate.pair.target]) continue;
        if (is_taken_[candidate.pair.base] && !may_share) continue;
        is_settled_[candidate.pair.target] = is_taken_[candidate.pair.base] = true;
        pairs_.push_back(candidate.pair);
      }
    std::sort(pairs_.begin(), pairs_.end(),
              [](const Pair& a, const Pair& b) { return a.target < b.target; });
    return std::move(pairs_);
  }

 private:
  struct Candidate {
    Pair pair;
    std::uint64_t likeness;
  };
  static constexpr std::uint64_t kLikenessOfEquals = 1 << 16;
  static constexpr std::uint64_t kLikenessMin = kLikenessOfEquals / 64;

  // Nothing has moved in a file that both images have.
  void settle_equal_files() {
    is_settled_.assign(target_.size(), false);
    is_taken_.assign(base_.size(), false);
    std::set<std::uint64_t> sizes;
    for (const ElfFile& elf : target_) sizes.insert(elf.file.bytes);
    std::multimap<Content, std::size_t> known;
    for (std::size_t i = 0; i < base_.size(); ++i)
      if (sizes.contains(base_[i].file.bytes)) known.emplace(content_of(base_[i], base_image_), i);
    sizes.clear();
    for (const auto& [content, i] : known) sizes.insert(content.bytes);
    for (std::size_t i = 0; i < target_.size(); ++i) {
      if (!sizes.contains(target_[i].file.bytes)) continue;
      check_stop();
      const auto [from, to] = known.equal_range(content_of(target_[i], target_image_));
      is_settled_[i] = from != to;
      for (auto same = from; same != to; ++same) is_taken_[same->second] = true;
    }
  }

  std::vector<Candidate> find_candidates() const {
    std::vector<Candidate> candidates;
    if (std::count(is_settled_.begin(), is_settled_.end(), false) == 0) return candidates;
    const Resemblance resemblance(base_image_, base_, table_bytes_max_);
    for (std::size_t i = 0; i < target_.size(); ++i) {
      if (is_settled_[i]) continue;
      check_stop();
      for (const auto& [of, common] : resemblance.common_bytes(target_[i], target_image_)) {
        if (base_[of].machine != target_[i].machine) continue;
        const std::uint64_t size = std::max(base_[of].file.bytes, target_[i].file.bytes);
        const std::uint64_t likeness = common * kLikenessOfEquals / size;
        if (likeness >= kLikenessMin) candidates.push_back({{of, i}, likeness});
      }
    }
    return candidates;
  }

  ByteSpan base_image_;
  ByteSpan target_image_;
  const std::vector<ElfFile>& base_;
  const std::vector<ElfFile>& target_;
  std::uint64_t table_bytes_max_;
  std::vector<bool> is_settled_;  // of the target: is paired, or need not be
  std::vector<bool> is_taken_;    // of the base
  std::vector<Pair> pairs_;
};

bool fits(const AddressTable& table, const ElfFile& base, const ElfFile& target) {
  return table.modules.size() < kModulesMax &&
         table.base.size() + base.ranges.size() <= kAddressRangesMax &&
         table.target.size() + target.ranges.size() <= kAddressRangesMax;
}

// Addresses are told from other numbers by one measure in both images.
void widen(Module& module, const Module& other) {
  module.low = std::min(module.low, other.low);
  module.high = std::max(module.high, other.high);
  module.code_low = std::min(module.code_low, other.code_low);
  module.code_high = std::max(module.code_high, other.code_high);
}

void add_ranges(const ElfFile& file, std::uint32_t module, std::vector<AddressRange>& to) {
  for (AddressRange range : file.ranges) {
    range.module = module;
    to.push_back(range);
  }
}

// Files of a damaged image may claim the same bytes: the first one has them.
void bring_in_order(std::vector<AddressRange>& ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const AddressRange& a, const AddressRange& b) { return a.offset < b.offset; });
  std::uint64_t end = 0;
  std::erase_if(ranges, [&end](const AddressRange& range) {
    if (range.offset < end) return true;
    end = range.end();
    return false;
  });
}

}  // namespace

AddressTable find_addresses(const ViewedImage& base, const ViewedImage& target,
                            std::uint64_t table_bytes_max) {
  AddressTable table;
  const std::vector<ElfFile> base_files = find_files(base);
  if (base_files.empty()) return table;
  const std::vector<ElfFile> target_files = find_files(target);
  std::map<std::size_t, std::uint32_t> modules;
  Pairing pairing(base.view, target.view, base_files, target_files, table_bytes_max);
  for (const Pair& pair : pairing.pairs()) {
    const ElfFile& of = base_files[pair.base];
    const ElfFile& file = target_files[pair.target];
    if (!fits(table, of, file)) continue;
    const auto [known, is_new] =
        modules.try_emplace(pair.base, static_cast<std::uint32_t>(table.modules.size()));
    if (is_new) {
      table.modules.push_back(of.module);
      add_ranges(of, known->second, table.base);
    }
    widen(table.modules[known->second], file.module);
    add_ranges(file, known->second, table.target);
  }
  bring_in_order(table.base);
  bring_in_order(table.target);
  return table;
}

AddressTable find_addresses(ByteSpan base, ByteSpan target) {
  return find_addresses({base, base, ViewLayout(base.size())},
                        {target, target, ViewLayout(target.size())});
}

}  // namespace layby::delta
