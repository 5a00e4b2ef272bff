// SquashFS images: their files in the view, and payloads that see through their blocks.
#include <catch2/catch.hpp>

#include <cstdlib>
#include <filesystem>
#include <set>

#include "base/limits.h"
#include "delta/applier.h"
#include "delta/encoder.h"
#include "delta/squashfs_reader.h"
#include "delta/stream_choice.h"
#include "tests/delta/gzip_members.h"
#include "tests/temp_dir.h"

using namespace layby;
using namespace layby::delta;
using namespace layby::delta::tests;
using layby::tests::TempDir;

namespace {

using Tree = std::vector<std::pair<std::string, Bytes>>;

Tree tree(Random& random) {
  Tree files{{"large", prose(random, 500'000)}, {"noise", noise(random, 150'000)}};
  files.push_back({"holes", Bytes(400'000, 0)});
  std::copy_n(files[0].second.begin(), 1000, files[2].second.begin() + 270'000);
  for (int i = 0; i < 120; ++i)
    files.push_back({"file" + std::to_string(i), prose(random, 100 + random() % 9000)});
  return files;
}

Bytes squashfs(const Tree& files, const std::string& options) {
  const TempDir dir;
  RealDisk disk;
  REQUIRE(disk.make_dirs(dir / "tree"));
  for (const auto& [name, bytes] : files)
    REQUIRE(disk.open_write(dir / ("tree/" + name)).value()->write_at(0, bytes));
  std::filesystem::create_symlink("large", dir / "tree/link");
  const std::string command = "mksquashfs " + (dir / "tree") + " " + (dir / "image") +
                              " -quiet -no-progress -noappend -all-root -mkfs-time 0 -all-time 0 " +
                              options + " > /dev/null";
  INFO(command);
  REQUIRE(std::system(command.c_str()) == 0);
  return read_file(disk, dir / "image", 64 * kMiB).value();
}

struct Case {
  std::string options;
  std::size_t payload_bytes_max;
};

const Case kCases[] = {{"-comp gzip", 12'000},
                       {"-comp gzip -Xcompression-level 6 -b 64K", 12'000},
                       {"-comp xz", 12'000},
                       {"-comp zstd", 12'000},
                       {"-comp zstd -Xcompression-level 3 -b 1M", 12'000},
                       // A level whose search zstd chooses by the text's length and by SIMD.
                       {"-comp zstd -Xcompression-level 8 -b 32K", 20'000},
                       {"-comp zstd -Xcompression-level 8 -b 16K", 20'000}};

}  // namespace

TEST_CASE("files of a squashfs image stand in its view as they were stored") {
  Random random(1);
  const Tree files = tree(random);
  for (const Case& c : kCases) {
    INFO(c.options);
    const Bytes image = squashfs(files, c.options);
    Bytes other = image;
    std::reverse(other.begin(), other.end());
    // Nothing in common with the other image, which is none: all blocks are listed.
    const auto choice = choose_streams(other, image, kMiB + kMiB, 2, {});
    const StreamList& streams = choice.table.target;
    REQUIRE_FALSE(streams.empty());
    const auto layout = ViewLayout::create(image.size(), streams).value();
    Bytes view(layout.view_bytes());
    make_view(image, streams, layout, 2, view);
    const auto found = find_files_in_view({image, view, layout}).value();
    std::multiset<Bytes> expected;
    for (const auto& [name, bytes] : files) expected.insert(bytes);
    std::multiset<Bytes> made;
    for (const ImageFile& file : found) {
      Bytes bytes(file.bytes);
      REQUIRE(delta::read_file(view, file, 0, bytes));
      made.insert(std::move(bytes));
    }
    CHECK((made == expected));
  }
}

TEST_CASE("squashfs images of a tree that changed a little cost about what changed") {
  Random random(2);
  const Tree before = tree(random);
  Tree after = before;
  for (std::size_t i = 0; i < after.size(); i += 10)
    after[i].second = later_version(random, after[i].second, 3);
  for (const Case& c : kCases) {
    INFO(c.options);
    const MemoryFile base(squashfs(before, c.options));
    const MemoryFile target(squashfs(after, c.options));
    MemoryFile payload;
    const auto made = encode(&base, target, {}, payload);
    REQUIRE(made);
    CHECK(made->payload_bytes <= c.payload_bytes_max);
    const PayloadHead head = read_head(payload).value();
    std::vector<ReEncoder> needed = available_re_encoders();
    std::erase_if(needed, [&](const ReEncoder& one) {
      return c.options.find(one.name == "liblzma" ? "xz" : one.name) == std::string::npos;
    });
    CHECK(head.re_encoders() == needed);
    MemoryFile applied;
    REQUIRE(apply_payload(payload, &base, applied));
    CHECK(applied.bytes == target.bytes);
  }
}

TEST_CASE("compressed files of a squashfs image cost what changed in their texts") {
  Random random(4);
  Tree before = tree(random);
  Tree after = before;
  for (int i = 0; i < 60; ++i) {
    // Some are longer than a block, and end in a fragment.
    const Bytes text = prose(random, i % 20 == 0 ? 900'000 : 20'000);
    before.push_back({"changelog" + std::to_string(i) + ".gz", gzip(text)});
    const Bytes later = i % 3 == 0 ? later_version(random, text, 3) : text;
    after.push_back({before.back().first, gzip(later)});
  }
  for (const Case& c : kCases) {
    INFO(c.options);
    const MemoryFile base(squashfs(before, c.options));
    const MemoryFile target(squashfs(after, c.options));
    MemoryFile payload;
    const auto made = encode(&base, target, {}, payload);
    REQUIRE(made);
    CHECK(read_head(payload).value().streams().inner_target.size() == 20);
    CHECK(made->payload_bytes <= 5000);
  }
}

TEST_CASE("a payload for another version of zstd is refused before its first chunk") {
  StreamTable table;
  Stream stream;
  stream.form = StreamForm::kZstd;
  stream.text_bytes = 100;
  stream.recipe = 15;
  table.target.add(stream, std::vector<StreamPiece>{{0, 50}});
  table.zstd_version = 10'203;
  PayloadHeadBuilder builder(CoderId::kMixed, 1000, 1, {}, table);
  builder.set_target(60, {});
  builder.set_base({4, {}});
  builder.add_chunk(60, 1, {}, {});
  const PayloadHead head = parse_head(builder.serialise()).value();
  CHECK(head.re_encoders() == std::vector<ReEncoder>{{"zstd", "1.2.3"}});
  const MemoryFile base(Bytes(4, 0));
  const auto opened = Applier::open(head, &base);
  REQUIRE(!opened);
  CHECK(opened.error().code() == ErrorCode::kUnsupported);
}

TEST_CASE("whatever is done to a squashfs image, the reader stays within it") {
  Random random(3);
  const Bytes image = squashfs(tree(random), "-comp gzip");
  for (int round = 0; round < 150; ++round) {
    Bytes damaged = image;
    for (int i = 0; i < 1 + round % 5; ++i) {
      // The super block, or the tables at the end.
      const std::size_t at =
          random() % 2 == 0 ? 4 + random() % 92 : damaged.size() - 1 - random() % 5000;
      damaged[at] = static_cast<std::uint8_t>(random());
    }
    if (round % 7 == 0) damaged.resize(random() % damaged.size());
    const auto found = find_streams(damaged);
    std::uint64_t end = 0;
    for (const FoundStream& stream : found) {
      REQUIRE(stream.pieces.size() == 1);
      CHECK(stream.pieces[0].offset >= end);
      end = stream.pieces[0].end();
      CHECK(end <= damaged.size());
    }
    find_files_in_view({damaged, damaged, ViewLayout(damaged.size())});
  }
}

TEST_CASE("tables of a squashfs image are bounded by the image, whatever it says") {
  Bytes image(96, 0);
  const auto put = [&](std::size_t at, std::uint64_t value, std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; ++i)
      image[at + i] = static_cast<std::uint8_t>(value >> 8 * i);
  };
  put(0, 0x73717368, 4);
  put(12, 128 * kKiB, 4);
  put(16, 0xffffffff, 4);  // fragments, of which none is there: went on for seconds
  put(20, 1, 2);
  put(28, 4, 2);
  put(80, 96, 8);
  CHECK(read_squashfs(image)->streams.empty());

  // One plain metadata block that the index of fragments names again and again: read once.
  constexpr std::size_t kNamed = 1000;
  put(80, 96 + 2 + 8192, 8);
  put(16, kNamed * 512, 4);
  append_u16(image, 0x8000 | 8192 % 0x8000);
  for (int i = 0; i < 512; ++i) {
    append_u64(image, 96);
    append_u64(image, 16);
  }
  for (std::size_t i = 0; i < kNamed; ++i) append_u64(image, 96);
  const auto squashfs = read_squashfs(image);
  REQUIRE(squashfs);
  CHECK(squashfs->streams.size() <= 1);
}
