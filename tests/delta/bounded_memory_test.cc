// The parts that keep the encoder within its memory, and let it be stopped.
#include <sys/mman.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <new>

#include "delta/base_survey.h"
#include "delta/chunk_line.h"
#include "delta/elf_ranges.h"
#include "delta/encoder.h"
#include "delta/find_streams.h"
#include "delta/matcher.h"
#include "delta/memory_plan.h"
#include "delta/residence.h"
#include "delta/seeds.h"
#include "delta/share_out.h"
#include "delta/stopping.h"
#include "tests/delta/memory_file.h"
#include "tests/temp_dir.h"

using namespace layby;
using namespace layby::delta;
using namespace layby::delta::tests;
using layby::tests::TempDir;

namespace {

// Gives bytes as long as there is memory for them.
class HungryFile final : public ReadAt {
 public:
  explicit HungryFile(std::uint64_t size) : size_(size) {}
  std::uint64_t size() const override { return size_; }
  Result<void> read_at(std::uint64_t, MutableByteSpan) const override { throw std::bad_alloc(); }

 private:
  std::uint64_t size_;
};

// Requests a stop when it is read from the beginning for the second time: for the proof.
class StoppingFile final : public ReadAt {
 public:
  explicit StoppingFile(const Bytes& bytes) : bytes_(bytes) {}
  std::uint64_t size() const override { return bytes_.size(); }
  Result<void> read_at(std::uint64_t offset, MutableByteSpan out) const override {
    if (offset == 0 && ++begun_ == 2) stop.request_stop();
    if (stop.stop_requested()) bytes_read_then += out.size();
    return MemoryFile(Bytes(bytes_.begin() + static_cast<std::ptrdiff_t>(offset),
                            bytes_.begin() + static_cast<std::ptrdiff_t>(offset + out.size())))
        .read_at(0, out);
  }

  mutable std::stop_source stop;
  mutable std::uint64_t bytes_read_then = 0;

 private:
  const Bytes& bytes_;
  mutable int begun_ = 0;
};

MemoryPlan plan_of(std::uint64_t base, std::uint64_t target, std::uint64_t memory,
                   unsigned threads = 2) {
  EncodeOptions options;
  options.memory_bytes_max = memory;
  options.threads = threads;
  return plan_memory({base, target, 2 * (base + target)}, CoderId::kMixed, options).value();
}

std::uint64_t held(const MemoryPlan& plan, std::uint64_t base) {
  std::uint64_t seeds = 0;
  switch (plan.search) {
    case EncodeReport::Search::kNone: break;
    case EncodeReport::Search::kBlocks: seeds = plan.block_table_bytes_max; break;
    case EncodeReport::Search::kSuffixes: seeds = suffix_seeds_bytes(base); break;
    case EncodeReport::Search::kRegions:
      seeds = plan.block_table_bytes_max + region_seeds_bytes(plan.sorted_bytes_max);
      break;
  }
  return seeds + plan.repeat_table_bytes + plan.border_table_bytes + plan.file_pages_bytes_max +
         plan.threads * 96 * kMiB;
}

}  // namespace

