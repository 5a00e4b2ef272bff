#include "manifest/region_image.h"

#include <rapidcheck/catch.h>

#include <cstdlib>

#include "crypto/digest.h"
#include "tests/manifest/test_repository.h"
#include "tests/temp_dir.h"

namespace layby::tests {
namespace {

using namespace manifest;

class MemoryImage final : public ReadAt {
 public:
  explicit MemoryImage(Bytes bytes) : bytes_(std::move(bytes)) {}
  std::uint64_t size() const override { return bytes_.size(); }
  Result<void> read_at(std::uint64_t offset, MutableByteSpan out) const override {
    if (offset > bytes_.size() || out.size() > bytes_.size() - offset)
      return fail(ErrorCode::kIo, "past the end");
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
    return {};
  }

 private:
  Bytes bytes_;
};

void put_file(Disk& disk, const std::string& path, std::string_view content) {
  must(disk.make_dirs(parent_dir(path)));
  must(replace_file(disk, path, as_bytes(content)));
}

Bytes read_all(const ReadAt& image) {
  Bytes bytes(image.size());
  must(image.read_at(0, bytes));
  return bytes;
}

Bytes image_of(Disk& disk, const std::string& directory) {
  return read_all(*must(RegionImage::open(disk, directory)));
}

const std::string kLongName(60, 'n');

void make_sample(Disk& disk, const std::string& directory) {
  put_file(disk, directory + "/region.db", std::string(5000, 'd'));
  put_file(disk, directory + "/region.json", "{}");
  put_file(disk, directory + "/a.txt", "");
  put_file(disk, directory + "/a/b/exact", std::string(1024, 'e'));
  put_file(disk, directory + "/" + kLongName + "/" + kLongName + "/leaf", "deep");
  must(disk.make_dirs(directory + "/empty"));
}

TEST_CASE("a region image is the archive that GNU tar makes by the documented rules") {
  TempDir dir;
  RealDisk disk;
  make_sample(disk, dir / "region");
  // The command of docs/formats.md.
  const std::string command =
      "cd " + (dir / "region") +
      " && find . -mindepth 1 -printf '%P\\n' | LC_ALL=C sort | tar --no-recursion -T - -b1"
      " --format=ustar --owner=0 --group=0 --numeric-owner --mtime=@0 --mode=u=rwX,go=rX -cf "
      "../tar";
  REQUIRE(std::system(command.c_str()) == 0);
  CHECK(image_of(disk, dir / "region") == must(read_file(disk, dir / "tar", kMiB)));
}

TEST_CASE("a view reads the same bytes at any offset and length") {
  TempDir dir;
  RealDisk disk;
  make_sample(disk, dir / "region");
  const auto image = must(RegionImage::open(disk, dir / "region"));
  const Bytes whole = read_all(*image);
  for (std::uint64_t offset = 0; offset < whole.size(); offset += 97) {
    Bytes part(std::min<std::uint64_t>(whole.size() - offset, 1 + offset % 3000));
    must(image->read_at(offset, part));
    REQUIRE(
        std::equal(part.begin(), part.end(), whole.begin() + static_cast<std::ptrdiff_t>(offset)));
  }
  Bytes beyond(2);
  CHECK(code_of(image->read_at(whole.size() - 1, beyond)) == ErrorCode::kIo);
}

TEST_CASE("unpacking gives a directory with the same image") {
  TempDir dir;
  RealDisk disk;
  make_sample(disk, dir / "region");
  const Bytes image = image_of(disk, dir / "region");
  must(unpack_region_image(MemoryImage(image), disk, dir / "copy"));
  CHECK(image_of(disk, dir / "copy") == image);
  CHECK(as_text(must(read_file(disk, dir / "copy/region.json", 10))) == "{}");
  CHECK(code_of(unpack_region_image(MemoryImage(image), disk, dir / "copy")) ==
        ErrorCode::kInvalidArgument);
}

TEST_CASE("an empty region is two blocks of zeros") {
  TempDir dir;
  RealDisk disk;
  must(disk.make_dirs(dir / "region"));
  CHECK(image_of(disk, dir / "region") == Bytes(1024));
  must(unpack_region_image(MemoryImage(Bytes(1024)), disk, dir / "copy"));
}

TEST_CASE("what a region may not hold") {
  TempDir dir;
  RealDisk disk;
  must(disk.make_dirs(dir / "region"));
  SECTION("a link") {
    must(disk.symlink("/etc/passwd", dir / "region/link"));
    CHECK(code_of(RegionImage::open(disk, dir / "region")) == ErrorCode::kBadFormat);
  }
  SECTION("a control character in a name") {
    put_file(disk, dir / "region/a\nb", "");
    CHECK(code_of(RegionImage::open(disk, dir / "region")) == ErrorCode::kBadFormat);
  }
  SECTION("a name of more than 100 characters") {
    put_file(disk, dir / ("region/" + std::string(101, 'x')), "");
    CHECK(code_of(RegionImage::open(disk, dir / "region")) == ErrorCode::kTooLarge);
  }
  SECTION("a path beyond 155 and 100") {
    put_file(disk,
             dir / ("region/" + std::string(90, 'x') + "/" + std::string(90, 'y') + "/" +
                    std::string(80, 'z')),
             "");
    CHECK(code_of(RegionImage::open(disk, dir / "region")) == ErrorCode::kTooLarge);
  }
}

// A header that is right in itself, for any name and type.
Bytes header_for(std::string_view name, char type, std::string_view content,
                 std::string_view link = "") {
  Bytes block(512);
  const auto put = [&](std::size_t at, std::string_view text) {
    std::copy(text.begin(), text.end(), block.begin() + static_cast<std::ptrdiff_t>(at));
  };
  put(0, name);
  put(100, type == '5' ? "0000755" : "0000644");
  put(108, "0000000");
  put(116, "0000000");
  put(124, fmt::format("{:011o}", content.size()));
  put(136, "00000000000");
  put(148, "        ");
  block[156] = static_cast<std::uint8_t>(type);
  put(157, link);
  put(257, std::string_view("ustar\00000", 8));
  put(329, "0000000");
  put(337, "0000000");
  unsigned sum = 0;
  for (const auto byte : block) sum += byte;
  put(148, fmt::format("{:06o}", sum));
  block[154] = 0;
  block.insert(block.end(), content.begin(), content.end());
  block.resize((block.size() + 511) / 512 * 512);
  return block;
}

Bytes archive(std::initializer_list<Bytes> entries) {
  Bytes all;
  for (const Bytes& entry : entries) all.insert(all.end(), entry.begin(), entry.end());
  all.resize(all.size() + 1024);
  return all;
}

TEST_CASE("hostile archives are refused and leave the directory's surroundings alone") {
  const Bytes file = header_for("b", '0', "content");
  const auto changed = [&](std::size_t at, std::uint8_t value) {
    Bytes bytes = archive({file});
    bytes[at] = value;
    return bytes;
  };
  Bytes cut = archive({file});
  cut.resize(cut.size() - 1);
  Bytes longer = archive({file});
  longer.resize(longer.size() + 512);
  const std::pair<const char*, Bytes> hostile[] = {
      {"parent", archive({header_for("../escape", '0', "x")})},
      {"parent inside", archive({header_for("a/", '5', ""), header_for("a/../../e", '0', "x")})},
      {"absolute", archive({header_for("/tmp/escape", '0', "x")})},
      {"dot", archive({header_for("./b", '0', "x")})},
      {"empty component", archive({header_for("a/", '5', ""), header_for("a//b", '0', "x")})},
      {"empty name", archive({header_for("", '0', "x")})},
      {"control character", archive({header_for("a\nb", '0', "x")})},
      {"symbolic link", archive({header_for("b", '2', "", "/etc")})},
      {"hard link", archive({header_for("b", '1', "", "/etc/passwd")})},
      {"device", archive({header_for("b", '3', "")})},
      {"fifo", archive({header_for("b", '6', "")})},
      {"GNU long name", archive({header_for("././@LongLink", 'L', "x")})},
      {"pax header", archive({header_for("b", 'x', "x")})},
      {"twice", archive({file, file})},
      {"wrong order", archive({file, header_for("a", '0', "x")})},
      {"directory after its file", archive({header_for("a/b", '0', "x")})},
      {"file as directory", archive({header_for("a", '0', "x"), header_for("a/b", '0', "x")})},
      {"directory without slash", archive({header_for("a", '5', "")})},
      {"directory with contents", archive({header_for("a/", '5', "x")})},
      {"file with slash", archive({header_for("a/", '0', "x")})},
      {"mode", changed(106, '5')},
      {"checksum", changed(150, '9')},
      {"uid", changed(114, '1')},
      {"mtime", changed(146, '1')},
      {"rest of the name field", changed(50, 'x')},
      {"end of the header", changed(511, 1)},
      {"padding", changed(512 + 100, 1)},
      {"end block", changed(1024 + 3, 1)},
      {"second end block", changed(1024 + 512 + 3, 1)},
      {"cut", cut},
      {"longer", longer},
      {"nothing", {}},
      {"size beyond the end", changed(128, '7')},
  };
  RealDisk disk;
  for (const auto& [what, bytes] : hostile) {
    CAPTURE(what);
    TempDir dir;
    CHECK(code_of(unpack_region_image(MemoryImage(bytes), disk, dir / "in/region")) ==
          ErrorCode::kBadFormat);
    CHECK(must(disk.list(dir.path())) == std::vector<std::string>{"in"});
    CHECK(must(disk.list(dir / "in")).size() == 1);
  }
  TempDir dir;
  must(unpack_region_image(MemoryImage(archive({file})), disk, dir / "region"));
}

TEST_CASE("any tree survives packing and unpacking, byte for byte") {
  RealDisk disk;
  rc::prop("view(unpack(view(tree))) == view(tree)", [&] {
    TempDir dir;
    must(disk.make_dirs(dir / "region"));
    const auto part = [] {
      return *rc::gen::nonEmpty(
          rc::gen::container<std::string>(rc::gen::elementOf(std::string("ab-.~ \xc3\xbc"))));
    };
    for (int i = *rc::gen::inRange(0, 8); i > 0; --i) {
      std::string path = "p" + part().substr(0, 20);
      for (int depth = *rc::gen::inRange(0, 3); depth > 0; --depth)
        path += "/q" + part().substr(0, 20);
      const auto bytes = *rc::gen::inRange<std::size_t>(0, 2000);
      const std::string full = dir / ("region/" + path);
      // A name may be taken by a directory already, or the other way round.
      if (disk.make_dirs(parent_dir(full)))
        static_cast<void>(replace_file(disk, full, Bytes(bytes, 'x')));
      static_cast<void>(disk.remove(full + ".new"));
    }
    const Bytes image = image_of(disk, dir / "region");
    must(unpack_region_image(MemoryImage(image), disk, dir / "copy"));
    RC_ASSERT(image_of(disk, dir / "copy") == image);
  });
}

}  // namespace
}  // namespace layby::tests
