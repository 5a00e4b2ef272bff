#include "delta/elf_reader.h"

#include <elf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

namespace layby::delta {
namespace {

constexpr std::size_t kNameBytesMax = 64;

bool is_loaded(const Elf64_Shdr& section) {
  return (section.sh_flags & SHF_ALLOC) != 0 && (section.sh_flags & SHF_TLS) == 0;
}

bool is_known_type(std::uint32_t type) {
  return type < SHT_NUM || (type >= SHT_LOOS && type <= SHT_HIUSER);
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
      (section.sh_flags & SHF_WRITE) != 0 || name == ".itablink")
    return RangeKind::kWords64;
  if (section.sh_type == SHT_PROGBITS &&
      (name == ".rodata" || name.starts_with(".rodata.") || name == ".gcc_except_table"))
    return RangeKind::kWords32;
  return std::nullopt;
}

// Of records whose fields are known by their place in the range; 1 where there are none.
std::uint64_t record_bytes(RangeKind kind) {
  switch (kind) {
    case RangeKind::kSymbols: return sizeof(Elf64_Sym);
    case RangeKind::kGoFunctions:
    case RangeKind::kGoRecords: return 8;
    case RangeKind::kX86Code:
    case RangeKind::kAarch64Code:
    case RangeKind::kWords32:
    case RangeKind::kOrigin32:
    case RangeKind::kWords64:
    case RangeKind::kEhFrame:
    case RangeKind::kNothing: return 1;
  }
  return 1;
}

class ElfReader {
 public:
  ElfReader(ByteSpan image, ImageFile file) : image_(image), file_(std::move(file)) {}

  std::optional<ElfFile> read() {
    const auto header = load<Elf64_Ehdr>(0);
    if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
        header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
        header->e_version != EV_CURRENT ||
        (header->e_type != ET_EXEC && header->e_type != ET_DYN) ||
        (header->e_machine != EM_X86_64 && header->e_machine != EM_AARCH64))
      return std::nullopt;
    if (!read_sections(*header)) return std::nullopt;
    ElfFile elf;
    elf.machine = header->e_machine;
    elf.module = module();
    elf.module.has_absolute_code = header->e_type == ET_EXEC && header->e_machine == EM_X86_64;
    for (std::size_t i = 0; i < sections_.size(); ++i)
      if (!names_[i].ends_with(".gopclntab") || !add_go_tables(sections_[i], elf.module))
        add_range(sections_[i], names_[i], header->e_machine);
    elf.ranges = ranges_in_image();
    cut_file(*header);
    elf.file = std::move(file_);
    return elf;
  }

 private:
  template <typename T>
  std::optional<T> load(std::uint64_t offset) const {
    std::array<std::uint8_t, sizeof(T)> bytes;
    if (!read_file(image_, file_, offset, bytes)) return std::nullopt;
    T value;
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }

  // A section table that a linker may have written: bytes by chance are none.
  bool read_sections(const Elf64_Ehdr& header) {
    if (header.e_shentsize != sizeof(Elf64_Shdr) || header.e_shnum < 2 ||
        header.e_shstrndx >= header.e_shnum || header.e_shoff > file_.bytes)
      return false;
    for (std::uint64_t i = 0; i < header.e_shnum; ++i) {
      const auto section = load<Elf64_Shdr>(header.e_shoff + i * sizeof(Elf64_Shdr));
      if (!section || !is_known_type(section->sh_type)) return false;
      if ((section->sh_type == SHT_NULL) != (i == 0)) return false;
      if (section->sh_type != SHT_NOBITS &&
          (section->sh_offset > file_.bytes || section->sh_size > file_.bytes - section->sh_offset))
        return false;
      sections_.push_back(*section);
    }
    const Elf64_Shdr& names = sections_[header.e_shstrndx];
    for (const Elf64_Shdr& section : sections_) {
      const std::optional<std::string> name = name_of(section, names);
      if (!name) return false;
      names_.push_back(*name);
    }
    return true;
  }

  std::optional<std::string> name_of(const Elf64_Shdr& section, const Elf64_Shdr& names) const {
    if (section.sh_name >= names.sh_size) return std::nullopt;
    std::array<std::uint8_t, kNameBytesMax> bytes;
    const std::size_t count = static_cast<std::size_t>(
        std::min<std::uint64_t>(bytes.size(), names.sh_size - section.sh_name));
    if (!read_file(image_, file_, names.sh_offset + section.sh_name,
                   MutableByteSpan(bytes).first(count)))
      return std::nullopt;
    std::string name;
    for (std::size_t i = 0; i < count && bytes[i] != 0; ++i) {
      if (bytes[i] <= ' ' || bytes[i] > '~') return std::nullopt;
      name += static_cast<char>(bytes[i]);
    }
    return name;
  }

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

  // Offsets of the file, for now.
  void add_range(const Elf64_Shdr& section, std::string_view name, std::uint16_t machine) {
    if (section.sh_type == SHT_NOBITS || section.sh_size == 0) return;
    const std::optional<RangeKind> kind = kind_of(section, name, machine);
    AddressRange range;
    range.offset = section.sh_offset;
    range.bytes = section.sh_size;
    range.address_shift = address_of(section) - range.offset;
    // Whatever else is there still has addresses that others refer to.
    range.kind = kind.value_or(RangeKind::kNothing);
    range.origin = range.kind == RangeKind::kOrigin32 ? section.sh_addr : 0;
    if (range.kind == RangeKind::kSymbols && section.sh_link < sections_.size())
      range.origin = address_of(sections_[section.sh_link]);
    ranges_.push_back(range);
  }

