// Executables in images: which belong together, and where addresses stand in them.
#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <random>

#include "base/disk.h"
#include "base/limits.h"
#include "delta/elf_ranges.h"
#include "delta/elf_reader.h"

using namespace layby;
using namespace layby::delta;

namespace {

Bytes read_all(const std::string& path) {
  RealDisk disk;
  return read_file(disk, path, 256 * kMiB).value();
}

const Bytes& program() {
  static const Bytes bytes = read_all(LAYBY_BIN_DIR "/layby-delta");
  return bytes;
}

// Another version: some bytes differ, all over the file but in its headers.
Bytes later_version(Bytes bytes, unsigned seed, std::size_t differences = 50) {
  std::mt19937 random(seed);
  for (std::size_t i = 0; i < differences; ++i)
    bytes[4096 + random() % (bytes.size() * 3 / 4)] = static_cast<std::uint8_t>(random());
  return bytes;
}

ElfFile elf_of(const Bytes& bytes) {
  const auto elf = read_elf(bytes, {bytes.size(), {{0, 0, bytes.size()}}});
  REQUIRE(elf);
  return *elf;
}

void append(Bytes& to, ByteSpan bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}

}  // namespace

TEST_CASE("an executable has code, tables and pointers") {
  const ElfFile elf = elf_of(program());
  std::map<RangeKind, std::uint64_t> bytes;
  for (const AddressRange& range : elf.ranges) {
    bytes[range.kind] += range.bytes;
    CHECK(range.end() <= program().size());
  }
  CHECK(bytes[RangeKind::kX86Code] + bytes[RangeKind::kAarch64Code] > 10'000);
  CHECK(bytes[RangeKind::kWords64] > 0);
  CHECK(bytes[RangeKind::kOrigin32] > 0);
  CHECK(bytes[RangeKind::kEhFrame] > 0);
  CHECK(elf.file.bytes == program().size());
}

TEST_CASE("executables in pieces have the addresses that they have in one piece") {
  const Bytes& whole = program();
  // Blocks of the file stand backwards in the image, and every ninth is missing.
  constexpr std::uint64_t kBlockBytes = 4096;
  Bytes scattered = whole;
  ImageFile file{whole.size(), {}};
  Bytes image;
  for (std::uint64_t at = 0; at < whole.size(); at += kBlockBytes)
    if (const std::uint64_t bytes = std::min(kBlockBytes, whole.size() - at);
        at / kBlockBytes % 9 == 5 && at + 8 * kBlockBytes < whole.size())
      std::fill_n(scattered.begin() + at, bytes, 0);
    else
      file.extents.push_back({0, at, bytes});
  for (auto extent = file.extents.rbegin(); extent != file.extents.rend(); ++extent) {
    extent->image_offset = image.size();
    append(image, ByteSpan(scattered).subspan(extent->file_offset, extent->bytes));
  }
  const ElfFile in_pieces = *read_elf(image, file);
  const ElfFile in_one = elf_of(scattered);
  std::map<std::uint64_t, const AddressRange*> at_file_offset;
  for (const AddressRange& range : in_one.ranges) at_file_offset[range.offset] = &range;
  std::uint64_t covered = 0;
  for (const AddressRange& piece : in_pieces.ranges) {
    const auto extent = std::find_if(
        file.extents.begin(), file.extents.end(),
        [&](const FileExtent& of) { return piece.offset - of.image_offset < of.bytes; });
    REQUIRE(extent != file.extents.end());
    REQUIRE(piece.end() <= extent->image_offset + extent->bytes);
    const std::uint64_t in_file = piece.offset - extent->image_offset + extent->file_offset;
    const AddressRange& range = *std::prev(at_file_offset.upper_bound(in_file))->second;
    CHECK(piece.kind == range.kind);
    CHECK(piece.origin == range.origin);
    CHECK(piece.offset + piece.address_shift == in_file + range.address_shift);
    if (piece.kind == RangeKind::kSymbols) CHECK((in_file - range.offset) % 24 == 0);
    covered += piece.bytes;
  }
  CHECK(covered > whole.size() / 2);
}

TEST_CASE("what only begins like an executable hides none") {
  Bytes image(1000, 'x');
  append(image, ByteSpan(program()).first(64));  // its section table would be beside the real one
  append(image, Bytes(200, 'y'));
  const std::size_t real = image.size();
  append(image, program());
  const Bytes target = [&] {
    Bytes bytes(777, 'z');
    append(bytes, later_version(program(), 1));
    return bytes;
  }();
  const AddressTable table = find_addresses(image, target);
  REQUIRE(table.modules.size() == 1);
  CHECK(table.base.front().offset >= real);
  CHECK(table.base.size() == table.target.size());
  CHECK(table.target.front().offset - 777 == table.base.front().offset - real);
}

TEST_CASE("files that are alike are paired one to one, equal ones not at all") {
  const Bytes a = program();
  // Far apart, and the farther the larger the program: likeness is sampled, so it takes a share of
  // the blocks to tell versions apart, and a build with sanitizers is twenty times as large.
  const Bytes b = later_version(a, 20, a.size() / 256);
  const Bytes c = later_version(a, 100, a.size() / 256);
  Bytes base;
  for (const Bytes* file : {&a, &b, &c}) append(base, *file);
  Bytes target;
  const Bytes b2 = later_version(b, 4);
  const Bytes c2 = later_version(c, 5);
  for (const Bytes* file : {&c2, &a, &b2}) append(target, *file);
  const AddressTable table = find_addresses(base, target);
  REQUIRE(table.modules.size() == 2);
  std::map<std::uint64_t, std::uint64_t> file_of;  // of the target, by that of the base
  for (const AddressRange& range : table.base)
    for (const AddressRange& later : table.target)
      if (later.module == range.module) file_of[later.offset / a.size()] = range.offset / a.size();
  CHECK(file_of == std::map<std::uint64_t, std::uint64_t>{{0, 2}, {2, 1}});
  CHECK(find_addresses(base, base).modules.empty());
}

TEST_CASE("damaged executables do no harm") {
  std::mt19937 random(6);
  const Bytes& whole = program();
  for (int round = 0; round < 200; ++round) {
    Bytes damaged = whole;
    for (int i = 0; i < 4; ++i) {
      const std::size_t tail = random() % 2 * (whole.size() - 2048);  // headers: first and last
      damaged[tail + random() % 2048] = static_cast<std::uint8_t>(random());
    }
    if (round % 5 == 0) damaged.resize(random() % damaged.size());
    const auto elf = read_elf(damaged, {damaged.size(), {{0, 0, damaged.size()}}});
    if (!elf) continue;
    std::uint64_t end = 0;
    bool holds = true;
    for (const AddressRange& range : elf->ranges) {
      holds = holds && range.offset >= end && range.bytes > 0 && range.end() <= damaged.size();
      end = range.end();
    }
    CHECK(holds);
  }
}
