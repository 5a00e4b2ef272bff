#include "samples/car/car_server.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <list>
#include <memory>
#include <system_error>

#include "base/disk.h"
#include "manifest/json_value.h"
#include "samples/car/car_commands.h"
#include "samples/car/car_state.h"
#include "samples/car/page.h"
#include "samples/car/viss_session.h"
#include "samples/car/web_peer.h"

namespace layby::samples {
namespace {

using agent::VissError;
using manifest::Json;

constexpr std::int64_t kLookMs = 1'000;
constexpr std::size_t kPeersMax = 64;
constexpr std::size_t kMessageBytesMax = agent::kWebSocketMessageBytesMax;

constexpr std::string_view kRequestPath = "Vehicle.Layby.Command.Request";
constexpr std::string_view kAnswerPath = "Vehicle.Layby.Command.Answer";
constexpr std::string_view kScreenPath = "Vehicle.Layby.HeadUnit.Screen";

std::int64_t unix_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

template <typename Address>
Result<int> listen_at(const Address& address, const std::string& name) {
  const int listener = ::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  if (listener >= 0) ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (listener < 0 || ::bind(listener, address.get(), address.size()) != 0 ||
      ::listen(listener, 16) != 0) {
    const int error = errno;
    if (listener >= 0) ::close(listener);
    return fail(ErrorCode::kIo, "listening at {}: {}", name,
                std::generic_category().message(error));
  }
  return listener;
}

struct UnixAddress {
  sockaddr_un raw{};
  int family() const { return AF_UNIX; }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&raw); }
  socklen_t size() const { return sizeof raw; }
};

struct LoopbackAddress {
  sockaddr_in raw{};
  int family() const { return AF_INET; }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&raw); }
  socklen_t size() const { return sizeof raw; }
};

// The path is there from the moment on at which somebody listens, and not before: whoever waits for
// it may connect at once.
Result<int> listen_at_path(const std::string& path) {
  const std::string begun = path + "~";
  UnixAddress address;
  address.raw.sun_family = AF_UNIX;
  if (begun.size() >= sizeof address.raw.sun_path)
    return fail(ErrorCode::kInvalidArgument, "the socket path {} is too long", path);
  std::memcpy(address.raw.sun_path, begun.c_str(), begun.size());
  ::unlink(begun.c_str());
  const int listener = TRY(listen_at(address, path));
  if (::rename(begun.c_str(), path.c_str()) == 0) return listener;
  const int error = errno;
  ::close(listener);
  return fail(ErrorCode::kIo, "listening at {}: {}", path, std::generic_category().message(error));
}

Result<int> listen_at_port(std::uint16_t port, const std::string& port_file) {
  LoopbackAddress address;
  address.raw.sin_family = AF_INET;
  address.raw.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.raw.sin_port = htons(port);
  const int listener = TRY(listen_at(address, fmt::format("port {}", port)));
  socklen_t size = sizeof address.raw;
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&address.raw), &size);
  if (port_file.empty()) return listener;
  RealDisk disk;
  const auto written =
      replace_file(disk, port_file, as_bytes(std::to_string(ntohs(address.raw.sin_port))));
  if (written) return listener;
  ::close(listener);
  return fail(written.error());
}

struct Peer {
  explicit Peer(int descriptor) : web(descriptor) {}
  WebPeer web;
  VissSession session{};
  bool gone = false;  // to be erased by serve_peers: whoever is served now is in use until then
};

class Server {
 public:
  Server(std::string state_path, CarState car)
      : state_path_(std::move(state_path)), car_(std::move(car)), signals_ms_(unix_ms()) {}

  void accept(int listener) {
    const int descriptor = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (descriptor < 0) return;
    if (peers_.size() < kPeersMax) {
      peers_.emplace_back(descriptor);
    } else {
      ::close(descriptor);
    }
  }

  // All that has arrived, and all that is due; a peer that is gone or talks nonsense is dropped.
  void serve_peers() {
    for (Peer& peer : peers_)
      if (!peer.gone && !serve(peer)) peer.gone = true;
    finish_slow();
    const Leaves now = leaves();
    for (Peer& peer : peers_) {
      for (const std::string& event : peer.session.events(now, unix_ms()))
        peer.web.send_message(event);
      if (!peer.web.flush()) peer.gone = true;
    }
    peers_.remove_if([](const Peer& peer) { return peer.gone; });
  }

  void add_to(std::vector<pollfd>& entries) const {
    for (const Peer& peer : peers_)
      entries.push_back({peer.web.descriptor(),
                         static_cast<short>(peer.web.has_output() ? POLLIN | POLLOUT : POLLIN), 0});
  }

  std::int64_t wait_ms() const {
    std::int64_t due_ms = unix_ms() + kLookMs;
    for (const Peer& peer : peers_) due_ms = std::min(due_ms, peer.session.next_due_ms());
    for (const Slow& slow : slow_) due_ms = std::min(due_ms, slow.due_ms);
    return std::max<std::int64_t>(0, due_ms - unix_ms());
  }

 private:
  struct Slow {
    Json request;
    std::int64_t due_ms;
  };

  bool is_frozen() const {
    const auto& freeze = car_.controls.at("freeze");
    return freeze != "off" && freeze != "no" && freeze != "0";
  }

