// Which regions of a base are worth sorting where not all of it can be: after a first look by
// blocks, those that nothing in the target is equal to, and those around the places where the
// target went on differently. Encoder only.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "delta/copy.h"
#include "delta/seeds.h"

namespace layby::delta {

class BaseSurvey {
 public:
  // Bytes of the base are told apart in granules; there are at most 2^22 of them.
  explicit BaseSurvey(std::uint64_t base_bytes);

  // Takes note of the copies that blocks alone give for target[begin, end). Several threads may
  // call it at once, in any order. Returns how many bytes of the target no block settles.
  std::uint64_t add(ByteSpan base, ByteSpan target, std::uint64_t begin, std::uint64_t end,
                    const CopyList& copies);

  // Forgets where the target went on differently, not what is equal: for other chunks.
  void forget_wanted();

  // At most so many bytes: what is nearest to the wanted places; what something in the target is
  // equal to already counts as farther away. In order, without overlap.
  // Each granule of the base is read once at most, however often this is asked. One thread.
  std::vector<Region> choose(ByteSpan base, std::uint64_t bytes_max);

  // What is equal to nothing in the target, as far as was looked.
  std::uint64_t unsettled_bytes() const;

 private:
  using Flags = std::vector<std::atomic<std::uint8_t>>;

  void settle(std::uint64_t begin, std::uint64_t end);
  void want(std::uint64_t begin, std::uint64_t end);
  std::vector<std::uint32_t> ranks(ByteSpan base);
  bool is_blank(ByteSpan base, std::size_t granule);

  std::uint64_t base_bytes_;
  std::uint64_t granule_bytes_;
  Flags settled_;
  Flags wanted_;
  enum class Content : std::uint8_t { kUnknown, kBlank, kSomething };
  std::vector<Content> content_;  // of granules
};

}  // namespace layby::delta
