// Positions of a text that begin alike, the latest first.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace layby::delta {

// Only as far back as a distance of deflate reaches.
inline constexpr std::uint32_t kChainReach = 32768;

// Both kinds of chains hold for each hash the latest position, and for each position how far back
// the one before it is. Heads are relative to an origin that moves on as the text does, so that 16
// bits hold them. The origin itself stands for "none": at the text's beginning that is a position
// which no recipe matches, later one that is out of reach.
class PositionChains {
 public:
  explicit PositionChains(unsigned hash_bits_max)
      : heads_(std::size_t{1} << hash_bits_max), back_(kChainReach) {}

  void clear(unsigned hash_bits) {
    used_ = std::size_t{1} << hash_bits;
    std::fill_n(heads_.begin(), used_, std::uint16_t{0});
  }

  // `position` is the latest of those with this hash, at most 65,535 after the origin.
  void push(std::uint32_t hash, std::uint32_t position, std::uint32_t origin) {
    const std::uint32_t here = position - origin;
    back_[position % kChainReach] = static_cast<std::uint16_t>(here - heads_[hash]);
    heads_[hash] = static_cast<std::uint16_t>(here);
  }

  // The latest with this hash, relative to the origin.
  std::uint32_t latest(std::uint32_t hash) const { return heads_[hash]; }

  // Of a position that was pushed and is in reach: how far back the one before it is.
  std::uint32_t back(std::uint32_t position) const { return back_[position % kChainReach]; }

  // The origin moves on by kChainReach.
  void slide() {
    for (std::size_t i = 0; i < used_; ++i) {
      const std::uint16_t head = heads_[i];
      heads_[i] = static_cast<std::uint16_t>(head > kChainReach ? head - kChainReach : 0);
    }
  }

 private:
  std::size_t used_ = 0;
  std::vector<std::uint16_t> heads_;
  std::vector<std::uint16_t> back_;
};

// The same, and how many positions came before each on its chain, modulo 2^16: between two of one
// chain, the difference says how many steps lie between them.
class CountedChains {
 public:
  explicit CountedChains(unsigned hash_bits_max)
      : heads_(std::size_t{1} << hash_bits_max), links_(kChainReach) {}

  void clear(unsigned hash_bits) {
    used_ = std::size_t{1} << hash_bits;
    std::fill_n(heads_.begin(), used_, Head{});
  }

  void push(std::uint32_t hash, std::uint32_t position, std::uint32_t origin) {
    const std::uint32_t here = position - origin;
    const Head before = heads_[hash];
    const auto count = static_cast<std::uint16_t>(before.count + 1);
    links_[position % kChainReach] = {static_cast<std::uint16_t>(here - before.position), count};
    heads_[hash] = {static_cast<std::uint16_t>(here), count};
  }

  std::uint32_t back(std::uint32_t position) const { return links_[position % kChainReach].back; }

  // From a position back to one of the same chain.
  std::uint32_t steps_between(std::uint32_t later, std::uint32_t earlier) const {
    return static_cast<std::uint16_t>(links_[later % kChainReach].count -
                                      links_[earlier % kChainReach].count);
  }

  void slide() {
    for (std::size_t i = 0; i < used_; ++i) {
      const std::uint16_t head = heads_[i].position;
      heads_[i].position = static_cast<std::uint16_t>(head > kChainReach ? head - kChainReach : 0);
    }
  }

 private:
  struct Head {
    std::uint16_t position = 0;
    std::uint16_t count = 0;
  };
  struct Link {
    std::uint16_t back = 0;
    std::uint16_t count = 0;
  };

  std::size_t used_ = 0;
  std::vector<Head> heads_;
  std::vector<Link> links_;
};

}  // namespace layby::delta
