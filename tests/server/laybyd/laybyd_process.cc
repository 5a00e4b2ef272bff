#include "tests/server/laybyd/laybyd_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <thread>

#include "base/disk.h"

namespace layby::tests {
namespace {

pid_t start(std::vector<std::string> arguments, const std::string& errors_path) {
  arguments.insert(arguments.begin(), std::string(LAYBY_BIN_DIR) + "/laybyd");
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    const int errors = ::open(errors_path.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
    const int nothing = ::open("/dev/null", O_WRONLY);
    ::dup2(errors, STDERR_FILENO);
    ::dup2(nothing, STDOUT_FILENO);
    ::execv(pointers[0], pointers.data());
    _exit(127);
  }
  return pid;
}

std::string text_of(const std::string& path) {
  RealDisk disk;
  const auto bytes = read_file(disk, path, 1 << 20);
  return bytes ? std::string(as_text(*bytes)) : std::string();
}

int exit_status(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace

int run_laybyd(const std::vector<std::string>& arguments, const std::string& errors_path) {
  const pid_t pid = start(arguments, errors_path);
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  return exit_status(status);
}

void init_data(const std::string& data_dir, const std::vector<std::string>& more) {
  std::vector<std::string> arguments{"init", data_dir, "--offline-key-cost", "interactive"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const std::string errors = data_dir + ".init-errors";
  const int status = run_laybyd(arguments, errors);
  INFO(text_of(errors));
  REQUIRE(status == 0);
}

LaybydProcess::LaybydProcess(const std::string& data_dir) : data_dir_(data_dir) {
  RealDisk disk;
  const std::string port_file = data_dir + "/port";
  REQUIRE(disk.remove(port_file));
  pid_ = start(
      {"serve", "--config", data_dir + "/laybyd.toml", "--port", "0", "--port-file", port_file},
      data_dir + "/errors");
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!disk.status(port_file)) {
    int status = 0;
    const bool ended = ::waitpid(pid_, &status, WNOHANG) == pid_;
    if (ended) pid_ = -1;
    INFO(text_of(data_dir + "/errors"));
    REQUIRE_FALSE(ended);
    REQUIRE(std::chrono::steady_clock::now() < deadline);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  port_ = static_cast<std::uint16_t>(std::stoi(text_of(port_file)));
  std::string token = text_of(data_dir + "/operator.token");
  token.erase(token.find_last_not_of("\r\n") + 1);
  operator_header_ = "Authorization: Bearer " + token + "\r\n";
}

LaybydProcess::~LaybydProcess() {
  if (pid_ > 0) kill_now();
}

TlsClientOptions LaybydProcess::client() const {
  return {port_, text_of(data_dir_ + "/provision/ca.pem"), std::nullopt,
          TlsClientOptions::Version::kBest};
}

int LaybydProcess::wait_for_end() {
  int status = 0;
  const pid_t ended = ::waitpid(pid_, &status, 0);
  pid_ = -1;
  return ended > 0 ? exit_status(status) : -1;
}

void LaybydProcess::kill_now() {
  ::kill(pid_, SIGKILL);
  wait_for_end();
}

int LaybydProcess::stop() {
  ::kill(pid_, SIGTERM);
  return wait_for_end();
}

}  // namespace layby::tests