TEST_CASE("what a plan shares out is never more than it may, and the search not the machine's") {
  for (const std::uint64_t memory : {136 * kMiB, 192 * kMiB, 512 * kMiB, 1536 * kMiB, 8 * kGiB})
    for (const std::uint64_t base : {std::uint64_t{0}, kMiB, 100 * kMiB, 537 * kMiB, 64 * kGiB})
      for (const std::uint64_t target : {std::uint64_t{0}, kMiB, 500 * kMiB, 64 * kGiB}) {
        INFO(memory << " " << base << " " << target);
        const MemoryPlan plan = plan_of(base, target, memory);
        const bool is_heap = plan.where == Expanse::Where::kHeap;
        CHECK(held(plan, base) + (is_heap ? 2 * (base + target) : 0) <= memory);
        if (!is_heap) CHECK(plan.file_pages_bytes_max >= kMiB);
        for (const unsigned threads : {1u, 8u}) {
          const MemoryPlan other = plan_of(base, target, memory, threads);
          CHECK(other.search == plan.search);
          CHECK(other.sorted_bytes_max == plan.sorted_bytes_max);
          CHECK(other.block_table_bytes_max == plan.block_table_bytes_max);
          CHECK(other.repeat_table_bytes == plan.repeat_table_bytes);
          CHECK(other.border_table_bytes == plan.border_table_bytes);
        }
      }
  // An image without addresses has to fit as well, at a time when seeds and tables do not.
  EncodeOptions usual;
  const ImageSizes padded{kMiB, 550 * kMiB, 2 * 551 * kMiB, 550 * kMiB};
  CHECK(plan_memory(padded, CoderId::kMixed, usual)->where == Expanse::Where::kFile);
  const ImageSizes equal{100 * kMiB, 100 * kMiB, 400 * kMiB, 100 * kMiB};
  CHECK(plan_memory(equal, CoderId::kMixed, usual)->where == Expanse::Where::kHeap);
  // What an executable of 140 MB needs is there with the usual bound, and an image's is not.
  CHECK(plan_of(140'000'000, 140'000'000, kEncoderMemoryBytes).search ==
        EncodeReport::Search::kSuffixes);
  const MemoryPlan image = plan_of(600'000'000, 600'000'000, kEncoderMemoryBytes);
  CHECK(image.search == EncodeReport::Search::kRegions);
  CHECK(image.sorted_bytes_max > 80 * kMiB);
  CHECK(image.threads == 2);
}

