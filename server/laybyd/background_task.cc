#include "server/laybyd/background_task.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

namespace layby::server {

void BackgroundTask::start(const std::string& name, int nice, Step step) {
  thread_ = std::jthread([this, name, nice, step = std::move(step)](std::stop_token stopping) {
    ::pthread_setname_np(::pthread_self(), name.c_str());
    // On Linux this is the priority of the one thread.
    if (nice > 0) ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), nice);
    run(stopping, step);
  });
}

void BackgroundTask::run(const std::stop_token& stopping, const Step& step) {
  while (!stopping.stop_requested()) {
    const std::chrono::milliseconds pause = step(stopping);
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, stopping, pause, [this] { return woken_; });
    woken_ = false;
  }
}

void BackgroundTask::wake() {
  const std::lock_guard lock(mutex_);
  woken_ = true;
  changed_.notify_all();
}

void BackgroundTask::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

}  // namespace layby::server
