// Keeps the pages of mapped images that a process holds below a bound. What is let go is still in
// the system's page cache as long as there is room, and comes back when it is looked at.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

#include "base/bytes.h"

namespace layby::delta {

class Residence {
 public:
  // `bytes_max` counts all file pages of the process, those of its program too. Looked at by
  // let_pages_go(), and besides many times a second from a thread of its own.
  explicit Residence(std::uint64_t bytes_max);
  ~Residence();
  Residence(const Residence&) = delete;
  Residence& operator=(const Residence&) = delete;

  // `mapped` are pages of files, and must stay so until forget().
  void look_after(ByteSpan mapped);
  void forget(ByteSpan mapped);
  void relieve();

 private:
  void watch();

  const std::uint64_t bytes_max_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::vector<ByteSpan> mapped_;
  bool over_ = false;
  std::thread thread_;
};

// Looks after `mapped` as long as it lives, whatever is thrown meanwhile: once that is unmapped,
// somebody else's memory may stand there. `residence` may be null.
class LookedAfter {
 public:
  LookedAfter(Residence* residence, ByteSpan mapped) : residence_(residence), mapped_(mapped) {
    if (residence_ != nullptr) residence_->look_after(mapped_);
  }
  ~LookedAfter() {
    if (residence_ != nullptr) residence_->forget(mapped_);
  }
  LookedAfter(const LookedAfter&) = delete;
  LookedAfter& operator=(const LookedAfter&) = delete;

 private:
  Residence* const residence_;
  const ByteSpan mapped_;
};

// To be called about every kPageWindowBytes by whoever goes through an image quickly, on any
// thread: sees to all there are. Next to nothing where there is none. Throws where work is to stop
// (stopping.h).
void let_pages_go();
constexpr std::size_t kPageWindowBytes = std::size_t{4} << 20;

// Calls `use(bytes)` for all of `image`, a window at a time.
template <typename Use>
void for_each_window(ByteSpan image, Use use) {
  for (std::size_t at = 0; at < image.size(); at += kPageWindowBytes) {
    use(image.subspan(at, std::min(kPageWindowBytes, image.size() - at)));
    let_pages_go();
  }
}

// As std::string_view::find(), a window at a time.
std::size_t find_in_windows(std::string_view text, std::string_view wanted, std::size_t from);

// As std::copy(), a window at a time. `to` is as long as `from`.
void copy_in_windows(ByteSpan from, MutableByteSpan to);

}  // namespace layby::delta
