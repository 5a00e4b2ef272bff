#include "delta/seeds.h"

namespace layby::delta {
namespace {

class JoinedSeeds final : public Seeds {
 public:
  JoinedSeeds(const Seeds& a, const Seeds& b) : a_(a), b_(b) {}

  std::size_t find(ByteSpan target, std::uint64_t near, Seed* out) const override {
    std::size_t count = a_.find(target, near, out);
    Seed others[kSeedsMax];
    const std::size_t more = b_.find(target, near, others);
    for (std::size_t i = 0; i < more; ++i) {
      bool is_known = false;
      for (std::size_t j = 0; j < count; ++j)
        is_known |= out[j].base_offset == others[i].base_offset;
      if (!is_known) count = keep_seed(others[i], near, out, count);
    }
    return count;
  }

 private:
  const Seeds& a_;
  const Seeds& b_;
};

}  // namespace

std::unique_ptr<Seeds> join_seeds(const Seeds& a, const Seeds& b) {
  return std::make_unique<JoinedSeeds>(a, b);
}

std::size_t keep_seed(const Seed& seed, std::uint64_t near, Seed* best, std::size_t count) {
  const auto distance = [near](const Seed& of) {
    return of.base_offset > near ? of.base_offset - near : near - of.base_offset;
  };
  std::size_t at = count;
  while (at > 0 && (seed.bytes > best[at - 1].bytes ||
                    (seed.bytes == best[at - 1].bytes && distance(seed) < distance(best[at - 1]))))
    --at;
  if (at == kSeedsMax) return count;
  if (count < kSeedsMax) ++count;
  for (std::size_t i = count - 1; i > at; --i) best[i] = best[i - 1];
  best[at] = seed;
  return count;
}

}  // namespace layby::delta
