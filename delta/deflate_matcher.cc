#include "delta/deflate_matcher.h"

#include <bit>
#include <cstring>

namespace layby::delta {
namespace {

constexpr unsigned kShortHashBitsMax = 16;
constexpr unsigned kKeyHashBits = 15;
// Shorter chains are walked as fast without further tables.
constexpr std::uint32_t kChainForKeysMin = 64;

template <typename T>
T load(const std::uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// Only for speed: what these hashes are changes no match.
std::uint32_t hash_4(const std::uint8_t* at) {
  return (load<std::uint32_t>(at) * 0x9e3779b1U) >> (32 - kKeyHashBits);
}
std::uint32_t hash_6(const std::uint8_t* at) {
  std::uint64_t key = load<std::uint64_t>(at);
  key = std::endian::native == std::endian::little ? key << 16 : key >> 16;
  return static_cast<std::uint32_t>((key * 0x9e3779b97f4a7c15U) >> (64 - kKeyHashBits));
}

// Length of the common beginning, at most `most`, of which all can be read.
inline std::uint32_t common(const std::uint8_t* a, const std::uint8_t* b, std::uint32_t most) {
  std::uint32_t i = 0;
  for (; i + 8 <= most; i += 8) {
    const std::uint64_t differs = load<std::uint64_t>(a + i) ^ load<std::uint64_t>(b + i);
    if (differs == 0) continue;
    const int zeros = std::endian::native == std::endian::little ? std::countr_zero(differs)
                                                                 : std::countl_zero(differs);
    return i + static_cast<std::uint32_t>(zeros) / 8;
  }
  while (i < most && a[i] == b[i]) ++i;
  return i;
}

}  // namespace

struct DeflateMatcher::Search {
  std::uint32_t at;
  std::uint32_t window_begin;
  std::uint32_t chain;   // positions that the family visits
  std::uint32_t most;    // longest match that counts
  std::uint32_t enough;  // the first match of this length is taken
  std::uint32_t lowest;  // candidates from here on are visited; those farther only as the first one
};

DeflateMatcher::DeflateMatcher()
    : by_3_(kShortHashBitsMax), ordinals_(kChainReach), by_4_(kKeyHashBits), by_6_(kKeyHashBits) {}

void DeflateMatcher::begin(ByteSpan text, const DeflateRules& rules, std::uint64_t steps_max) {
  text_ = text;
  rules_ = rules;
  size_ = static_cast<std::uint32_t>(text.size());
  origin_ = 0;
  steps_left_ = static_cast<std::int64_t>(steps_max);
  has_keys_ = rules.chain >= kChainForKeysMin;
  by_3_.clear(rules.hash_bits);
  if (!has_keys_) return;
  by_4_.clear(kKeyHashBits);
  by_6_.clear(kKeyHashBits);
}

std::uint32_t DeflateMatcher::short_hash(std::uint32_t at) const {
  const std::uint8_t* const bytes = text_.data() + at;
  const std::uint32_t shift = rules_.hash_shift;
  const std::uint32_t hash = std::uint32_t{bytes[0]} << (2 * shift) ^
                             std::uint32_t{bytes[1]} << shift ^ std::uint32_t{bytes[2]};
  return hash & ((1U << rules_.hash_bits) - 1);
}

void DeflateMatcher::insert(std::uint32_t at) {
  while (at - origin_ >= 2 * kChainReach) {
    origin_ += kChainReach;
    by_3_.slide();
    by_4_.slide();
    by_6_.slide();
  }
  if (size_ - at < 8) {  // so near the end, keys are not searched for any more
    if (size_ - at >= kMatchMin) {
      const std::uint32_t back = by_3_.push(short_hash(at), at, origin_);
      ordinals_[at % kChainReach] =
          static_cast<std::uint16_t>(ordinals_[(at - back) % kChainReach] + 1);
    }
    return;
  }
  const std::uint32_t back = by_3_.push(short_hash(at), at, origin_);
  if (!has_keys_) return;
  ordinals_[at % kChainReach] =
      static_cast<std::uint16_t>(ordinals_[(at - back) % kChainReach] + 1);
  by_4_.push(hash_4(text_.data() + at), at, origin_);
  by_6_.push(hash_6(text_.data() + at), at, origin_);
}

// Whether the family's walk gets as far as `candidate`, which begins with the same three bytes.
bool DeflateMatcher::is_reachable(const Search& search, std::uint32_t candidate) const {
  const auto visited = static_cast<std::uint16_t>(ordinals_[search.at % kChainReach] -
                                                  ordinals_[candidate % kChainReach]);
  return visited <= search.chain && (candidate >= search.lowest || visited == 1);
}

DeflateMatch DeflateMatcher::longest(std::uint32_t at, std::uint32_t length,
                                     std::uint32_t window_begin) {
  const DeflateMatch none{.length = length};
  if (size_ - at < kMatchMin) return none;
  const std::uint32_t back = by_3_.back(at);
  if (back == 0 || back > rules_.distance_max || at - back <= window_begin) return none;

  Search search{};
  search.at = at;
  search.window_begin = window_begin;
  search.chain = length >= rules_.good ? rules_.chain / 4 : rules_.chain;
  search.most = std::min(kMatchMax, size_ - at);
  search.enough = std::min(rules_.nice, search.most);
  search.lowest = window_begin + 1;
  if (at > rules_.distance_max)
    search.lowest = std::max(search.lowest, at - rules_.distance_max + 1);
  if (search.most == kMatchMax)
    return has_keys_ ? walk_by_key(search, length) : walk(by_3_, search, length, search.enough);
  if (rules_.is_gzip()) return walk_past_end(search, length);
  return length >= search.most ? none : walk(by_3_, search, length, search.enough);
}

// Along the family's own chain at most as far as it goes, along others as far as they are in reach:
// there a match is asked whether the family would have come to it.
DeflateMatch DeflateMatcher::walk(const PositionChains& chains, const Search& search,
                                  std::uint32_t length, std::uint32_t enough) {
  const bool is_own = &chains == &by_3_;
  const std::uint8_t* const text = text_.data();
  const std::uint8_t* const here = text + search.at;
  DeflateMatch best{.length = length};
  std::uint32_t candidate = search.at;
  std::uint32_t left = is_own ? search.chain : kChainReach;
  const std::uint32_t farthest =
      std::max(search.window_begin + 1, search.at - std::min(search.at, rules_.distance_max));
  std::int64_t steps = 0;
  while (left-- > 0) {
    const std::uint32_t back = chains.back(candidate);
    if (back == 0 || candidate - back < farthest) break;
    candidate -= back;
    if (is_own && candidate < search.lowest && candidate + chains.back(search.at) != search.at)
      break;
    ++steps;
    if (load<std::uint16_t>(text + candidate + best.length - 1) !=
        load<std::uint16_t>(here + best.length - 1))
      continue;
    const std::uint32_t found = common(text + candidate, here, search.most);
    steps += found / 8;
    if (found <= best.length || (!is_own && !is_reachable(search, candidate))) continue;
    best = {.length = found, .distance = search.at - candidate};
    if (found >= enough) break;
  }
  steps_left_ -= steps;
  return best;
}

// The same match by way of longer keys. All matches of six bytes or more are among the positions
// that share six bytes; without one of those, the longest is of four or five, or the nearest of
// three.
DeflateMatch DeflateMatcher::walk_by_key(const Search& search, std::uint32_t length) {
  const DeflateMatch long_one = walk(by_6_, search, std::max(length, 5U), search.enough);
  if (long_one.distance != 0) return long_one;
  if (length >= 5) return {.length = length};
  const DeflateMatch middle_one = walk(by_4_, search, std::max(length, 3U), 5);
  if (middle_one.distance != 0) return middle_one;
  if (length >= 3) return {.length = length};
  return walk(by_3_, search, length, 3);
}

// gzip compares what its window holds behind the end of the text: two zeros, then what was there
// before. A farther match can so win over a nearer one of the same bytes.
std::uint8_t DeflateMatcher::byte_past_end(std::uint32_t at, std::uint32_t window_begin) const {
  if (at < size_) return text_[at];
  if (at < size_ + 2 || window_begin == 0) return 0;
  return text_[at - rules_.window_bytes];
}

DeflateMatch DeflateMatcher::walk_past_end(const Search& search, std::uint32_t length) {
  DeflateMatch best{.length = length};
  std::uint32_t candidate = search.at;
  for (std::uint32_t left = search.chain; left > 0; --left) {
    const std::uint32_t back = by_3_.back(candidate);
    if (back == 0 || candidate - back <= search.window_begin) break;
    candidate -= back;
    if (candidate < search.lowest && search.at - candidate != by_3_.back(search.at)) break;
    std::uint32_t found = 0;
    while (found < kMatchMax && byte_past_end(candidate + found, search.window_begin) ==
                                    byte_past_end(search.at + found, search.window_begin))
      ++found;
    steps_left_ -= 1 + found;
    if (found <= best.length) continue;
    best = {.length = found, .distance = search.at - candidate};
    if (found >= rules_.nice) break;
  }
  best.length = std::min(best.length, search.most);
  return best;
}

}  // namespace layby::delta
