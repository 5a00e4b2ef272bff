#include "agent/hook_program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <system_error>
#include <utility>

namespace layby::agent {
namespace {

constexpr std::size_t kOutputBytesMax = 1024;  // the end of what it says
constexpr int kLookMs = 20;
constexpr int kReadsMax = 128;  // of a pipe, at a time: one that talks without end is not obeyed
constexpr std::string_view kPath = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

// Whether it was this machine that was short of something just now, or the program's file that is
// being written: nothing was asked of the car, and a later try may well succeed.
bool is_passing(int error) {
  return error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE ||
         error == ETXTBSY;
}

// How a program is started: its output in a pipe, in a process group of its own, with every signal
// as a shell would leave it, in "/", and with none of our descriptors. Those of libraries that set
// no FD_CLOEXEC would else stay open in it.
class SpawnOptions {
 public:
  explicit SpawnOptions(int output) {
    ::posix_spawn_file_actions_init(&files_);
    ::posix_spawn_file_actions_addopen(&files_, 0, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&files_, output, 1);
    ::posix_spawn_file_actions_adddup2(&files_, output, 2);
    ::posix_spawn_file_actions_addclosefrom_np(&files_, 3);
    ::posix_spawn_file_actions_addchdir_np(&files_, "/");
    ::posix_spawnattr_init(&attributes_);
    ::posix_spawnattr_setflags(
        &attributes_, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    ::posix_spawnattr_setpgroup(&attributes_, 0);
    sigset_t signals;
    ::sigemptyset(&signals);
    ::posix_spawnattr_setsigmask(&attributes_, &signals);
    ::sigfillset(&signals);
    ::posix_spawnattr_setsigdefault(&attributes_, &signals);
  }
  ~SpawnOptions() {
    ::posix_spawnattr_destroy(&attributes_);
    ::posix_spawn_file_actions_destroy(&files_);
  }
  SpawnOptions(const SpawnOptions&) = delete;
  SpawnOptions& operator=(const SpawnOptions&) = delete;

  const posix_spawn_file_actions_t* files() const { return &files_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t files_;
  posix_spawnattr_t attributes_;
};

// A program that runs. One that did not end is killed with its process group.
class Child {
 public:
  ~Child() {
    if (pid_ > 0) {
      ::kill(-pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    if (output_ >= 0) ::close(output_);
  }

  // On failure errno's value, otherwise 0.
  int start(std::vector<std::string> arguments, std::vector<std::string> environment) {
    int pipe[2];
    if (::pipe2(pipe, O_CLOEXEC) != 0) return errno;
    output_ = pipe[0];
    ::fcntl(output_, F_SETFL, O_NONBLOCK);
    const SpawnOptions options(pipe[1]);
    const int error =
        ::posix_spawn(&pid_, arguments.front().c_str(), options.files(), options.attributes(),
                      pointers(arguments).data(), pointers(environment).data());
    ::close(pipe[1]);
    if (error != 0) pid_ = -1;
    return error;
  }

  // Reads what it says for a moment; its wait status once it has ended, kLost if nobody knows it.
  std::optional<int> look() {
    pollfd entry{output_, POLLIN, 0};
    ::poll(&entry, 1, kLookMs);
    read_output();
    if ((entry.revents & POLLIN) == 0 && (entry.revents & POLLHUP) != 0) ::usleep(1000 * kLookMs);
    int status = 0;
    const pid_t ended = ::waitpid(pid_, &status, WNOHANG);
    if (ended == 0 || (ended < 0 && errno == EINTR)) return std::nullopt;
    pid_ = -1;
    read_output();  // its last words
    return ended < 0 ? kLost : status;
  }

  std::string said() const {
    std::string text = said_;
    text.erase(text.find_last_not_of(" \r\n") + 1);
    return text;
  }

  static constexpr int kLost = -1;  // no wait status: SIGCHLD is ignored in this process

 private:
  void read_output() {
    char bytes[1024];
    for (int i = 0; i < kReadsMax; ++i) {
      const ssize_t n = ::read(output_, bytes, sizeof bytes);
      if (n <= 0) return;
      said_.append(bytes, static_cast<std::size_t>(n));
      if (said_.size() > kOutputBytesMax) said_.erase(0, said_.size() - kOutputBytesMax);
    }
  }

  pid_t pid_ = -1;
  int output_ = -1;
  std::string said_;
};

}  // namespace

Result<void> run_hook_program(const Clock& clock, const HookCall& call, ErrorCode on_refusal) {
  std::vector<std::string> all = call.program;
  const std::string program = all.front();
  all.push_back(call.command);
  all.insert(all.end(), call.arguments.begin(), call.arguments.end());
  std::vector<std::string> variables = {std::string(kPath), "LAYBY_COMMAND=" + call.command};
  for (const auto& [name, value] : call.environment) variables.push_back(name + "=" + value);
  Child child;
  if (const int error = child.start(std::move(all), std::move(variables)); error != 0)
    return fail(is_passing(error) ? ErrorCode::kUnavailable : on_refusal, "starting {}: {}",
                program, std::generic_category().message(error));
  const std::int64_t until_ms = clock.monotonic_ms() + 1000 * call.seconds_max;
  std::optional<int> status;
  while (!(status = child.look()))
    if (clock.monotonic_ms() >= until_ms)
      return fail(ErrorCode::kUnavailable, "{} {} took more than {} s", program, call.command,
                  call.seconds_max);
  if (*status == Child::kLost)
    return fail(ErrorCode::kUnavailable, "{} {}: how it ended is not known: SIGCHLD is ignored",
                program, call.command);
  if (WIFEXITED(*status) && WEXITSTATUS(*status) == 0) return {};
  const bool is_busy = WIFEXITED(*status) && WEXITSTATUS(*status) == kHookTryAgain;
  const std::string how = WIFEXITED(*status) ? fmt::format("exit status {}", WEXITSTATUS(*status))
                                             : fmt::format("signal {}", WTERMSIG(*status));
  return fail(is_busy ? ErrorCode::kUnavailable : on_refusal, "{} {}: {}: {}", program,
              call.command, how, child.said());
}

}  // namespace layby::agent
