// Lets the encoder's work be stopped wherever it is, without a token for each function of it.
#pragma once

#include <stop_token>

#include "base/disk.h"

namespace layby::delta {

// What check_stop() throws. encode() makes kCancelled of it.
struct Stopped {};

// As long as it lives, check_stop() looks at `stop`: on this thread, and on those that share work
// with it (share_out.h).
class StopScope {
 public:
  explicit StopScope(std::stop_token stop);
  ~StopScope();
  StopScope(const StopScope&) = delete;
  StopScope& operator=(const StopScope&) = delete;

 private:
  const std::stop_token stop_;
  const std::stop_token* const outer_;
};

// To be called at least some times a second by whatever takes long. let_pages_go() does.
void check_stop();

// The token of this thread's scope; where there is none, one that is never requested.
std::stop_token current_stop();

// A source whose reading can be stopped.
class StoppableSource final : public ReadAt {
 public:
  explicit StoppableSource(const ReadAt& source) : source_(source) {}  // which must outlive it

  std::uint64_t size() const override { return source_.size(); }
  Result<void> read_at(std::uint64_t offset, MutableByteSpan out) const override {
    check_stop();
    return source_.read_at(offset, out);
  }

 private:
  const ReadAt& source_;
};

}  // namespace layby::delta
