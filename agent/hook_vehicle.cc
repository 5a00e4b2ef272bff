#include "agent/hook_vehicle.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "base/assert.h"

namespace layby::agent {
namespace {

constexpr std::size_t kOutputBytesMax = 1024;  // the end of what it says
constexpr int kLookMs = 20;
constexpr int kReadsMax = 128;  // of a pipe, at a time: one that talks without end is not obeyed
constexpr std::string_view kPath = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";

constexpr std::array<std::pair<Hook, std::string_view>, 6> kHooks = {{
    {Hook::kActivate, "activate"},
    {Hook::kDeactivate, "deactivate"},
    {Hook::kBoot, "boot"},
    {Hook::kCheck, "check"},
    {Hook::kReload, "reload"},
    {Hook::kRestart, "restart"},
}};

std::string_view to_string(BootStep step) {
  switch (step) {
    case BootStep::kTrial: return "trial";
    case BootStep::kKeep: return "keep";
    case BootStep::kRevert: return "revert";
  }
  LAYBY_ASSERT(false);
}

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

std::string_view to_string(Hook hook) {
  for (const auto& [entry, name] : kHooks)
    if (entry == hook) return name;
  LAYBY_ASSERT(false);
}

std::optional<Hook> hook_from(std::string_view name) {
  for (const auto& [hook, text] : kHooks)
    if (text == name) return hook;
  return std::nullopt;
}

Result<void> HookVehicle::run(Hook hook, const std::map<std::string, std::string>& environment,
                              const std::vector<std::string>& arguments, ErrorCode on_refusal) {
  std::vector<std::string> all = options_.programs.at(hook);
  const std::string program = all.front();
  all.emplace_back(to_string(hook));
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::vector<std::string> variables = {std::string(kPath),
                                        "LAYBY_COMMAND=" + std::string(to_string(hook))};
  for (const auto& [name, value] : environment) variables.push_back(name + "=" + value);
  Child child;
  if (const int error = child.start(std::move(all), std::move(variables)); error != 0)
    return fail(is_passing(error) ? ErrorCode::kUnavailable : on_refusal, "starting {}: {}",
                program, std::generic_category().message(error));
  const std::int64_t until_ms = clock_.monotonic_ms() + 1000 * options_.seconds_max;
  std::optional<int> status;
  while (!(status = child.look()))
    if (clock_.monotonic_ms() >= until_ms)
      return fail(ErrorCode::kUnavailable, "{} {} took more than {} s", program, to_string(hook),
                  options_.seconds_max);
  if (*status == Child::kLost)
    return fail(ErrorCode::kUnavailable, "{} {}: how it ended is not known: SIGCHLD is ignored",
                program, to_string(hook));
  if (WIFEXITED(*status) && WEXITSTATUS(*status) == 0) return {};
  const bool is_busy = WIFEXITED(*status) && WEXITSTATUS(*status) == kHookTryAgain;
  const std::string how = WIFEXITED(*status) ? fmt::format("exit status {}", WEXITSTATUS(*status))
                                             : fmt::format("signal {}", WTERMSIG(*status));
  return fail(is_busy ? ErrorCode::kUnavailable : on_refusal, "{} {}: {}: {}", program,
              to_string(hook), how, child.said());
}

Result<void> HookVehicle::activate_function(const std::string& id, const std::string& package_path,
                                            const std::string& until) {
  if (!has(Hook::kActivate)) return inner_.activate_function(id, package_path, until);
  return run(Hook::kActivate,
             {{"LAYBY_FUNCTION", id}, {"LAYBY_PACKAGE", package_path}, {"LAYBY_UNTIL", until}},
             {id, package_path, until}, ErrorCode::kActivationFailed);
}

Result<void> HookVehicle::deactivate_function(const std::string& id) {
  if (!has(Hook::kDeactivate)) return inner_.deactivate_function(id);
  return run(Hook::kDeactivate, {{"LAYBY_FUNCTION", id}}, {id}, ErrorCode::kActivationFailed);
}

Result<void> HookVehicle::boot_software(BootStep step, const std::string& slot_path) {
  if (!has(Hook::kBoot)) return inner_.boot_software(step, slot_path);
  const std::string name(to_string(step));
  return run(Hook::kBoot, {{"LAYBY_STEP", name}, {"LAYBY_SLOT", slot_path}}, {name, slot_path},
             ErrorCode::kActivationFailed);
}

Result<void> HookVehicle::check_software(const std::string& slot_path) {
  if (!has(Hook::kCheck)) return inner_.check_software(slot_path);
  return run(Hook::kCheck, {{"LAYBY_SLOT", slot_path}}, {slot_path}, ErrorCode::kHealthCheckFailed);
}

Result<void> HookVehicle::reload_maps(const std::string& set_path) {
  if (!has(Hook::kReload)) return inner_.reload_maps(set_path);
  return run(Hook::kReload, {{"LAYBY_SET", set_path}}, {set_path}, ErrorCode::kActivationFailed);
}

Result<void> HookVehicle::restart() {
  if (!has(Hook::kRestart)) return inner_.restart();
  return run(Hook::kRestart, {}, {}, ErrorCode::kActivationFailed);
}

}  // namespace layby::agent
