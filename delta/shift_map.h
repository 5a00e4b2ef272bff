// What the coder has learnt about how far addresses moved between base and target: a function of
// the base address that is constant from one known address to the next.
#pragma once

#include <cstdint>
#include <vector>

namespace layby::delta {

class ShiftMap {
 public:
  struct Shift {
    std::int32_t here = 0;  // what the nearest known address at or below says
    std::int32_t next = 0;  // what the nearest known one above says; `here` without one
    bool exact = false;     // the address itself is known
  };

  ShiftMap();
  Shift find(std::uint32_t address) const;
  void learn(std::uint32_t address, std::int32_t shift);
  void clear();

  struct Known {
    std::uint32_t address;
    std::int32_t shift;
  };
  static constexpr std::size_t kKnownMax = 64 * 1024;  // 8 bytes each

 private:
  static constexpr std::size_t kBlockMax = 512;
  struct Place {
    std::size_t block;
    std::size_t at;  // of the first known address above; may be the block's end
  };
  Place above(std::uint32_t address) const;
  void thin_out();

  std::vector<std::vector<Known>> blocks_;  // in order; none is empty but the only one
  std::vector<std::uint32_t> firsts_;       // the first address of each block
  std::size_t known_ = 0;
};

}  // namespace layby::delta