  Leaves leaves() {
    if (!is_frozen()) signals_ms_ = unix_ms();
    Leaves all;
    for (const auto& [name, value] : signals(car_)) all[name] = {value, signals_ms_};
    all[std::string(kRequestPath)] = {"", signals_ms_};
    all[std::string(kAnswerPath)] = {command_answer_, signals_ms_};
    all[std::string(kScreenPath)] = {car_.screen, signals_ms_};
    return all;
  }

  Result<void> serve(Peer& peer) {
    TRY_VOID(peer.web.read());
    while (!peer.web.is_websocket()) {
      const auto request = TRY(peer.web.next_request());
      if (!request) return {};
      TRY_VOID(answer(peer, *request));
    }
    while (const auto text = TRY(peer.web.next_message()))
      peer.web.send_message(peer.session.answer(
          *text, leaves(), [this](const auto& path, const auto& value) { return set(path, value); },
          unix_ms()));
    return {};
  }

  // ---- HTTP

  Result<void> answer(Peer& peer, const WebRequest& request) {
    if (!request.is_of_own_page()) {
      peer.web.respond(403, "text/plain", "This is for the car's own page.\n");
    } else if (request.wants_websocket()) {
      if (request.header("sec-websocket-protocol") != agent::kVissSubprotocol)
        return fail(ErrorCode::kUnsupported, "another sub-protocol");
      peer.web.become_websocket(request, agent::kVissSubprotocol);
    } else if (request.method == "POST" && request.target == "/controls") {
      auto done = turn_controls(request.body, car_);
      if (done) done = save_car(state_path_, car_);
      peer.web.respond(done ? 204 : 400, "text/plain", done ? "" : done.error().message());
    } else if (request.method == "GET" && request.target == "/car") {
      peer.web.respond(200, "application/json", TRY(manifest::to_wire(describe(car_))));
    } else if (const PageFile* file = page_file(request.target);
               file != nullptr && request.method == "GET") {
      peer.web.respond(200, file->type, file->bytes);
    } else {
      peer.web.respond(404, "text/plain", "There is no such page.\n");
    }
    return {};
  }

  // ---- VISS

  std::optional<VissError> set(const std::string& path, const std::string& value) {
    const bool is_actuator = path == kRequestPath || path == kScreenPath;
    if (!is_actuator && leaves().contains(path))
      return VissError{401, "read_only",
                       "The desired signal cannot be set since it is a read only signal."};
    if (!is_actuator)
      return VissError{404, "invalid_path", "The specified data path does not exist."};
    const auto taken = path == kScreenPath ? show_screen(value, car_) : take_command(value);
    if (taken) return std::nullopt;
    return VissError{400, "invalid_value", taken.error().message()};
  }

  Result<void> take_command(const std::string& text) {
    Json request = TRY(manifest::parse_strict(as_bytes(text), {.bytes_max = kMessageBytesMax}));
    const std::string what = TRY(manifest::text_field(request, "do"));
    TRY_VOID(manifest::text_field(request, "id").map([](const auto&) {}));
    const std::int64_t slow_ms = 1000 * std::stoll(car_.controls.at("slow_seconds"));
    const bool is_slow = what == "activate" || what == "boot" || what == "reload";
    slow_.push_back({std::move(request), unix_ms() + (is_slow ? slow_ms : 0)});
    return {};
  }

  // What the car has done, or was slow to do, once its time has come.
  void finish_slow() {
    for (auto at = slow_.begin(); at != slow_.end();) {
      if (unix_ms() < at->due_ms) {
        ++at;
        continue;
      }
      const auto done = carry_out(at->request, car_);
      const auto saved = done ? save_car(state_path_, car_) : done;
      Json answer = {{"id", at->request["id"]}, {"ok", saved.has_value()}};
      if (!saved) answer["text"] = saved.error().message();
      if (auto text = manifest::to_wire(answer)) command_answer_ = std::move(*text);
      at = slow_.erase(at);
    }
  }

  std::string state_path_;
  CarState car_;
  std::int64_t signals_ms_;
  std::string command_answer_ = "{}";
  std::list<Peer> peers_;
  std::list<Slow> slow_;
};

}  // namespace

Result<void> serve_car(const CarPlace& place, int stop_descriptor) {
  Server server(place.state_path, TRY(load_car(place.state_path)));
  std::vector<int> listeners;
  listeners.push_back(TRY(listen_at_path(place.socket_path)));
  if (place.port) listeners.push_back(TRY(listen_at_port(*place.port, place.port_file)));
  for (;;) {
    std::vector<pollfd> entries = {{stop_descriptor, POLLIN, 0}};
    for (const int listener : listeners) entries.push_back({listener, POLLIN, 0});
    server.add_to(entries);
    ::poll(entries.data(), entries.size(), static_cast<int>(server.wait_ms()));
    if (entries[0].revents != 0) break;
    for (std::size_t i = 0; i < listeners.size(); ++i)
      if (entries[1 + i].revents != 0) server.accept(listeners[i]);
    server.serve_peers();
  }
  for (const int listener : listeners) ::close(listener);
  ::unlink(place.socket_path.c_str());
  return {};
}

}  // namespace layby::samples
