#include "tests/agent/fake_viss_server.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "agent/facts.h"
#include "base/assert.h"
#include "base/clock.h"
#include "crypto/websocket_key.h"

namespace layby::tests {

using namespace agent;

namespace {

constexpr int kEventMs = 50;

std::map<std::string, std::string> parked() {
  std::map<std::string, std::string> values = {{std::string(vss::kGear), "126"},
                                               {std::string(vss::kDriver), "false"},
                                               {std::string(vss::kDoorCount), "4"},
                                               {std::string(vss::kActivateAt), ""}};
  for (const char* door :
       {"Row1.DriverSide", "Row1.PassengerSide", "Row2.DriverSide", "Row2.PassengerSide"}) {
    values[std::string(vss::kDoorPrefix) + door + ".IsOpen"] = "false";
    values[std::string(vss::kDoorPrefix) + door + ".IsLocked"] = "true";
  }
  return values;
}

bool is_readable(int descriptor, int wait_ms) {
  pollfd entry{descriptor, POLLIN, 0};
  return ::poll(&entry, 1, wait_ms) > 0;
}

}  // namespace

FakeVissServer::FakeVissServer(const TempDir& dir) : path_(dir / "viss.sock") {
  manner_.values = parked();
  listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  LAYBY_ASSERT(path_.size() < sizeof address.sun_path);
  std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
  LAYBY_ASSERT(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  LAYBY_ASSERT(::listen(listener_, 4) == 0);
  thread_ = std::thread([this] { serve(); });
}

FakeVissServer::~FakeVissServer() {
  stop_ = true;
  thread_.join();
  ::close(listener_);
}

std::vector<VissRequest> FakeVissServer::sets() const {
  const std::lock_guard lock(mutex_);
  return sets_;
}

int FakeVissServer::changes(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(
      std::ranges::count_if(changes_, [&](const auto& change) { return change.second == path; }));
}

std::int64_t FakeVissServer::now_ms() {
  const std::lock_guard lock(mutex_);
  const std::int64_t now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                                  std::chrono::system_clock::now().time_since_epoch())
                                  .count();
  return manner_.frozen_ms.value_or(now_ms + manner_.ahead_ms);
}

std::int64_t FakeVissServer::value_ms() {
  std::int64_t age_ms = 0;
  with([&](Manner& manner) { age_ms = manner.value_age_ms; });
  return now_ms() - age_ms;
}

void FakeVissServer::serve() {
  while (!stop_) {
    if (!is_readable(listener_, 20)) continue;
    const int peer = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (peer < 0) continue;
    ++connections_;
    intervals_.clear();
    with([this](Manner&) { changes_.clear(); });
    talk(peer);
    ::close(peer);
  }
}

// Gives up when the client does, and when the test is over.
bool FakeVissServer::send(int peer, const std::string& bytes) {
  for (std::size_t at = 0; at < bytes.size();) {
    if (stop_) return false;
    const ssize_t n = ::send(peer, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
    if (n > 0) {
      at += static_cast<std::size_t>(n);
      continue;
    }
    if (errno != EAGAIN && errno != EINTR) return false;
    pollfd entry{peer, POLLOUT, 0};
    ::poll(&entry, 1, 20);
  }
  return true;
}

bool FakeVissServer::say(int peer, const VissAnswer& said) {
  VissAnswer stamped = said;
  stamped.at_ms = now_ms();
  return send(peer, websocket_frame({WebSocketMessage::Kind::kText, encode(stamped)},
                                    WebSocketEnd::kServer));
}

bool FakeVissServer::shake_hands(int peer) {
  std::string head;
  while (head.find("\r\n\r\n") == std::string::npos) {
    char bytes[2048];
    const ssize_t n = ::recv(peer, bytes, sizeof bytes, 0);
    if (n == 0 || stop_) return false;
    if (n > 0) head.append(bytes, static_cast<std::size_t>(n));
    if (n < 0) is_readable(peer, 20);
  }
  const std::string name = "Sec-WebSocket-Key: ";
  const std::size_t at = head.find(name) + name.size();
  const std::string key = head.substr(at, head.find("\r\n", at) - at);
  return send(peer,
              "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              "Sec-WebSocket-Accept: " +
                  crypto::websocket_accept(key) + "\r\nSec-WebSocket-Protocol: VISSv2\r\n\r\n");
}

void FakeVissServer::talk(int peer) {
  if (!shake_hands(peer)) return;
  std::string greeting;
  with([&](Manner& manner) { greeting = manner.greeting; });
  if (!send(peer, greeting)) return;
  WebSocketReader reader(WebSocketEnd::kClient);
  for (;;) {
    if (stop_) return;
    if (is_readable(peer, kEventMs)) {
      char bytes[16 * 1024];
      const ssize_t n = ::recv(peer, bytes, sizeof bytes, 0);
      if (n == 0) return;
      if (n > 0) reader.feed({bytes, static_cast<std::size_t>(n)});
    }
    for (;;) {
      const auto message = reader.next();
      if (!message || (*message && (*message)->kind == WebSocketMessage::Kind::kClose)) return;
      if (!*message) break;
      if ((*message)->kind != WebSocketMessage::Kind::kText) continue;
      const auto request = read_viss_request((*message)->payload);
      if (!request || !answer(peer, *request)) return;
    }
    if (!say_events(peer) || !flood(peer)) return;
  }
}

bool FakeVissServer::flood(int peer) {
  std::string bytes;
  with([&](Manner& manner) { bytes = manner.flood; });
  // Only a client that has got its first look.
  while (!bytes.empty() && !intervals_.empty())
    if (!send(peer, bytes)) return false;
  return true;
}

bool FakeVissServer::answer_get(int peer, const VissRequest& request, VissAnswer said) {
  bool is_mute = false;
  with([&](Manner& manner) {
    is_mute = manner.mute == request.path;
    if (manner.answers_wrongly) said.action = VissAction::kSubscribe;
    const auto error = manner.errors.find(request.path);
    const auto value = manner.values.find(request.path);
    if (error != manner.errors.end()) {
      said.error = error->second;
    } else if (value != manner.values.end()) {
      said.points = {{request.path, value->second, 0}};
    } else {
      said.error = VissError{404, "invalid_path", "There is none."};
    }
  });
  for (VissPoint& point : said.points) point.at_ms = value_ms();
  return is_mute || say(peer, said);
}

bool FakeVissServer::answer_subscribe(int peer, const VissRequest& request, VissAnswer said) {
  const bool is_interval = std::holds_alternative<VissTimebased>(*request.filter);
  bool is_refused = false;
  said.subscription_id = "s" + request.request_id;
  with([&](Manner& manner) {
    is_refused = is_interval ? manner.refuses_intervals : manner.refuses_changes;
    if (!is_refused && !is_interval) changes_[said.subscription_id] = request.path;
  });
  if (is_refused) {
    said.subscription_id.clear();
    said.error = VissError{400, "filter_invalid", "No such filter."};
    return say(peer, said);
  }
  if (is_interval) {
    auto& paths = intervals_[said.subscription_id];
    for (const std::string& path : request.paths) paths.push_back(request.path + "." + path);
    if (paths.empty()) paths.push_back(request.path);
  }
  return say(peer, said);
}

bool FakeVissServer::is_token_over() {
  bool is_over = false;
  with([&](Manner& manner) { is_over = !manner.token.empty() && manner.token != token_; });
  return is_over;
}

VissError FakeVissServer::token_error() {
  VissError error{401, {}, "The token has expired."};
  with([&](Manner& manner) { error.reason = manner.token_reason; });
  return error;
}

bool FakeVissServer::answer(int peer, const VissRequest& request) {
  VissAnswer said{.action = request.action, .request_id = request.request_id};
  token_ = request.authorization;
  if (is_token_over()) {
    said.error = token_error();
    return say(peer, said);
  }
  switch (request.action) {
    case VissAction::kGet: return answer_get(peer, request, said);
    case VissAction::kSubscribe: return answer_subscribe(peer, request, said);
    case VissAction::kSet: {
      std::function<std::optional<VissAnswer>(const VissRequest&)> on_set;
      bool is_ignored = false;
      with([&](Manner& manner) {
        const bool is_screen = request.path == "Vehicle.Layby.HeadUnit.Screen";
        is_ignored = is_screen && !manner.takes_screens;
        if (!is_screen) sets_.push_back(request);
        if (!is_screen) on_set = manner.on_set;
      });
      const auto answered = on_set ? on_set(request) : said;
      if (!answered) return false;
      return is_ignored || say(peer, *answered);
    }
    case VissAction::kUnsubscribe:
      with([&](Manner&) { changes_.erase(request.subscription_id); });
      return say(peer, said);
    case VissAction::kSubscription: return false;
  }
  LAYBY_ASSERT(false);
}

bool FakeVissServer::end_intervals(int peer) {
  for (const auto& [id, paths] : std::exchange(intervals_, {}))
    if (!say(peer,
             {.action = VissAction::kSubscription, .subscription_id = id, .error = token_error()}))
      return false;
  return true;
}

bool FakeVissServer::say_events(int peer) {
  bool ends = is_token_over();
  with([&](Manner& manner) { ends = std::exchange(manner.ends_intervals, false) || ends; });
  if (ends) return end_intervals(peer);
  for (const auto& [id, paths] : intervals_) {
    VissAnswer event{.action = VissAction::kSubscription, .subscription_id = id};
    bool has_events = false;
    with([&](Manner& manner) {
      has_events = manner.has_events;
      for (const std::string& path : paths)
        if (manner.values.contains(path) && !manner.errors.contains(path))
          event.points.push_back({path, manner.values.at(path), 0});
    });
    for (VissPoint& point : event.points) point.at_ms = value_ms();
    if (has_events && !say(peer, event)) return false;
  }
  return true;
}

}  // namespace layby::tests
