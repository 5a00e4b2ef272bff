// What was learnt about how far addresses moved, against a map that is slow and obvious.
#include "delta/shift_map.h"

#include <catch2/catch.hpp>

#include <map>
#include <random>

using namespace layby::delta;

namespace {

class Model {
 public:
  ShiftMap::Shift find(std::uint32_t address) const {
    if (known_.empty()) return {};
    const auto above = known_.upper_bound(address);
    if (above == known_.begin()) return {above->second, above->second, false};
    const auto here = std::prev(above);
    return {here->second, above != known_.end() ? above->second : here->second,
            here->first == address};
  }
  void learn(std::uint32_t address, std::int32_t shift) {
    if (known_.size() >= ShiftMap::kKnownMax) {
      std::size_t i = 0;
      for (auto at = known_.begin(); at != known_.end();)
        at = i++ % 2 == 0 ? std::next(at) : known_.erase(at);
    }
    known_[address] = shift;
  }
  void clear() { known_.clear(); }
  const std::map<std::uint32_t, std::int32_t>& known() const { return known_; }

 private:
  std::map<std::uint32_t, std::int32_t> known_;
};

int differences(const ShiftMap& map, const Model& model, std::uint32_t address) {
  const ShiftMap::Shift a = map.find(address);
  const ShiftMap::Shift b = model.find(address);
  return a.here == b.here && a.next == b.next && a.exact == b.exact ? 0 : 1;
}

}  // namespace

TEST_CASE("shifts are known from one address to the next") {
  ShiftMap map;
  CHECK(map.find(5).here == 0);
  CHECK_FALSE(map.find(5).exact);
  map.learn(100, 7);
  CHECK(map.find(99).here == 7);  // nothing below: what is above is the best guess
  CHECK(map.find(100).exact);
  CHECK(map.find(101).here == 7);
  map.learn(0xffff'ffff, -3);
  CHECK(map.find(100).next == -3);
  CHECK(map.find(0xffff'ffff).exact);
  CHECK(map.find(0xffff'ffff).next == -3);
  map.learn(0, 1);
  CHECK(map.find(0).exact);
  CHECK(map.find(99).here == 1);
  map.learn(100, 8);
  CHECK(map.find(100).here == 8);
  map.clear();
  CHECK(map.find(100).here == 0);
}

TEST_CASE("random lessons leave the map as a simple one has it, thinned out twice and cleared") {
  std::mt19937_64 random(1);
  ShiftMap map;
  Model model;
  int wrong = 0;
  // Upwards, as code goes; anywhere; and downwards.
  for (int phase = 0; phase < 4; ++phase) {
    std::uint32_t at = phase == 2 ? 0xffff'ff00 : 0;
    for (int i = 0; i < 150'000; ++i) {
      if (phase == 0) at += static_cast<std::uint32_t>(random() % 200);
      if (phase == 1) at = static_cast<std::uint32_t>(random());
      if (phase == 2) at -= static_cast<std::uint32_t>(random() % 20'000);
      if (phase == 3) at = static_cast<std::uint32_t>(random() % 1000);
      const auto shift = static_cast<std::int32_t>(random());
      map.learn(at, shift);
      model.learn(at, shift);
      wrong += differences(map, model, at) + differences(map, model, at - 1) +
               differences(map, model, at + 1) +
               differences(map, model, static_cast<std::uint32_t>(random()));
    }
    CHECK(wrong == 0);
    if (phase != 2) continue;
    map.clear();
    model.clear();
  }
  for (const auto& [address, shift] : model.known()) wrong += differences(map, model, address);
  CHECK(wrong == 0);
}
