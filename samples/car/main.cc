// layby-car: a simulated car behind a Unix socket. agent/README.md has the command line.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "agent/line_socket.h"
#include "crypto/initialize.h"
#include "manifest/json_value.h"
#include "samples/car/car_server.h"

namespace {

using namespace layby;
using manifest::Json;

constexpr std::int64_t kAnswerMsMax = 10'000;

int stop_pipe[2] = {-1, -1};

void want_stop(int) {
  const char byte = 0;
  [[maybe_unused]] const ssize_t n = ::write(stop_pipe[1], &byte, 1);
}

int report(const Error& error) {
  std::fprintf(stderr, "layby-car: %s\n", error.message().c_str());
  return 1;
}

Result<Json> ask(const std::string& socket_path, const Json& request) {
  auto socket = TRY(agent::LineSocket::connect(socket_path));
  TRY_VOID(socket.send(TRY(manifest::to_wire(request))));
  const auto line = TRY(socket.receive(kAnswerMsMax));
  if (!line) return fail(ErrorCode::kTimeout, "the car at {} does not answer", socket_path);
  Json answer = TRY(manifest::parse_strict(as_bytes(*line), {.bytes_max = agent::kLineBytesMax}));
  if (TRY(manifest::bool_field(answer, "ok"))) return answer;
  return fail(ErrorCode::kInvalidArgument, "{}", TRY(manifest::text_field(answer, "text")));
}

int serve(const std::string& socket_path, const std::string& state_path) {
  if (::pipe(stop_pipe) != 0) return report(Error(ErrorCode::kIo, "no pipe"));
  struct sigaction action {};
  action.sa_handler = want_stop;
  ::sigaction(SIGTERM, &action, nullptr);
  ::sigaction(SIGINT, &action, nullptr);
  const auto served = samples::serve_car(socket_path, state_path, stop_pipe[0]);
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
  const auto answer = ask(socket_path, {{"id", 1}, {"do", "set"}, {"values", values}});
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
  const auto answer = ask(socket_path, {{"id", 1}, {"do", "show"}});
  if (!answer) return report(answer.error());
  const Json* car = manifest::find_field(*answer, "car");
  if (car == nullptr) return report(Error(ErrorCode::kBadFormat, "the answer shows no car"));
  if (!as_json) {
    print(*car);
    return 0;
  }
  const auto text = manifest::to_wire(*car);
  if (!text) return report(text.error());
  std::printf("%s\n", text->c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  crypto::initialize();
  std::string socket_path, state_path;
  std::vector<std::string> assignments;
  bool as_json = false;
  CLI::App app("A simulated car for Layby");
  app.require_subcommand(1);
  CLI::App* serve_command = app.add_subcommand("serve", "be the car");
  CLI::App* set_command = app.add_subcommand("set", "turn its controls");
  CLI::App* show_command = app.add_subcommand("show", "look at it");
  for (CLI::App* command : {serve_command, set_command, show_command})
    command->add_option("--socket", socket_path, "path of the Unix socket")->required();
  serve_command->add_option("--state", state_path, "file that it remembers in")->required();
  set_command->add_option("assignments", assignments, "NAME=VALUE...")->required();
  show_command->add_flag("--json", as_json);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (*serve_command) return serve(socket_path, state_path);
  if (*set_command) return set(socket_path, assignments);
  return show(socket_path, as_json);
}
