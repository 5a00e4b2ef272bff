#include "delta/elf_ranges.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <string_view>

#include "delta/seeds.h"

namespace layby::delta {
namespace {

constexpr std::uint64_t kVoteStepBytes = 64;
constexpr std::size_t kVotesMax = 4096;

// One ELF file in an image.
struct ElfFile {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  std::uint16_t machine = 0;
  Module module;
  std::vector<AddressRange> ranges;  // offsets of the image, module 0
};

template <typename T>
std::optional<T> load(ByteSpan from, std::uint64_t offset) {
  T value;
  if (offset > from.size() || from.size() - offset < sizeof value) return std::nullopt;
  std::memcpy(&value, from.data() + offset, sizeof value);
  return value;
}

std::string_view name_at(ByteSpan file, const Elf64_Shdr& names, std::uint32_t offset) {
  if (names.sh_offset > file.size() || offset >= file.size() - names.sh_offset) return {};
  const char* begin = reinterpret_cast<const char*>(file.data()) + names.sh_offset + offset;
  return {begin, strnlen(begin, file.size() - names.sh_offset - offset)};
}

bool is_loaded(const Elf64_Shdr& section) {
  return (section.sh_flags & SHF_ALLOC) != 0 && (section.sh_flags & SHF_TLS) == 0;
}

std::optional<RangeKind> kind_of(const Elf64_Shdr& section, std::string_view name,
                                 std::uint16_t machine) {
  if (section.sh_type == SHT_SYMTAB || section.sh_type == SHT_DYNSYM) return RangeKind::kSymbols;
  if ((section.sh_flags & SHF_ALLOC) == 0) return std::nullopt;
  if ((section.sh_flags & SHF_EXECINSTR) != 0)
    return machine == EM_X86_64 ? RangeKind::kX86Code : RangeKind::kAarch64Code;
  if (name == ".eh_frame_hdr") return RangeKind::kOrigin32;
  if (name == ".eh_frame") return RangeKind::kEhFrame;
  if (section.sh_type == SHT_RELA || section.sh_type == SHT_RELR ||
      (section.sh_flags & SHF_WRITE) != 0)
    return RangeKind::kWords64;
  if (section.sh_type == SHT_PROGBITS &&
      (name == ".rodata" || name.starts_with(".rodata.") || name == ".gcc_except_table"))
    return RangeKind::kWords32;
  return std::nullopt;
}

class ElfReader {
 public:
  ElfReader(ByteSpan image, std::uint64_t offset) : offset_(offset), file_(image.subspan(offset)) {}

  std::optional<ElfFile> read() {
    const auto header = load<Elf64_Ehdr>(file_, 0);
    if (!header || header->e_version != EV_CURRENT || header->e_shentsize != sizeof(Elf64_Shdr) ||
        (header->e_machine != EM_X86_64 && header->e_machine != EM_AARCH64))
      return std::nullopt;
    for (std::uint16_t i = 0; i < header->e_shnum; ++i) {
      const auto section =
          load<Elf64_Shdr>(file_, header->e_shoff + std::uint64_t{i} * sizeof(Elf64_Shdr));
      if (!section) return std::nullopt;
      if (section->sh_type != SHT_NOBITS && (section->sh_offset > file_.size() ||
                                             section->sh_size > file_.size() - section->sh_offset))
        return std::nullopt;
      sections_.push_back(*section);
    }
    if (header->e_shstrndx >= sections_.size()) return std::nullopt;
    ElfFile elf;
    elf.offset = offset_;
    elf.bytes = header->e_shoff + sections_.size() * sizeof(Elf64_Shdr);
    elf.machine = header->e_machine;
    elf.module = module();
    elf.module.has_absolute_code = header->e_type == ET_EXEC && header->e_machine == EM_X86_64;
    for (const Elf64_Shdr& section : sections_)
      add_range(section, name_at(file_, sections_[header->e_shstrndx], section.sh_name), elf);
    finish_ranges(elf);
    return elf;
  }

 private:
  Module module() {
    Module module{~std::uint64_t{0}, 0, ~std::uint64_t{0}, 0, false};
    for (const Elf64_Shdr& section : sections_) {
      if (!is_loaded(section) || section.sh_size == 0) continue;
      module.low = std::min(module.low, section.sh_addr);
      module.high = std::max(module.high, section.sh_addr + section.sh_size);
      if ((section.sh_flags & SHF_EXECINSTR) == 0) continue;
      module.code_low = std::min(module.code_low, section.sh_addr);
      module.code_high = std::max(module.code_high, section.sh_addr + section.sh_size);
    }
    if (module.low > module.high) module.low = module.high = 0;
    if (module.code_low > module.code_high) module.code_low = module.code_high = module.low;
    // What is not loaded gets addresses behind all others, so that places in it can be told apart.
    unloaded_shift_ = (module.high + 0xffff) & ~std::uint64_t{0xffff};
    return module;
  }

  std::uint64_t address_of(const Elf64_Shdr& section) const {
    return is_loaded(section) ? section.sh_addr : unloaded_shift_ + section.sh_offset;
  }

