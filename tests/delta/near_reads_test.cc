// Reading an image by lines: the same bytes as without, with fewer reads.
#include "delta/near_reads.h"

#include <catch2/catch.hpp>

#include "tests/delta/memory_file.h"

namespace layby::delta::tests {
namespace {

// Counts what is read of it, and fails when told to.
class CountedImage : public MemoryFile {
 public:
  using MemoryFile::MemoryFile;

  Result<void> read_at(std::uint64_t offset, MutableByteSpan out) const override {
    ++reads;
    if (!fails) return MemoryFile::read_at(offset, out);
    std::ranges::fill(out, std::uint8_t{0});
    return fail(ErrorCode::kIo, "the medium fails");
  }

  mutable int reads = 0;
  bool fails = false;
};

}  // namespace

TEST_CASE("reads by lines give the image's bytes, whatever their place and length") {
  Random random(7);
  const CountedImage image(noise(random, 700'001));
  const NearReads near_reads(image);
  CHECK(near_reads.size() == image.size());
  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t longest = i % 10 == 0 ? 40'000 : 100;
    const std::uint64_t offset = random() % (image.size() + 1);
    const std::uint64_t bytes = std::min(random() % longest, image.size() - offset);
    Bytes out(bytes);
    REQUIRE(near_reads.read_at(offset, out));
    REQUIRE(std::equal(out.begin(), out.end(),
                       image.bytes.begin() + static_cast<std::ptrdiff_t>(offset)));
  }
}

TEST_CASE("small reads beside each other are one read of the image") {
  Random random(8);
  const CountedImage image(noise(random, 100'000));
  const NearReads near_reads(image);
  Bytes out(20);
  for (std::uint64_t at = 8192; at + 20 <= 16384; at += 20) REQUIRE(near_reads.read_at(at, out));
  CHECK(image.reads == 1);
}

TEST_CASE("a read past the end is refused, and one that failed is tried anew") {
  Random random(9);
  CountedImage image(noise(random, 10'000));
  const NearReads near_reads(image);
  Bytes out(20);
  CHECK(near_reads.read_at(9'990, out).error().code() == ErrorCode::kIo);
  CHECK(near_reads.read_at(~std::uint64_t{0}, out).error().code() == ErrorCode::kIo);
  image.fails = true;
  CHECK(near_reads.read_at(100, out).error().code() == ErrorCode::kIo);
  image.fails = false;
  REQUIRE(near_reads.read_at(100, out));
  CHECK(std::equal(out.begin(), out.end(), image.bytes.begin() + 100));
}

}  // namespace layby::delta::tests
