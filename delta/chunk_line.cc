#include "delta/chunk_line.h"

#include <algorithm>

#include "delta/share_out.h"

namespace layby::delta {

ChunkLine::ChunkLine(std::size_t begin, std::size_t end, std::size_t ahead_max, Stages stages)
    : begin_(begin),
      end_(end),
      ahead_max_(std::max<std::size_t>(ahead_max, 1)),
      stages_(std::move(stages)),
      states_(end - begin, State::kNew),
      to_match_(begin),
      to_join_(begin),
      first_undone_(begin) {}

void ChunkLine::run(unsigned threads) {
  const auto wanted = static_cast<unsigned>(std::min<std::size_t>(threads, end_ - begin_));
  run_on_threads(
      std::max(wanted, 1u), [this] { work(); }, [this] { stop(); });
}

void ChunkLine::stop() {
  const std::lock_guard lock(mutex_);
  over_ = true;
  changed_.notify_all();
}

void ChunkLine::work() {
  std::unique_lock lock(mutex_);
  while (!over_ && first_undone_ < end_) {
    std::size_t chunk = 0;
    const Step step = next_step(chunk);
    if (step == Step::kNone) {
      changed_.wait(lock);
      continue;
    }
    lock.unlock();
    const bool goes_on = do_step(step, chunk);
    lock.lock();
    note(step, chunk);
    over_ |= !goes_on;
    changed_.notify_all();
  }
}

// What others wait for comes first.
ChunkLine::Step ChunkLine::next_step(std::size_t& chunk) {
  if (!joins_ && to_join_ < end_ && states_[to_join_ - begin_] == State::kMatched) {
    joins_ = true;
    chunk = to_join_;
    return Step::kJoin;
  }
  if (!to_code_.empty()) {
    chunk = to_code_.front();
    to_code_.erase(to_code_.begin());
    return Step::kCode;
  }
  if (to_match_ < end_ && to_match_ - first_undone_ < ahead_max_) {
    chunk = to_match_++;
    return Step::kMatch;
  }
  return Step::kNone;
}

bool ChunkLine::do_step(Step step, std::size_t chunk) {
  switch (step) {
    case Step::kMatch: return stages_.match(chunk);
    case Step::kJoin: return stages_.join(chunk);
    case Step::kCode: return stages_.code(chunk);
    case Step::kNone: break;
  }
  return true;
}

void ChunkLine::note(Step step, std::size_t chunk) {
  State& state = states_[chunk - begin_];
  switch (step) {
    case Step::kMatch: state = State::kMatched; break;
    case Step::kJoin:
      state = State::kJoined;
      joins_ = false;
      ++to_join_;
      to_code_.push_back(chunk);
      break;
    case Step::kCode: state = State::kDone; break;
    case Step::kNone: break;
  }
  while (first_undone_ < end_ && states_[first_undone_ - begin_] == State::kDone) ++first_undone_;
}

}  // namespace layby::delta
