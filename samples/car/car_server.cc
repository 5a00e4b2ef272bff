#include "samples/car/car_server.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <list>
#include <system_error>

#include "agent/line_socket.h"
#include "manifest/json_value.h"
#include "samples/car/car_commands.h"
#include "samples/car/car_state.h"

namespace layby::samples {
namespace {

using agent::LineSocket;
using manifest::Json;

constexpr int kSignalPeriodMs = 1'000;
constexpr std::size_t kPeersMax = 64;

std::int64_t unix_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

Result<int> listen_at(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return fail(ErrorCode::kInvalidArgument, "the socket path {} is too long", path);
  std::memcpy(address.sun_path, path.c_str(), path.size());
  ::unlink(path.c_str());
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0 ||
      ::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener, 16) != 0) {
    const int error = errno;
    if (listener >= 0) ::close(listener);
    return fail(ErrorCode::kIo, "listening at {}: {}", path,
                std::generic_category().message(error));
  }
  return listener;
}

struct Peer {
  LineSocket socket;
  bool subscribed = false;
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
      peers_.push_back({LineSocket(descriptor)});
    } else {
      ::close(descriptor);
    }
  }

  // All that has arrived; a peer that is gone or talks nonsense is dropped.
  void serve_peers() {
    for (Peer& peer : peers_) peer.gone = peer.gone || !serve(peer);
    finish_slow();
    peers_.remove_if([](const Peer& peer) { return peer.gone; });
  }

  // What the car is slow to do, once its time has come.
  void finish_slow() {
    for (auto at = slow_.begin(); at != slow_.end();) {
      const bool is_gone = at->peer->gone;
      if (!is_gone && unix_ms() < at->due_ms) {
        ++at;
        continue;
      }
      if (!is_gone) at->peer->gone = !reply_to(*at->peer, at->request);
      at = slow_.erase(at);
    }
  }

  void publish() {
    const auto& freeze = car_.controls.at("freeze");
    if (freeze == "off" || freeze == "no" || freeze == "0") signals_ms_ = unix_ms();
    for (Peer& peer : peers_)
      if (peer.subscribed && !peer.gone) peer.gone = !send_signals(peer);
  }

  void add_to(std::vector<pollfd>& entries) const {
    for (const Peer& peer : peers_) entries.push_back({peer.socket.descriptor(), POLLIN, 0});
  }

 private:
  struct Slow {
    Peer* peer;
    Json request;
    std::int64_t due_ms;
  };

  bool send_signals(Peer& peer) {
    Json list = Json::object();
    for (const auto& [name, value] : signals(car_))
      list[name] = {{"value", value}, {"at", signals_ms_}};
    const auto line = manifest::to_wire({{"signals", list}});
    return line && peer.socket.send(*line);
  }

  bool serve(Peer& peer) {
    for (;;) {
      const auto line = peer.socket.receive(0);
      if (!line) return false;
      if (!*line) return true;
      const auto request =
          manifest::parse_strict(as_bytes(**line), {.bytes_max = agent::kLineBytesMax});
      if (!request || !answer(peer, *request)) return false;
    }
  }

  bool answer(Peer& peer, const Json& request) {
    const auto id = manifest::uint_field(request, "id");
    const auto what = manifest::text_field(request, "do");
    if (!id || !what) return false;
    const std::int64_t slow_ms = 1000 * std::stoll(car_.controls.at("slow_seconds"));
    if (slow_ms > 0 && (*what == "activate" || *what == "boot" || *what == "reload")) {
      slow_.push_back({&peer, request, unix_ms() + slow_ms});
      return true;
    }
    return reply_to(peer, request);
  }

  bool reply_to(Peer& peer, const Json& request) {
    const auto id = manifest::uint_field(request, "id");
    const auto what = manifest::text_field(request, "do");
    if (!id || !what) return false;
    Json reply = {{"id", *id}, {"ok", true}};
    if (*what == "subscribe") {
      peer.subscribed = true;
      const auto line = manifest::to_wire(reply);
      return send_signals(peer) && line && peer.socket.send(*line);
    }
    if (*what == "show") {
      reply["car"] = describe(car_);
    } else {
      const auto done = *what == "set" ? set(request) : carry_out(request, car_);
      const auto saved = done ? save_car(state_path_, car_) : done;
      if (!saved) reply = {{"id", *id}, {"ok", false}, {"text", saved.error().message()}};
      if (*what == "set") publish();
    }
    const auto line = manifest::to_wire(reply);
    return line && peer.socket.send(*line);
  }

  Result<void> set(const Json& request) {
    CarState changed = car_;
    const Json& values = *TRY(manifest::object_field(request, "values"));
    for (auto at = values.begin(); at != values.end(); ++at)
      TRY_VOID(set_control(changed, at.key(), TRY(manifest::text_field(values, at.key()))));
    car_ = std::move(changed);
    return {};
  }

  std::string state_path_;
  CarState car_;
  std::int64_t signals_ms_;
  std::list<Peer> peers_;
  std::list<Slow> slow_;
};

}  // namespace

Result<void> serve_car(const std::string& socket_path, const std::string& state_path,
                       int stop_descriptor) {
  Server server(state_path, TRY(load_car(state_path)));
  const int listener = TRY(listen_at(socket_path));
  std::int64_t next_publish_ms = unix_ms();
  for (;;) {
    std::vector<pollfd> entries = {{stop_descriptor, POLLIN, 0}, {listener, POLLIN, 0}};
    server.add_to(entries);
    const std::int64_t wait_ms = std::max<std::int64_t>(0, next_publish_ms - unix_ms());
    ::poll(entries.data(), entries.size(),
           static_cast<int>(std::min<std::int64_t>(wait_ms, kSignalPeriodMs)));
    if (entries[0].revents != 0) break;
    if (entries[1].revents != 0) server.accept(listener);
    server.serve_peers();
    if (unix_ms() >= next_publish_ms) {
      server.publish();
      next_publish_ms = unix_ms() + kSignalPeriodMs;
    }
  }
  ::close(listener);
  ::unlink(socket_path.c_str());
  return {};
}

}  // namespace layby::samples