  void add_range(const Elf64_Shdr& section, std::string_view name, ElfFile& elf) {
    if (section.sh_type == SHT_NOBITS || section.sh_size == 0) return;
    const std::optional<RangeKind> kind = kind_of(section, name, elf.machine);
    AddressRange range;
    range.offset = offset_ + section.sh_offset;
    range.bytes = section.sh_size;
    range.address_shift = address_of(section) - range.offset;
    // Whatever else is there still has addresses that others refer to.
    range.kind = kind.value_or(RangeKind::kNothing);
    range.origin = range.kind == RangeKind::kOrigin32 ? section.sh_addr : 0;
    if (range.kind == RangeKind::kSymbols && section.sh_link < sections_.size())
      range.origin = address_of(sections_[section.sh_link]);
    elf.ranges.push_back(range);
  }

  static bool continues(const AddressRange& a, const AddressRange& b) {
    return a.kind == b.kind && a.kind != RangeKind::kOrigin32 && a.kind != RangeKind::kSymbols &&
           a.kind != RangeKind::kEhFrame && a.address_shift == b.address_shift &&
           b.offset - a.end() < 4096;
  }

  void finish_ranges(ElfFile& elf) {
    std::sort(elf.ranges.begin(), elf.ranges.end(),
              [](const AddressRange& a, const AddressRange& b) { return a.offset < b.offset; });
    std::vector<AddressRange> kept;
    for (const AddressRange& range : elf.ranges) {
      if (!kept.empty() && range.offset < kept.back().end()) continue;  // overlaps: not believed
      if (!kept.empty() && continues(kept.back(), range))
        kept.back().bytes = range.end() - kept.back().offset;
      else
        kept.push_back(range);
    }
    elf.ranges = std::move(kept);
  }

  std::uint64_t offset_;
  ByteSpan file_;
  std::vector<Elf64_Shdr> sections_;
  std::uint64_t unloaded_shift_ = 0;
};

std::vector<ElfFile> find_files(ByteSpan image) {
  constexpr std::string_view kIdentity(
      "\x7f"
      "ELF\x02\x01\x01",
      7);
  const std::string_view text(reinterpret_cast<const char*>(image.data()), image.size());
  std::vector<ElfFile> files;
  std::size_t at = 0;
  while ((at = text.find(kIdentity, at)) != std::string_view::npos) {
    std::optional<ElfFile> file = ElfReader(image, at).read();
    if (file && !file->ranges.empty()) {
      at = std::max<std::size_t>(at + 1, file->ranges.back().end());
      files.push_back(std::move(*file));
    } else {
      ++at;
    }
  }
  return files;
}

ByteSpan bytes_of(const ElfFile& file, ByteSpan image) {
  return image.subspan(file.offset,
                       std::min<std::uint64_t>(file.bytes, image.size() - file.offset));
}

// Which file of the base the target's one resembles most, by blocks that both have.
class Pairing {
 public:
  Pairing(ByteSpan base, const std::vector<ElfFile>& files)
      : files_(files), seeds_(make_block_seeds(base)) {}

  const ElfFile* later_version_of(const ElfFile& file, ByteSpan target) const {
    const ByteSpan bytes = bytes_of(file, target);
    const std::uint64_t step = std::max<std::uint64_t>(kVoteStepBytes, bytes.size() / kVotesMax);
    std::map<const ElfFile*, std::size_t> votes;
    Seed found[kSeedsMax];
    for (std::uint64_t at = 0; at < bytes.size(); at += step) {
      // Blocks of the base stand every 24 bytes: one of so many neighbours begins one.
      for (std::uint64_t i = 0; i < 24 && at + i < bytes.size(); ++i) {
        const std::size_t count = seeds_->find(bytes.subspan(at + i), file.offset + at + i, found);
        if (count == 0) continue;
        if (const ElfFile* of = file_at(found[0].base_offset)) ++votes[of];
        break;
      }
    }
    const ElfFile* best = nullptr;
    for (const auto& [of, count] : votes)
      if (of->machine == file.machine && (best == nullptr || count > votes[best])) best = of;
    return best;
  }

 private:
  const ElfFile* file_at(std::uint64_t offset) const {
    const auto after = std::upper_bound(
        files_.begin(), files_.end(), offset,
        [](std::uint64_t wanted, const ElfFile& of) { return wanted < of.offset; });
    if (after == files_.begin()) return nullptr;
    const ElfFile& file = *(after - 1);
    return offset < file.offset + file.bytes ? &file : nullptr;
  }

  const std::vector<ElfFile>& files_;
  std::unique_ptr<Seeds> seeds_;
};

bool are_equal(ByteSpan a, ByteSpan b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin());
}

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

}  // namespace

AddressTable find_addresses(ByteSpan base, ByteSpan target) {
  AddressTable table;
  const std::vector<ElfFile> base_files = find_files(base);
  if (base_files.empty()) return table;
  const Pairing pairing(base, base_files);
  std::map<const ElfFile*, std::uint32_t> modules;
  for (const ElfFile& file : find_files(target)) {
    const ElfFile* of = pairing.later_version_of(file, target);
    if (of == nullptr || are_equal(bytes_of(*of, base), bytes_of(file, target))) continue;
    if (!fits(table, *of, file)) break;
    const auto [known, is_new] =
        modules.try_emplace(of, static_cast<std::uint32_t>(table.modules.size()));
    if (is_new) {
      table.modules.push_back(of->module);
      add_ranges(*of, known->second, table.base);
    }
    widen(table.modules[known->second], file.module);
    add_ranges(file, known->second, table.target);
  }
  std::sort(table.base.begin(), table.base.end(),
            [](const AddressRange& a, const AddressRange& b) { return a.offset < b.offset; });
  return table;
}

}  // namespace layby::delta
