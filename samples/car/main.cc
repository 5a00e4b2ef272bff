// layby-car: a simulated car, a VISS server with a head-unit page. agent/README.md has the command
// line.
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstring>

#include "base/limits.h"
#include "crypto/initialize.h"
#include "manifest/json_value.h"
#include "samples/car/car_server.h"

namespace {

using namespace layby;
using manifest::Json;

constexpr int kAnswerSecondsMax = 10;

struct Closer {
  int descriptor;
  ~Closer() { ::close(descriptor); }
};

int stop_pipe[2] = {-1, -1};

void want_stop(int) {
  const char byte = 0;
  [[maybe_unused]] const ssize_t n = ::write(stop_pipe[1], &byte, 1);
}

int report(const Error& error) {
  std::fprintf(stderr, "layby-car: %s\n", error.message().c_str());
  return 1;
}

// One request of HTTP over the car's socket; the body of its answer.
Result<std::string> ask(const std::string& socket_path, const std::string& method,
                        const std::string& target, const std::string& body) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof address.sun_path)
    return fail(ErrorCode::kInvalidArgument, "the socket path {} is too long", socket_path);
  std::memcpy(address.sun_path, socket_path.c_str(), socket_path.size());
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return fail(ErrorCode::kIo, "no socket");
  const timeval patience{kAnswerSecondsMax, 0};
  ::setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  const Closer closer{descriptor};
  const std::string request =
      fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{}", method,
                  target, body.size(), body);
  if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::send(descriptor, request.data(), request.size(), MSG_NOSIGNAL) !=
          static_cast<ssize_t>(request.size()))
    return fail(ErrorCode::kUnavailable, "nobody listens at {}", socket_path);
  std::string answer;
  for (;;) {
    const std::size_t end = answer.find("\r\n\r\n");
    const std::size_t length = answer.find("Content-Length: ");
    if (end != std::string::npos && length < end &&
        answer.size() - end - 4 >= std::stoul(answer.substr(length + 16)))
      break;
    char bytes[16 * 1024];
    const ssize_t n = ::recv(descriptor, bytes, sizeof bytes, 0);
    if (n <= 0) return fail(ErrorCode::kTimeout, "the car at {} does not answer", socket_path);
    answer.append(bytes, static_cast<std::size_t>(n));
  }
  const std::string text = answer.substr(answer.find("\r\n\r\n") + 4);
  if (answer.starts_with("HTTP/1.1 20")) return text;
  return fail(ErrorCode::kInvalidArgument, "{}", text);
}

int serve(const samples::CarPlace& place) {
  if (::pipe(stop_pipe) != 0) return report(Error(ErrorCode::kIo, "no pipe"));
  struct sigaction action {};
  action.sa_handler = want_stop;
  ::sigaction(SIGTERM, &action, nullptr);
  ::sigaction(SIGINT, &action, nullptr);
  const auto served = samples::serve_car(place, stop_pipe[0]);
  return served ? 0 : report(served.error());
}

int set(const std::string& socket_path, const std::vector<std::string>& assignments) {
  Json values = Json::object();
  for (const std::string& assignment : assignments) {
    const std::size_t equals = assignment.find('=');
    if (equals == std::string::npos) {
      std::fprintf(stderr, "layby-car: %s: NAME=VALUE is wanted\n", assignment.c_str());
      return 2;
    }
    values[assignment.substr(0, equals)] = assignment.substr(equals + 1);
  }
  const auto body = manifest::to_wire(values);
  if (!body) return report(body.error());
  const auto answer = ask(socket_path, "POST", "/controls", *body);
  return answer ? 0 : report(answer.error());
}

void print(const Json& car) {
  std::printf("head unit:\n");
  for (const Json& line : car["headUnit"]["lines"])
    std::printf("  %s\n", line.get<std::string>().c_str());
  for (const Json& function : car["functions"])
    std::printf("function %s\n", function["id"].get<std::string>().c_str());
  std::printf("software %s%s\n", car["software"]["booted"].get<std::string>().c_str(),
              car["software"]["trial"].get<bool>() ? " (on trial)" : "");
  std::printf("maps %s\n", car["maps"]["set"].get<std::string>().c_str());
  for (const auto& [name, value] : car["signals"].items())
    std::printf("%s = %s\n", name.c_str(), value.get<std::string>().c_str());
}

int show(const std::string& socket_path, bool as_json) {
  const auto answer = ask(socket_path, "GET", "/car", "");
  if (!answer) return report(answer.error());
  const auto car = manifest::parse_strict(as_bytes(*answer), {.bytes_max = kMiB});
  if (!car) return report(car.error());
  if (as_json) {
    std::printf("%s\n", answer->c_str());
  } else {
    print(*car);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  crypto::initialize();
  std::string socket_path;
  samples::CarPlace place;
  std::uint16_t port = 0;
  std::vector<std::string> assignments;
  bool as_json = false;
  CLI::App app("A simulated car for Layby");
  app.require_subcommand(1);
  CLI::App* serve_command = app.add_subcommand("serve", "be the car");
  CLI::App* set_command = app.add_subcommand("set", "turn its controls");
  CLI::App* show_command = app.add_subcommand("show", "look at it");
  for (CLI::App* command : {serve_command, set_command, show_command})
    command->add_option("--socket", socket_path, "path of the Unix socket")->required();
  serve_command->add_option("--state", place.state_path, "file that it remembers in")->required();
  const CLI::Option* has_port =
      serve_command->add_option("--port", port, "of 127.0.0.1, for the page; 0: any");
  serve_command->add_option("--port-file", place.port_file, "the port is written there");
  set_command->add_option("assignments", assignments, "NAME=VALUE...")->required();
  show_command->add_flag("--json", as_json);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  place.socket_path = socket_path;
  if (has_port->count() > 0) place.port = port;
  if (*serve_command) return serve(place);
  if (*set_command) return set(socket_path, assignments);
  return show(socket_path, as_json);
}
