// Work in independent parts, on several threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "delta/stopping.h"

namespace layby::delta {

// Runs `work` on this thread and on up to `threads` - 1 others; fewer where the system has no more.
// Returns once all have ended. What one of them throws ends up here; the others must end for
// themselves: `failed` is called, from any thread. All are stopped with this one (stopping.h).
template <typename Work, typename Failed>
void run_on_threads(unsigned threads, Work work, Failed failed) {
  std::mutex mutex;  // guards the exception
  std::exception_ptr thrown;
  const auto guarded = [&] {
    try {
      work();
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!thrown) thrown = std::current_exception();
      failed();
    }
  };
  const std::stop_token stop = current_stop();
  const auto beside = [&] {
    const StopScope scope(stop);
    guarded();
  };
  {
    std::vector<std::jthread> others;
    others.reserve(threads);
    try {
      for (unsigned i = 1; i < threads; ++i) others.emplace_back(beside);
    } catch (const std::system_error&) {
    }
    guarded();
  }
  if (thrown) std::rethrow_exception(thrown);
}

// Calls `work(index)` for each of `count` parts, on so many threads: every one takes the next,
// until one returns false or throws, which goes on to the caller.
template <typename Work>
void share_out(std::size_t count, unsigned threads, Work work) {
  std::atomic<std::size_t> next{0};
  const auto take = [&] {
    for (std::size_t i; (i = next.fetch_add(1)) < count;)
      if (!work(i)) return;
  };
  const auto wanted = static_cast<unsigned>(std::min<std::size_t>(threads, count));
  run_on_threads(wanted, take, [&] { next = count; });
}

}  // namespace layby::delta
