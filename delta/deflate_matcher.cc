#include "delta/deflate_matcher.h"

#include <bit>
#include <cstring>

namespace layby::delta {
namespace {

constexpr unsigned kShortHashBitsMax = 16;
constexpr unsigned kKeyHashBits = 15;
constexpr std::uint32_t kLongKey = 6;  // bytes
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
  std::uint32_t chain;     // positions that the family visits
  std::uint32_t most;      // longest match that counts
  std::uint32_t enough;    // the first match of this length is taken
  std::uint32_t lowest;    // candidates from here on are visited
  std::uint32_t farthest;  // this one too where it is the first
};

DeflateMatcher::DeflateMatcher()
    : by_3_(kShortHashBitsMax), by_4_(kKeyHashBits), by_6_(kKeyHashBits) {}

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

inline std::uint32_t DeflateMatcher::short_hash(std::uint32_t at) const {
  const std::uint8_t* const bytes = text_.data() + at;
  const std::uint32_t shift = rules_.hash_shift;
  const std::uint32_t hash = std::uint32_t{bytes[0]} << (2 * shift) ^
                             std::uint32_t{bytes[1]} << shift ^ std::uint32_t{bytes[2]};
  return hash & ((1U << rules_.hash_bits) - 1);
}

void DeflateMatcher::insert(std::uint32_t begin, std::uint32_t end) {
  while (end - 1 - origin_ >= 2 * kChainReach) {
    if (begin - origin_ < 2 * kChainReach) {
      insert_near(begin, origin_ + 2 * kChainReach);
      begin = origin_ + 2 * kChainReach;
    }
    origin_ += kChainReach;
    by_3_.slide();
    by_4_.slide();
    by_6_.slide();
  }
  insert_near(begin, end);
}

void DeflateMatcher::insert_near(std::uint32_t begin, std::uint32_t end) {
  const std::uint8_t* const text = text_.data();
  // So near the end keys are not searched for.
  const std::uint32_t keys_end =
      has_keys_ && size_ > sizeof(std::uint64_t)
          ? std::min(end, size_ - static_cast<std::uint32_t>(sizeof(std::uint64_t)))
          : begin;
  std::uint32_t at = begin;
  for (; at < keys_end; ++at) {
    by_3_.push(short_hash(at), at, origin_);
    by_4_.push(hash_4(text + at), at, origin_);
    by_6_.push(hash_6(text + at), at, origin_);
  }
  for (end = std::min(end, std::max(size_, kMatchMin - 1) - (kMatchMin - 1)); at < end; ++at)
    by_3_.push(short_hash(at), at, origin_);
}

// Whether the family's walk gets as far as `candidate`, which begins with the same three bytes.
bool DeflateMatcher::is_reachable(const Search& search, std::uint32_t candidate) const {
  const std::uint32_t visited = by_3_.steps_between(search.at, candidate);
  return visited <= search.chain && (candidate >= search.lowest || visited == 1);
}

DeflateMatch DeflateMatcher::longest(std::uint32_t at, std::uint32_t length,
                                     std::uint32_t window_begin) {
  const DeflateMatch none{.length = length};
  if (size_ - at < kMatchMin || is_out_of_steps()) return none;
  const std::uint32_t back = by_3_.back(at);
  if (back > rules_.distance_max || at - back <= window_begin) return none;

  Search search{};
  search.at = at;
  search.window_begin = window_begin;
  search.chain = length >= rules_.good ? rules_.chain / 4 : rules_.chain;
  search.most = std::min(kMatchMax, size_ - at);
  search.enough = std::min(rules_.nice, search.most);
  const std::uint32_t at_most = at - std::min(at, rules_.distance_max);
  search.lowest = std::max(window_begin, at_most) + 1;
  search.farthest = std::max(window_begin + 1, at_most);
  if (search.most == kMatchMax)
    return has_keys_ ? walk_by_keys(search, length) : walk(search, length, search.enough);
  if (rules_.is_gzip()) return walk_past_end(search, length);
  return length >= search.most ? none : walk(search, length, search.enough);
}

// Along the family's own chain, as far as the family goes.
DeflateMatch DeflateMatcher::walk(const Search& search, std::uint32_t length,
                                  std::uint32_t enough) {
  const std::uint8_t* const text = text_.data();
  const std::uint8_t* const here = text + search.at;
  DeflateMatch best{.length = length};
  std::uint32_t candidate = search.at - by_3_.back(search.at);  // the first may be farther
  std::uint32_t left = search.chain;
  std::int64_t steps = 0;
  while (true) {
    ++steps;
    if (load<std::uint16_t>(text + candidate + best.length - 1) ==
        load<std::uint16_t>(here + best.length - 1)) {
      const std::uint32_t found = common(text + candidate, here, search.most);
      steps += found / 8;
      if (found > best.length) {
        best = {.length = found, .distance = search.at - candidate};
        if (found >= enough) break;
      }
    }
    const std::uint32_t back = by_3_.back(candidate);
    if (candidate - back < search.lowest || --left == 0) break;
    candidate -= back;
  }
  steps_left_ -= steps;
  return best;
}

// The farthest candidate that can give more than `length`: the last six bytes of such a match stand
// somewhere before `at` as well, unless the match reaches into itself.
std::uint32_t DeflateMatcher::farthest_for(const Search& search, std::uint32_t length) const {
  if (length < kLongKey) return search.farthest;
  const std::uint32_t offset = length + 1 - kLongKey;
  if (size_ - search.at < offset + sizeof(std::uint64_t)) return search.farthest;
  const std::uint32_t latest = by_6_.latest(hash_6(text_.data() + search.at + offset));
  if (origin_ + latest >= search.farthest + offset) return search.farthest;
  return std::max(search.farthest, search.at - std::min(search.at, offset));
}

// Along the positions with a longer key, all in reach: a match there is asked whether the family
// would have come to it. At least kMatchMin of `length`.
DeflateMatch DeflateMatcher::walk_key(const PositionChains& chains, const Search& search,
                                      std::uint32_t length, std::uint32_t enough) {
  const std::uint8_t* const text = text_.data();
  const std::uint8_t* const here = text + search.at;
  DeflateMatch best{.length = length};
  std::uint32_t tail = load<std::uint32_t>(here + length - 3);
  std::uint32_t farthest = farthest_for(search, length);
  std::uint32_t candidate = search.at;
  std::int64_t steps = 0;
  while (true) {
    const std::uint32_t back = chains.back(candidate);
    if (candidate - back < farthest) break;
    candidate -= back;
    ++steps;
    if (load<std::uint32_t>(text + candidate + best.length - 3) != tail) continue;
    const std::uint32_t found = common(text + candidate, here, search.most);
    steps += found / 8;
    if (found <= best.length || !is_reachable(search, candidate)) continue;
    best = {.length = found, .distance = search.at - candidate};
    if (found >= enough) break;
    tail = load<std::uint32_t>(here + found - 3);
    farthest = farthest_for(search, found);
  }
  steps_left_ -= steps;
  return best;
}

// The same match by way of longer keys. All matches of six bytes or more are among the positions
// that share six bytes; without one of those, the longest has four or five, or is the nearest of
// three.
DeflateMatch DeflateMatcher::walk_by_keys(const Search& search, std::uint32_t length) {
  const DeflateMatch long_one =
      walk_key(by_6_, search, std::max(length, kLongKey - 1), search.enough);
  if (long_one.distance != 0) return long_one;
  if (length >= kLongKey - 1) return {.length = length};
  const DeflateMatch middle_one =
      walk_key(by_4_, search, std::max(length, kMatchMin), kLongKey - 1);
  if (middle_one.distance != 0) return middle_one;
  if (length >= kMatchMin) return {.length = length};
  return walk(search, length, kMatchMin);
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
    if (candidate - back <= search.window_begin) break;
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
