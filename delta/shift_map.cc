#include "delta/shift_map.h"

#include <algorithm>

namespace layby::delta {

ShiftMap::ShiftMap() {
  clear();
}

void ShiftMap::clear() {
  blocks_.assign(1, {});
  firsts_.assign(1, 0);
  known_ = 0;
}

ShiftMap::Place ShiftMap::above(std::uint32_t address) const {
  const auto block = std::upper_bound(firsts_.begin() + 1, firsts_.end(), address) - 1;
  const std::size_t index = static_cast<std::size_t>(block - firsts_.begin());
  const std::vector<Known>& known = blocks_[index];
  const auto at =
      std::upper_bound(known.begin(), known.end(), address,
                       [](std::uint32_t wanted, const Known& of) { return wanted < of.address; });
  return {index, static_cast<std::size_t>(at - known.begin())};
}

ShiftMap::Shift ShiftMap::find(std::uint32_t address) const {
  if (known_ == 0) return {};
  const Place place = above(address);
  const std::vector<Known>& known = blocks_[place.block];
  const Known* next = nullptr;
  if (place.at < known.size())
    next = &known[place.at];
  else if (place.block + 1 < blocks_.size())
    next = &blocks_[place.block + 1].front();
  if (place.at == 0) return {next->shift, next->shift, false};
  const Known& here = known[place.at - 1];
  return {here.shift, next != nullptr ? next->shift : here.shift, here.address == address};
}

void ShiftMap::learn(std::uint32_t address, std::int32_t shift) {
  if (known_ >= kKnownMax) thin_out();
  const Place place = above(address);
  std::vector<Known>& known = blocks_[place.block];
  if (place.at > 0 && known[place.at - 1].address == address) {
    known[place.at - 1].shift = shift;
    return;
  }
  known.insert(known.begin() + static_cast<std::ptrdiff_t>(place.at), {address, shift});
  ++known_;
  if (known.size() < kBlockMax) return;
  std::vector<Known> upper(known.begin() + kBlockMax / 2, known.end());
  known.resize(kBlockMax / 2);
  firsts_.insert(firsts_.begin() + static_cast<std::ptrdiff_t>(place.block) + 1,
                 upper.front().address);
  blocks_.insert(blocks_.begin() + static_cast<std::ptrdiff_t>(place.block) + 1, std::move(upper));
}

// Every second one goes: what is left still says most of it.
void ShiftMap::thin_out() {
  std::vector<Known> all;
  all.reserve(known_ / 2 + 1);
  std::size_t i = 0;
  for (const std::vector<Known>& block : blocks_)
    for (const Known& known : block)
      if (i++ % 2 == 0) all.push_back(known);
  clear();
  blocks_.clear();
  firsts_.clear();
  for (std::size_t at = 0; at < all.size(); at += kBlockMax / 2) {
    const std::size_t end = std::min(all.size(), at + kBlockMax / 2);
    blocks_.emplace_back(all.begin() + static_cast<std::ptrdiff_t>(at),
                         all.begin() + static_cast<std::ptrdiff_t>(end));
    firsts_.push_back(at == 0 ? 0 : all[at].address);
  }
  known_ = all.size();
}

}  // namespace layby::delta
