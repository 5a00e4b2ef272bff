#include "delta/residence.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>

#include "base/deleter.h"
#include "delta/stopping.h"

namespace layby::delta {
namespace {

constexpr std::chrono::milliseconds kInterval(4);

// File pages that the process has mapped, in bytes; 0 where the system does not say.
std::uint64_t resident_file_bytes() {
  const std::unique_ptr<std::FILE, Deleter<std::fclose>> file(std::fopen("/proc/self/statm", "re"));
  unsigned long long size = 0;
  unsigned long long resident = 0;
  unsigned long long shared = 0;
  if (!file || std::fscanf(file.get(), "%llu %llu %llu", &size, &resident, &shared) != 3) return 0;
  return shared * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

// All there are. What a process holds is one number, so each looks at the same.
std::mutex all_mutex;  // guards the list
std::vector<Residence*> all;
std::atomic<std::size_t> all_count{0};

}  // namespace

Residence::Residence(std::uint64_t bytes_max) : bytes_max_(bytes_max) {
  const std::lock_guard lock(all_mutex);
  all.reserve(all.size() + 1);
  thread_ = std::thread([this] { watch(); });  // from here on nothing throws
  all.push_back(this);
  all_count = all.size();
}

Residence::~Residence() {
  {
    const std::lock_guard lock(all_mutex);
    std::erase(all, this);
    all_count = all.size();
  }
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
    wake_.notify_all();
  }
  thread_.join();
}

void Residence::look_after(ByteSpan mapped) {
  if (mapped.empty()) return;
  // Else a look at one byte may bring two megabytes.
  ::madvise(const_cast<std::uint8_t*>(mapped.data()), mapped.size(), MADV_NOHUGEPAGE);
  const std::lock_guard lock(mutex_);
  mapped_.push_back(mapped);
}

void Residence::forget(ByteSpan mapped) {
  const std::lock_guard lock(mutex_);
  std::erase_if(mapped_, [&](ByteSpan of) { return of.data() == mapped.data(); });
}

void Residence::relieve() {
  if (resident_file_bytes() <= bytes_max_) return;
  const std::lock_guard lock(mutex_);
  for (const ByteSpan mapped : mapped_)
    ::madvise(const_cast<std::uint8_t*>(mapped.data()), mapped.size(), MADV_DONTNEED);
}

void Residence::watch() {
  std::unique_lock lock(mutex_);
  while (!over_) {
    lock.unlock();
    relieve();
    lock.lock();
    if (!over_) wake_.wait_for(lock, kInterval);
  }
}

void let_pages_go() {
  check_stop();
  if (all_count.load(std::memory_order_relaxed) == 0) return;
  const std::lock_guard lock(all_mutex);
  for (Residence* const of : all) of->relieve();
}

std::size_t find_in_windows(std::string_view text, std::string_view wanted, std::size_t from) {
  while (from < text.size()) {
    const std::size_t at = text.substr(from, kPageWindowBytes + wanted.size() - 1).find(wanted);
    if (at != std::string_view::npos) return from + at;
    from += kPageWindowBytes;
    let_pages_go();
  }
  return std::string_view::npos;
}

void copy_in_windows(ByteSpan from, MutableByteSpan to) {
  for_each_window(from, [&to](ByteSpan window) {
    std::copy(window.begin(), window.end(), to.begin());
    to = to.subspan(window.size());
  });
}

}  // namespace layby::delta
