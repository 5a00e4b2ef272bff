#include "delta/memory_plan.h"

#include <algorithm>
#include <thread>

#include "delta/borders.h"
#include "delta/repeats.h"
#include "delta/seeds.h"

namespace layby::delta {
namespace {

constexpr unsigned kThreadsMax = 8;
// What one thread needs for matching and for the entropy coders, and chunks that wait; and besides
// what is there only once.
constexpr std::uint64_t kThreadBytes = 96 * kMiB;
constexpr std::uint64_t kOnceBytes = 32 * kMiB;

// Parts of what is left where images do not fit.
constexpr std::uint64_t kPagesPart = 8;
constexpr std::uint64_t kBlocksPart = 8;
constexpr std::uint64_t kRepeatsPart = 8;
constexpr std::uint64_t kBordersPart = 16;
constexpr std::uint64_t kSortedSixteenths = 7;

// The most bytes whose suffixes fit.
std::uint64_t sorted_bytes_in(std::uint64_t memory_bytes) {
  std::uint64_t low = 0;
  std::uint64_t high = std::min(memory_bytes / 5, kSuffixBytesMax);
  while (low < high) {
    const std::uint64_t middle = high - (high - low) / 2;
    if (region_seeds_bytes(middle) <= memory_bytes)
      low = middle;
    else
      high = middle - 1;
  }
  return low;
}

class Planner {
 public:
  Planner(const ImageSizes& sizes, CoderId coder, const EncodeOptions& options)
      : sizes_(sizes), available_(options.memory_bytes_max - kOnce()) {
    const unsigned wanted =
        options.threads > 0 ? options.threads : std::thread::hardware_concurrency();
    threads_wanted_ = std::clamp(wanted, 1u, kThreadsMax);
    if (coder == CoderId::kMixed && sizes.base > 0) {
      plan_.repeat_table_bytes = repeat_table_bytes(sizes.target);
      plan_.border_table_bytes = border_table_bytes(sizes.target);
    }
  }

  static constexpr std::uint64_t kOnce() { return kOnceBytes + kThreadBytes; }

  MemoryPlan plan(Effort effort) {
    if (sizes_.base > 0) choose_search(effort);
    place();
    return plan_;
  }

 private:
  std::uint64_t tables() const { return plan_.repeat_table_bytes + plan_.border_table_bytes; }
  std::uint64_t pages_least() const { return available_ / kPagesPart; }

  void choose_search(Effort effort) {
    const std::uint64_t blocks = block_seeds_bytes(sizes_.base);
    switch (effort) {
      case Effort::kQuick:
        plan_.search = EncodeReport::Search::kBlocks;
        shrink_tables();
        plan_.block_table_bytes_max = std::min(blocks, available_ / 2);
        seeds_ = plan_.block_table_bytes_max;
        return;
      case Effort::kThorough: break;
    }
    // Those of the base that a search looks at had better stay where they are.
    const std::uint64_t all = suffix_seeds_bytes(sizes_.base);
    const std::uint64_t images = std::min(sizes_.all, sizes_.base + pages_least());
    if (sizes_.base <= kSuffixBytesMax && all + images + tables() <= available_) {
      plan_.search = EncodeReport::Search::kSuffixes;
      seeds_ = all;
      return;
    }
    plan_.search = EncodeReport::Search::kRegions;
    shrink_tables();
    plan_.block_table_bytes_max = std::min(blocks, available_ / kBlocksPart);
    const std::uint64_t sorted = available_ / 16 * kSortedSixteenths;
    plan_.sorted_bytes_max = std::min(sorted_bytes_in(sorted), sizes_.base);
    seeds_ = plan_.block_table_bytes_max + region_seeds_bytes(plan_.sorted_bytes_max);
  }

  void shrink_tables() {
    plan_.repeat_table_bytes = std::min(plan_.repeat_table_bytes, available_ / kRepeatsPart);
    plan_.border_table_bytes = std::min(plan_.border_table_bytes, available_ / kBordersPart);
  }

  unsigned threads_with(std::uint64_t images) const {
    const std::uint64_t needed = seeds_ + tables() + images;
    const std::uint64_t left = available_ > needed ? available_ - needed : 0;
    return static_cast<unsigned>(std::min<std::uint64_t>(threads_wanted_, 1 + left / kThreadBytes));
  }

  // On the heap if they fit there, unless that leaves no room for a second thread.
  void place() {
    const bool fits = std::max(seeds_ + tables(), sizes_.passing) + sizes_.all <= available_;
    const unsigned beside_files = threads_with(pages_least());
    plan_.threads = threads_with(sizes_.all);
    if (fits && (plan_.threads > 1 || beside_files == 1)) return;
    plan_.where = Expanse::Where::kFile;
    plan_.threads = beside_files;
    const std::uint64_t held = seeds_ + tables() + (plan_.threads - 1) * kThreadBytes;
    plan_.file_pages_bytes_max = std::max(pages_least(), available_ - std::min(available_, held));
  }

  const ImageSizes sizes_;
  const std::uint64_t available_;
  unsigned threads_wanted_ = 1;
  std::uint64_t seeds_ = 0;
  MemoryPlan plan_;
};

// Less would leave nothing for the images.
constexpr std::uint64_t kLeastBytes = Planner::kOnce() + 8 * kMiB;

}  // namespace

Result<MemoryPlan> plan_memory(const ImageSizes& sizes, CoderId coder,
                               const EncodeOptions& options) {
  if (options.memory_bytes_max < kLeastBytes)
    return fail(ErrorCode::kTooLarge,
                "making a payload needs {} bytes of memory at least, {} are allowed", kLeastBytes,
                options.memory_bytes_max);
  return Planner(sizes, coder, options).plan(options.effort);
}

}  // namespace layby::delta