  // Go's tables of functions, as of Go 1.20 on. Source: internal/abi/symtab.go and
  // runtime/symtab.go of Go, `pcHeader`: after 8 bytes its words are the numbers of functions and
  // files, the first address of code or 0, and where names, units, files, tables by program
  // counter and the index of functions begin; records follow the index.
  bool add_go_tables(const Elf64_Shdr& section, const Module& module) {
    constexpr std::uint64_t kMagicAndLengths = 0xffff'fff1;
    const auto header = load<std::array<std::uint64_t, 9>>(section.sh_offset);
    if (section.sh_type != SHT_PROGBITS || !header ||
        ((*header)[0] & 0xffff'ffff) != kMagicAndLengths || (*header)[0] >> 56 != 8)
      return false;
    const auto [lengths, functions, files, text, names, units, paths, counters, index] = *header;
    if (names > units || units > paths || paths > counters || counters > index ||
        index > section.sh_size || functions > (section.sh_size - index) / 8)
      return false;
    const std::uint64_t origin = text != 0 ? text : module.code_low;
    const std::uint64_t records = index + functions * 8;
    const auto add = [&](std::uint64_t from, std::uint64_t to, RangeKind kind,
                         std::uint64_t address, std::uint64_t of) {
      if (from == to) return;
      AddressRange range;
      range.offset = section.sh_offset + from;
      range.bytes = to - from;
      range.address_shift = address - range.offset;
      range.origin = of;
      range.kind = kind;
      ranges_.push_back(range);
    };
    add(0, names, RangeKind::kWords64, section.sh_addr, 0);
    add(names, units, RangeKind::kNothing, origin + kGoNamesFrom, 0);
    add(units, paths, RangeKind::kOrigin32, section.sh_addr + units, section.sh_addr + paths);
    add(paths, counters, RangeKind::kNothing, section.sh_addr + paths, 0);
    add(counters, index, RangeKind::kNothing, origin + kGoCountersFrom, 0);
    add(index, records, RangeKind::kGoFunctions, origin + kGoRecordsFrom, origin);
    add(records, section.sh_size, RangeKind::kGoRecords, origin + kGoRecordsFrom + functions * 8,
        origin);
    return true;
  }

  static bool continues(const AddressRange& a, const AddressRange& b) {
    return a.kind == b.kind && a.kind != RangeKind::kOrigin32 && a.kind != RangeKind::kSymbols &&
           a.kind != RangeKind::kEhFrame && a.kind != RangeKind::kGoFunctions &&
           a.kind != RangeKind::kGoRecords && a.address_shift == b.address_shift &&
           b.offset - a.end() < 4096;
  }

  std::vector<AddressRange> ranges_in_image() {
    std::sort(ranges_.begin(), ranges_.end(),
              [](const AddressRange& a, const AddressRange& b) { return a.offset < b.offset; });
    std::vector<AddressRange> kept;
    for (const AddressRange& range : ranges_) {
      if (!kept.empty() && range.offset < kept.back().end()) continue;  // overlaps: not believed
      if (!kept.empty() && continues(kept.back(), range))
        kept.back().bytes = range.end() - kept.back().offset;
      else
        kept.push_back(range);
    }
    std::vector<AddressRange> pieces;
    for (const AddressRange& range : kept) append_pieces(range, pieces);
    std::sort(pieces.begin(), pieces.end(),
              [](const AddressRange& a, const AddressRange& b) { return a.offset < b.offset; });
    return pieces;
  }

  // The parts of a range of the file that its extents hold.
  void append_pieces(const AddressRange& range, std::vector<AddressRange>& pieces) const {
    auto extent =
        std::partition_point(file_.extents.begin(), file_.extents.end(),
                             [&](const FileExtent& e) { return e.file_end() <= range.offset; });
    for (; extent != file_.extents.end() && extent->file_offset < range.end(); ++extent) {
      std::uint64_t from = std::max(range.offset, extent->file_offset);
      const std::uint64_t to = std::min(range.end(), extent->file_end());
      // Records that are told apart by where they stand in a range: it begins with a whole one.
      const std::uint64_t step = record_bytes(range.kind);
      from += (step - (from - range.offset) % step) % step;
      if (from >= to) continue;
      AddressRange piece = range;
      piece.offset = extent->image_offset + (from - extent->file_offset);
      piece.bytes = to - from;
      piece.address_shift = range.address_shift + from - piece.offset;
      pieces.push_back(piece);
    }
  }

  void cut_file(const Elf64_Ehdr& header) {
    std::uint64_t end = header.e_shoff + sections_.size() * sizeof(Elf64_Shdr);
    for (const Elf64_Shdr& section : sections_)
      if (section.sh_type != SHT_NOBITS) end = std::max(end, section.sh_offset + section.sh_size);
    file_.bytes = end;
    while (!file_.extents.empty() && file_.extents.back().file_offset >= end)
      file_.extents.pop_back();
    if (!file_.extents.empty()) {
      FileExtent& last = file_.extents.back();
      last.bytes = std::min(last.bytes, end - last.file_offset);
    }
  }

  ByteSpan image_;
  ImageFile file_;
  std::vector<Elf64_Shdr> sections_;
  std::vector<std::string> names_;
  std::vector<AddressRange> ranges_;
  std::uint64_t unloaded_shift_ = 0;
};

}  // namespace

std::optional<ElfFile> read_elf(ByteSpan image, ImageFile file) {
  return ElfReader(image, std::move(file)).read();
}

}  // namespace layby::delta