TEST_CASE("what there is no memory for is an error, and ends no process") {
  const MemoryFile small(Bytes(10'000, 'x'));
  MemoryFile output;
  const auto of_base = encode(&small, HungryFile(10'000), {}, output);
  REQUIRE_FALSE(of_base);
  CHECK(of_base.error().code() == ErrorCode::kTooLarge);
  CHECK(of_base.error().message().find("memory") != std::string::npos);
  // On another thread too.
  std::atomic<int> done = 0;
  CHECK_THROWS_AS(share_out(100, 3,
                            [&](std::size_t i) {
                              ++done;
                              if (i == 2) throw std::bad_alloc();
                              return true;
                            }),
                  std::bad_alloc);
  CHECK(done >= 3);
  for (int stage = 0; stage < 3; ++stage) {
    const auto work = [stage](int of) {
      return [=](std::size_t i) {
        if (of == stage && i == 5) throw std::bad_alloc();
        return true;
      };
    };
    ChunkLine line(0, 50, 4, {work(0), work(1), work(2)});
    CHECK_THROWS_AS(line.run(3), std::bad_alloc);
  }
}

TEST_CASE("chunks are joined in order, each once, and not too many are begun") {
  for (const unsigned threads : {1u, 2u, 7u}) {
    std::atomic<std::size_t> begun = 0;
    std::atomic<std::size_t> coded = 0;
    std::atomic<bool> begun_too_many = false;
    std::vector<std::size_t> joined;
    ChunkLine::Stages stages;
    stages.match = [&](std::size_t) {
      if (begun.fetch_add(1) >= coded + 6) begun_too_many = true;
      return true;
    };
    stages.join = [&](std::size_t i) {
      joined.push_back(i);
      return true;
    };
    stages.code = [&](std::size_t) {
      ++coded;
      return true;
    };
    ChunkLine(10, 210, 6, std::move(stages)).run(threads);
    REQUIRE(joined.size() == 200);
    for (std::size_t i = 0; i < 200; ++i) CHECK(joined[i] == i + 10);
    CHECK(coded == 200);
    CHECK_FALSE(begun_too_many);
  }
  // Whoever wants no more is not asked again.
  std::atomic<int> matched = 0;
  ChunkLine::Stages stages;
  stages.match = [&](std::size_t) { return ++matched < 3; };
  stages.join = stages.code = [](std::size_t) { return true; };
  ChunkLine(0, 1000, 2, std::move(stages)).run(2);
  CHECK(matched < 10);
}

TEST_CASE("a smaller table knows blocks farther apart") {
  CHECK(block_stride(10'000'000, block_seeds_bytes(10'000'000)) == kSeedBlockBytes);
  Random random(3);
  const Bytes base = noise(random, 300'000);
  const std::uint64_t stride = block_stride(base.size(), 16 * kKiB);
  CHECK(stride > kSeedBlockBytes);
  const auto seeds = make_block_seeds(base, 16 * kKiB);
  for (std::size_t at = 0; at + stride + kSeedBlockBytes <= base.size(); at += 10'001) {
    std::size_t found = 0;
    Seed best[kSeedsMax];
    for (std::size_t i = 0; i < stride; ++i)
      if (seeds->find(ByteSpan(base).subspan(at + i), at + i, best) > 0)
        found += best[0].base_offset == at + i ? 1 : 0;
    CHECK(found == 1);
  }
}

TEST_CASE("suffixes of regions find what stands in them, and follow it beyond") {
  Random random(4);
  Bytes base = noise(random, 100'000);
  const std::vector<Region> regions{{1000, 2000}, {50'000, 50'500}, {99'000, 100'000}};
  const auto seeds = make_suffix_seeds(base, regions, 2);
  Seed best[kSeedsMax];
  for (const std::uint64_t at : {1000ull, 1990ull, 50'000ull, 50'490ull, 99'980ull}) {
    REQUIRE(seeds->find(ByteSpan(base).subspan(at), at, best) > 0);
    CHECK(best[0].base_offset == at);
    CHECK(best[0].bytes == std::min<std::uint64_t>(kSeedBytesMax, base.size() - at));
  }
  for (std::size_t i = 0; i < seeds->find(ByteSpan(base).subspan(3000), 3000, best); ++i)
    CHECK(best[i].bytes < 6);
  // In pieces, each match as long as it is.
  const Bytes large = noise(random, 33 * kMiB);
  const auto whole = make_suffix_seeds(large, 2);
  for (const std::size_t at :
       {std::size_t{0}, large.size() / 2 - 100, large.size() / 2, large.size() - 20}) {
    REQUIRE(whole->find(ByteSpan(large).subspan(at), at, best) > 0);
    CHECK(best[0].base_offset == at);
    CHECK(best[0].bytes == std::min<std::uint64_t>(kSeedBytesMax, large.size() - at));
  }
}

TEST_CASE("a survey chooses what is near to where the target went on differently") {
  Random random(5);
  const Bytes base = noise(random, 1'000'000);
  Bytes target = base;
  const Bytes fresh = noise(random, 100);
  std::copy(fresh.begin(), fresh.end(), target.begin() + 500'000);
  const auto blocks = make_block_seeds(base, block_seeds_bytes(base.size()));
  BaseSurvey survey(base.size());
  const auto look = [&](std::size_t begin, std::size_t end) {
    return survey.add(base, target, begin, end, match(base, target, begin, end, *blocks, {}));
  };
  CHECK(look(0, 500'000) == 0);
  CHECK(look(500'000, 1'000'000) == 100);
  CHECK(survey.unsettled_bytes() <= 3 * 4096);
  const auto few = survey.choose(base, 40'000);
  REQUIRE(few.size() == 1);
  CHECK(few[0].begin <= 500'000);
  CHECK(few[0].end >= 500'100);
  CHECK(few[0].bytes() <= 40'000);
  const auto all = survey.choose(base, 2'000'000);
  REQUIRE(all.size() == 1);
  CHECK(all[0].bytes() == base.size());
  // Of what nothing says anything there is nothing but zeros.
  const Bytes zeros(100'000);
  BaseSurvey blank(zeros.size());
  CHECK(blank.choose(zeros, 100'000).empty());
}

TEST_CASE("temporary files that there is no place for are an error that says where") {
  const TempDir dir;
  Random random(6);
  const MemoryFile base(noise(random, 20 * kMiB));
  Bytes changed = base.bytes;
  changed[kMiB] ^= 1;
  EncodeOptions options;
  options.effort = Effort::kQuick;
  options.memory_bytes_max = 140 * kMiB;
  options.temporary_directory = dir / "none";
  MemoryFile output;
  const auto made = encode(&base, MemoryFile(changed), options, output);
  REQUIRE_FALSE(made);
  CHECK(made.error().code() == ErrorCode::kNotFound);
  CHECK(made.error().message().find(dir / "none") != std::string::npos);
  // With a place the images are copied there, unless that leaves others too little, and nothing
  // stays.
  options.temporary_directory = dir.path();
  options.free_bytes_min = std::uint64_t{1} << 62;
  const auto without_room = encode(&base, MemoryFile(changed), options, output);
  REQUIRE_FALSE(without_room);
  CHECK(without_room.error().code() == ErrorCode::kDiskFull);
  options.free_bytes_min = 1;
  MemoryFile payload;
  REQUIRE(encode(&base, MemoryFile(changed), options, payload));
  RealDisk disk;
  CHECK(disk.list(dir.path()).value().empty());
}

TEST_CASE("the proof of a payload is stopped, and not only between its parts") {
  Random random(7);
  const Bytes bytes = noise(random, 16 * kMiB);
  const StoppingFile base(bytes);
  Bytes changed = bytes;
  changed[kMiB] ^= 1;
  EncodeOptions options;
  options.effort = Effort::kQuick;
  options.threads = 1;
  options.stop = base.stop.get_token();
  MemoryFile output;
  const auto made = encode(&base, MemoryFile(changed), options, output);
  REQUIRE_FALSE(made);
  CHECK(made.error().code() == ErrorCode::kCancelled);
  CHECK(base.bytes_read_then > 0);
  CHECK(base.bytes_read_then <= 2 * kMiB);
}

TEST_CASE("whatever goes through an image is stopped on the way, on every thread") {
  Random random(8);
  const Bytes image = noise(random, 2 * kPageWindowBytes);
  Bytes room(image.size());
  BaseSurvey survey(image.size());
  std::stop_source source;
  const StopScope scope(source.get_token());
  const auto all = [&](auto expect) {
    expect([&] { find_streams(image); });
    expect([&] { make_block_seeds(image, block_seeds_bytes(image.size())); });
    expect([&] { make_suffix_seeds(ByteSpan(image).first(kMiB), 1); });
    expect([&] { make_suffix_seeds(image, {{0, kMiB}}, 1); });
    expect([&] { survey.choose(image, kMiB); });
    expect([&] { copy_in_windows(image, room); });
    expect([&] { find_addresses(image, image); });
    expect([&] {
      share_out(100, 3, [](std::size_t) {
        check_stop();
        return true;
      });
    });
  };
  all([](auto work) { CHECK_NOTHROW(work()); });
  source.request_stop();
  all([](auto work) { CHECK_THROWS_AS(work(), Stopped); });
  {
    const StopScope inner{std::stop_token()};
    CHECK_NOTHROW(check_stop());
  }
  CHECK_THROWS_AS(check_stop(), Stopped);
}

TEST_CASE("what is unmapped because something was thrown is looked after no longer") {
  constexpr std::size_t kBytes = 1 * kMiB;
  void* const at =
      ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(at != MAP_FAILED);
  const MutableByteSpan mapped(static_cast<std::uint8_t*>(at), kBytes);
  Residence residence(0);
  try {
    const LookedAfter is(&residence, mapped);
    throw std::bad_alloc();
  } catch (const std::bad_alloc&) {
  }
  // As if it were somebody else's now. What is let go of such memory comes back as zeros.
  std::fill(mapped.begin(), mapped.end(), std::uint8_t{1});
  residence.relieve();
  CHECK(std::count(mapped.begin(), mapped.end(), std::uint8_t{1}) == kBytes);
  ::munmap(at, kBytes);
}
