// Eight whole numbers of 16 bits, calculated with at once: what a Mixer is made of. With SSE2,
// which every x86-64 has, by its instructions; elsewhere as PlainLanes, whose loops compilers turn
// into the processor's own. The numbers are the same (lanes_test.cc).
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace layby::delta {

class PlainLanes {
 public:
  static constexpr std::size_t kCount = 8;

  // `number` of 0 to 7.
  template <class Number>
  static PlainLanes of(Number number) {
    PlainLanes made;
    for (std::size_t i = 0; i < kCount; ++i) made.numbers_[i] = number(i);
    return made;
  }
  static PlainLanes load(const std::int16_t* from) {
    return of([from](std::size_t i) { return from[i]; });
  }
  void store(std::int16_t* to) const { std::copy(numbers_.begin(), numbers_.end(), to); }

  // Sums; what is above or below what 16 bits hold becomes the most or the least that they do.
  PlainLanes plus(const PlainLanes& other) const {
    return of([&](std::size_t i) {
      return static_cast<std::int16_t>(
          std::clamp<std::int32_t>(numbers_[i] + other.numbers_[i], -32768, 32767));
    });
  }
  // The sum of the products, which must not be above 2^31 - 1 in magnitude.
  std::int32_t dot(const PlainLanes& other) const {
    std::int32_t sum = 0;
    for (std::size_t i = 0; i < kCount; ++i) sum += numbers_[i] * other.numbers_[i];
    return sum;
  }
  // Times `factor`, divided by 2^15 and rounded, halves upwards; all numbers from -8192 to 8191.
  PlainLanes scaled(std::int16_t factor) const {
    return of([&](std::size_t i) {
      return static_cast<std::int16_t>((numbers_[i] * factor + (1 << 14)) >> 15);
    });
  }

 private:
  std::array<std::int16_t, kCount> numbers_;
};

#if defined(__SSE2__)

class SseLanes {
 public:
  template <class Number>
  static SseLanes of(Number number) {
    return SseLanes(_mm_setr_epi16(number(0), number(1), number(2), number(3), number(4), number(5),
                                   number(6), number(7)));
  }
  static SseLanes load(const std::int16_t* from) {
    return SseLanes(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
  void store(std::int16_t* to) const { _mm_storeu_si128(reinterpret_cast<__m128i*>(to), numbers_); }
  SseLanes plus(const SseLanes& other) const {
    return SseLanes(_mm_adds_epi16(numbers_, other.numbers_));
  }
  std::int32_t dot(const SseLanes& other) const {
    __m128i sum = _mm_madd_epi16(numbers_, other.numbers_);
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1));
    return _mm_cvtsi128_si32(sum);
  }
  // Divided by 2^14, one more, by 2: the same as rounding.
  SseLanes scaled(std::int16_t factor) const {
    const __m128i doubled = _mm_mulhi_epi16(_mm_slli_epi16(numbers_, 2), _mm_set1_epi16(factor));
    return SseLanes(_mm_srai_epi16(_mm_add_epi16(doubled, _mm_set1_epi16(1)), 1));
  }

 private:
  explicit SseLanes(__m128i numbers) : numbers_(numbers) {}
  __m128i numbers_;
};
using Lanes = SseLanes;

#else

using Lanes = PlainLanes;

#endif

}  // namespace layby::delta
