// A thread that does what is due and sleeps until the next thing is, or until it is woken.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

namespace layby::server {

class BackgroundTask {
 public:
  // Does what is due; returns how long to sleep. Called again earlier when woken. Must look at the
  // token where it takes long, and must not throw.
  using Step = std::function<std::chrono::milliseconds(const std::stop_token&)>;

  BackgroundTask() = default;
  ~BackgroundTask() { stop(); }
  BackgroundTask(const BackgroundTask&) = delete;
  BackgroundTask& operator=(const BackgroundTask&) = delete;

  // Once. `name` (at most 15 characters) is what `ps` shows; `nice` is the thread's, 0 to 19.
  void start(const std::string& name, int nice, Step step);

  // Calls `step` soon, also if it is running now. Before `start` it is remembered. Any thread.
  void wake();

  // Returns at once: the step that runs now is the last. Any thread.
  void ask_to_stop() { thread_.request_stop(); }

  // Returns when the thread has ended. Again, or without a start: nothing happens.
  void stop();

 private:
  void run(const std::stop_token& stopping, const Step& step);

  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool woken_ = false;  // guarded by mutex_
  std::jthread thread_;
};

}  // namespace layby::server
