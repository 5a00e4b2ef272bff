// Files inside file system images, and the executables among them.
#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <set>

#include "base/disk.h"
#include "base/limits.h"
#include "delta/elf_ranges.h"
#include "delta/image_files.h"
#include "tests/temp_dir.h"

using namespace layby;
using namespace layby::delta;
using layby::tests::TempDir;

namespace {

using Contents = std::multiset<Bytes>;

Bytes read_all(const std::string& path) {
  RealDisk disk;
  return read_file(disk, path, 256 * kMiB).value();
}

void write_all(const std::string& path, ByteSpan bytes) {
  RealDisk disk;
  const auto file = disk.open_write(path).value();
  REQUIRE(file->write_at(0, bytes));
}

Bytes noise(std::size_t bytes, unsigned seed) {
  std::mt19937 random(seed);
  Bytes made(bytes);
  for (std::uint8_t& byte : made) byte = static_cast<std::uint8_t>(random() | 1);
  return made;
}

// Every second block of 1 KiB is zeros: one extent for each that is not.
Bytes full_of_holes(std::size_t blocks) {
  Bytes made = noise(blocks * 1024, 3);
  for (std::size_t i = 1; i < blocks; i += 2) std::fill_n(made.begin() + i * 1024, 1024, 0);
  return made;
}

void run(const std::string& command) {
  INFO(command);
  REQUIRE(std::system(command.c_str()) == 0);
}

Contents write_tree(const std::string& root) {
  std::filesystem::create_directories(root + "/etc/deep/er");
  Contents contents;
  const auto add = [&](const std::string& name, const Bytes& bytes) {
    write_all(root + name, bytes);
    contents.insert(bytes);
  };
  add("/small", noise(10, 1));
  add("/etc/block", noise(4096, 2));
  add("/etc/deep/holes", full_of_holes(1500));
  add("/etc/deep/er/large", noise(300'001, 4));
  for (int i = 0; i < 200; ++i)
    add("/etc/file-with-a-name-" + std::to_string(i), noise(100 + i, 100 + i));
  std::filesystem::create_symlink("small", root + "/link");
  write_all(root + "/empty", {});  // left out
  return contents;
}

Bytes make_ext4(const TempDir& dir, const std::string& root, const std::string& options) {
  const std::string image = dir / "image.ext4";
  std::filesystem::remove(image);
  run("PATH=$PATH:/usr/sbin:/sbin mke2fs -q -F -t ext4 -m 0 " + options + " -d " + root + " " +
      image + " 16M");
  return read_all(image);
}

Bytes make_erofs(const TempDir& dir, const std::string& root) {
  const std::string image = dir / "image.erofs";
  std::filesystem::remove(image);
  run("mkfs.erofs --quiet " + image + " " + root);
  return read_all(image);
}

Contents contents_of(ByteSpan image, const std::vector<ImageFile>& files) {
  Contents contents;
  for (const ImageFile& file : files) {
    Bytes bytes(file.bytes);
    REQUIRE(read_file(image, file, 0, bytes));
    contents.insert(std::move(bytes));
  }
  return contents;
}

// What `find_image_files` promises, whatever the image is. Returns how many files there are.
std::size_t check_promises(ByteSpan image) {
  const auto files = find_image_files(image);
  if (!files) return 0;
  std::uint64_t sum = 0;
  bool holds = true;
  for (const ImageFile& file : *files) {
    std::uint64_t end = 0;
    for (const FileExtent& extent : file.extents) {
      holds = holds && extent.file_offset >= end && extent.bytes > 0 &&
              extent.file_end() <= file.bytes && extent.image_offset <= image.size() &&
              extent.bytes <= image.size() - extent.image_offset;
      end = extent.file_end();
      sum += extent.bytes;
    }
  }
  CHECK(holds);
  CHECK(sum <= image.size());
  return files->size();
}

void check_damaged(const Bytes& image, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::size_t> used;  // where a change means something, the super block most of all
  for (std::size_t i = 0; i < image.size(); ++i)
    if (image[i] != 0 && (i < 4096 || i % 61 == 0)) used.push_back(i);
  std::size_t found = 0;
  for (int round = 0; round < 300; ++round) {
    Bytes damaged = image;
    for (int i = 0; i < 3 + round % 40; ++i)
      damaged[used[random() % used.size()]] = static_cast<std::uint8_t>(random());
    if (round % 4 == 0) damaged[1024 + random() % 256] = 0xff;
    if (round % 5 == 0) damaged.resize(random() % damaged.size());
    found += check_promises(damaged);
  }
  CHECK(found > 0);
}

}  // namespace

TEST_CASE("files of an ext4 image are found with their holes") {
  const TempDir dir;
  const Contents contents = write_tree(dir / "root");
  for (const std::string options :
       {"-b 1024", "-b 4096", "-b 1024 -O ^64bit,^metadata_csum", "-b 2048 -I 128"}) {
    INFO(options);
    const Bytes image = make_ext4(dir, dir / "root", options);
    const auto files = find_image_files(image);
    REQUIRE(files);
    CHECK((contents_of(image, *files) == contents));  // a message would be megabytes
    check_promises(image);
  }
}

TEST_CASE("files of an EROFS image are found with their tails") {
  const TempDir dir;
  const Contents contents = write_tree(dir / "root");
  const Bytes image = make_erofs(dir, dir / "root");
  const auto files = find_image_files(image);
  REQUIRE(files);
  CHECK((contents_of(image, *files) == contents));  // a message would be megabytes
  check_promises(image);
}

TEST_CASE("what is no file system has no files") {
  CHECK_FALSE(find_image_files({}));
  CHECK_FALSE(find_image_files(noise(100'000, 5)));
  CHECK_FALSE(find_image_files(Bytes(100'000, 0)));
}

TEST_CASE("damaged images have fewer files and do no harm") {
  const TempDir dir;
  write_tree(dir / "root");
  check_damaged(make_ext4(dir, dir / "root", "-b 1024"), 6);
  check_damaged(make_erofs(dir, dir / "root"), 7);
}

TEST_CASE("bytes of a file are read across extents and holes") {
  const Bytes image = noise(100, 8);
  const ImageFile file{50, {{90, 5, 10}, {0, 15, 5}, {30, 40, 10}}};
  Bytes out(50);
  REQUIRE(read_file(image, file, 0, out));
  for (std::size_t i = 0; i < out.size(); ++i) {
    const int expected = i < 5    ? 0
                         : i < 15 ? image[85 + i]
                         : i < 20 ? image[i - 15]
                         : i < 40 ? 0
                                  : image[i - 10];
    CHECK(out[i] == expected);
  }
  Bytes part(7);
  REQUIRE(read_file(image, file, 12, part));
  CHECK(std::equal(part.begin(), part.end(), out.begin() + 12));
  CHECK_FALSE(read_file(image, file, 44, part));
  CHECK_FALSE(read_file(image, file, ~std::uint64_t{0}, part));
}
