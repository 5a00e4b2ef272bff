// Chunks on their way through three stages, on several threads: the first and the last stage of a
// chunk may be done at any time and beside others, the one between them is done for one chunk after
// the other, in their order.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <vector>

namespace layby::delta {

class ChunkLine {
 public:
  // Each is called once for each chunk unless one returns false or throws; then all ends soon.
  struct Stages {
    std::function<bool(std::size_t)> match;
    std::function<bool(std::size_t)> join;
    std::function<bool(std::size_t)> code;
  };

  // Of the chunks [begin, end) no more than `ahead_max` are begun and not done.
  ChunkLine(std::size_t begin, std::size_t end, std::size_t ahead_max, Stages stages);

  // Blocks until all are done. What a stage throws is thrown here.
  void run(unsigned threads);

 private:
  enum class State : unsigned char { kNew, kMatched, kJoined, kDone };
  enum class Step { kMatch, kJoin, kCode, kNone };

  void work();
  Step next_step(std::size_t& chunk);
  bool do_step(Step step, std::size_t chunk);
  void note(Step step, std::size_t chunk);
  void stop();

  const std::size_t begin_;
  const std::size_t end_;
  const std::size_t ahead_max_;
  const Stages stages_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::vector<State> states_;
  std::size_t to_match_;
  std::size_t to_join_;
  std::size_t first_undone_;
  std::vector<std::size_t> to_code_;  // in order
  bool joins_ = false;                // somebody is at it
  bool over_ = false;
};

}  // namespace layby::delta
