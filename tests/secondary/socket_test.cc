// The socket: a stream that breaks the rules is closed, noted, and the next primary is served.
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <thread>

#include "agent/secondary/serve.h"
#include "tests/secondary/carrier.h"
#include "tests/temp_dir.h"

using namespace layby;
using namespace layby::tests;
using namespace layby::secondary;

namespace {

class Served {
 public:
  explicit Served(ServeLimits limits) : path_(directory_.path() + "/ecu.sock") {
    REQUIRE(::pipe(stop_) == 0);
    listener_ = listen_at(path_).value();
    thread_ = std::thread(
        [this, limits] { ended_ = serve(*world_.ecu, listener_, stop_[0], limits).has_value(); });
  }
  ~Served() { stop(); }
  void stop() {
    if (!thread_.joinable()) return;
    CHECK(::write(stop_[1], "x", 1) == 1);
    thread_.join();
    CHECK(ended_);
    ::close(stop_[0]);
    ::close(stop_[1]);
  }
  Socket connect() const { return connect_to(path_).value(); }
  EcuWorld& world() { return world_; }

 private:
  TempDir directory_;
  std::string path_;
  EcuWorld world_{Verification::kPartial};
  Socket listener_;
  int stop_[2] = {-1, -1};
  std::thread thread_;
  bool ended_ = false;
};

void send_raw(const Socket& socket, ByteSpan bytes) {
  REQUIRE(::send(socket.descriptor(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
          static_cast<ssize_t>(bytes.size()));
}

Result<Message> ask(const Socket& socket, const Message& question) {
  TRY_VOID(send_message(socket, question, 60'000));
  return receive_message(socket, 60'000);
}

}  // namespace

TEST_CASE("A secondary answers at its socket, one message after the other") {
  Served served({});
  const Socket peer = served.connect();
  for (int i = 0; i < 3; ++i) {
    const auto said = ask(peer, {MessageType::kStatus});
    REQUIRE(said);
    const auto status = decode_status(said->body);
    REQUIRE(status);
    CHECK(status->serial.text() == kBrake);
    CHECK(status->verification == Verification::kPartial);
  }
}

TEST_CASE("Whoever breaks the rules of the stream is refused, and named in the next report") {
  Served served({.message_ms = 10'000, .idle_ms = 60'000});
  SECTION("what is no message") {
    const Socket peer = served.connect();
    send_raw(peer, as_bytes("GET / HTTP/1.1\r\n\r\n"));
    const auto said = receive_message(peer, 20'000);
    REQUIRE(said);
    CHECK(read_error(said->body).code() == ErrorCode::kBadFormat);
  }
  SECTION("a body longer than any may be") {
    const Socket peer = served.connect();
    send_raw(peer, Bytes{'L', 'E', 1, 5, 0xff, 0xff, 0xff, 0xff});
    const auto said = receive_message(peer, 20'000);
    REQUIRE(said);
    CHECK(read_error(said->body).code() == ErrorCode::kEndlessData);
    const auto gone = receive_message(peer, 20'000);
    CHECK_FALSE(gone);
  }
  SECTION("a connection that asks nothing makes way") {
    const Socket silent = served.connect();
    const Socket other = served.connect();
    CHECK(ask(other, {MessageType::kStatus}));
  }
  const Socket next = served.connect();
  REQUIRE(ask(next, {MessageType::kStatus}));
  served.stop();
}

TEST_CASE("A message that never ends holds nobody up") {
  Served served({.message_ms = 300, .idle_ms = 60'000});
  const Socket slow = served.connect();
  send_raw(slow, Bytes{'L', 'E', 1});
  const auto said = receive_message(slow, 60'000);
  REQUIRE_FALSE(said);
  CHECK(said.error().code() == ErrorCode::kUnavailable);  // closed
  REQUIRE(ask(served.connect(), {MessageType::kStatus}));
}

TEST_CASE("What has arrived is read, also by who comes too late") {
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
  const Socket here(ends[0]), there(ends[1]);
  REQUIRE(send_message(here, {MessageType::kStatus}, 0));
  CHECK(receive_message(there, 0));
  const auto nothing = receive_message(there, 0);
  REQUIRE_FALSE(nothing);
  CHECK(nothing.error().code() == ErrorCode::kTimeout);
}

TEST_CASE("A refused stream is in the signed report") {
  Served served({});
  {
    const Socket peer = served.connect();
    send_raw(peer, Bytes{'L', 'E', 1, 77, 0, 0, 0, 0});
    CHECK(receive_message(peer, 20'000));
  }
  REQUIRE(ask(served.connect(), {MessageType::kStatus}));
  served.stop();
  CHECK(served.world().report().attack.starts_with("bad-format: "));
}

TEST_CASE("A socket is made in place of one that was left behind, and of nothing else") {
  const TempDir directory;
  const std::string path = directory.path() + "/ecu.sock";
  { const Socket left = listen_at(path).value(); }
  {
    const mode_t before = ::umask(0);
    const auto listener = listen_at(path);
    CHECK(::umask(before) == 0);
    REQUIRE(listener);
    struct stat found {};
    REQUIRE(::stat(path.c_str(), &found) == 0);
    CHECK((found.st_mode & 0777) == 0660);
  }
  RealDisk disk;
  const std::string file = directory.path() + "/file";
  REQUIRE(replace_file(disk, file, as_bytes("x")));
  CHECK(listen_at(file).error().code() == ErrorCode::kAlreadyExists);
  CHECK(connect_to(directory.path() + "/nobody").error().code() == ErrorCode::kUnavailable);
  CHECK(check_socket_path(path));
  for (const auto& wrong : {std::string("ecu.sock"), std::string(), "/" + std::string(107, 'x')})
    CHECK(check_socket_path(wrong).error().code() == ErrorCode::kInvalidArgument);
  CHECK(listen_at(std::string(300, 'x')).error().code() == ErrorCode::kInvalidArgument);
}
