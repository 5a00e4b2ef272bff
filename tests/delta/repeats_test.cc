#include <catch2/catch.hpp>

#include <algorithm>

#include "delta/repeats.h"

using namespace layby;
using namespace layby::delta;

TEST_CASE("a repeat that ends before the place where it was found leads nowhere back") {
  Bytes target(300);
  for (std::size_t i = 0; i < target.size(); ++i) target[i] = static_cast<std::uint8_t>(i * 7 + 1);
  std::fill_n(target.begin() + 100, 100, std::uint8_t{0});
  // Copies that are so short that a repeat is cheaper, all among zeros.
  CopyList copies;
  const std::uint64_t begins[] = {0, 115, 120, 134, 140, target.size()};
  for (std::size_t i = 0; i + 1 < std::size(begins); ++i)
    copies.push_back({begins[i], begins[i], begins[i + 1] - begins[i]});
  RepeatSource source{};
  source.target = target;
  source.match_base = target;
  source.match_target = target;
  Repeats(target, repeat_table_bytes(target.size()))
      .add_to(ChunkCosts(source, copies, 0, target.size()), copies, {});
  std::uint64_t end = 0;
  for (const Copy& copy : copies) {
    CHECK(copy.target_offset >= end);
    end = copy.target_offset + copy.bytes;
    CHECK(end <= target.size());
    if (copy.source == Copy::Source::kTarget)
      CHECK(copy.source_offset + copy.bytes <= copy.target_offset);
  }
}
