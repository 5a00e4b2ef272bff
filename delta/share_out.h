// Work in independent parts, on several threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

namespace layby::delta {

// Calls `work(index)` for each of `count` parts, on so many threads: every one takes the next,
// until one returns false.
template <typename Work>
void share_out(std::size_t count, unsigned threads, Work work) {
  std::atomic<std::size_t> next{0};
  const auto take = [&] {
    for (std::size_t i; (i = next.fetch_add(1)) < count;)
      if (!work(i)) return;
  };
  std::vector<std::jthread> others;
  for (unsigned i = 1; i < std::min<std::size_t>(threads, count); ++i) others.emplace_back(take);
  take();
}

}  // namespace layby::delta
