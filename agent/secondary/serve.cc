#include "agent/secondary/serve.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <system_error>

namespace layby::secondary {
namespace {

constexpr int kAcceptPauseMs = 1'000;

// What a local process does by dying in the middle of a message says nothing about a primary.
bool is_worth_noting(const Error& error) {
  return error.code() != ErrorCode::kUnavailable && error.code() != ErrorCode::kTimeout;
}

// One question and its answer; false when the connection is to be closed.
bool exchange(Secondary& ecu, const Socket& peer, const ServeLimits& limits) {
  const auto question = receive_message(peer, limits.message_ms);
  if (!question) {
    if (is_worth_noting(question.error())) {
      ecu.note_refusal(question.error());
      static_cast<void>(send_message(peer, make_error(question.error()), limits.message_ms));
    }
    return false;
  }
  return send_message(peer, ecu.answer(*question), limits.message_ms).has_value();
}

}  // namespace

Result<void> serve(Secondary& ecu, const Socket& listener, int stop_descriptor,
                   const ServeLimits& limits) {
  Socket peer;
  for (;;) {
    pollfd entries[] = {{stop_descriptor, POLLIN, 0},
                        {listener.descriptor(), POLLIN, 0},
                        {peer.descriptor(), POLLIN, 0}};
    const int ready = ::poll(entries, peer.is_open() ? 3 : 2,
                             peer.is_open() ? static_cast<int>(limits.idle_ms) : -1);
    if (ready < 0 && errno != EINTR)
      return fail(ErrorCode::kIo, "waiting for a primary: {}",
                  std::generic_category().message(errno));
    if (ready < 0) continue;
    if ((entries[0].revents & POLLIN) != 0) return {};
    if (ready == 0) {
      peer.close();
    } else if (peer.is_open() && entries[2].revents != 0) {
      if (!exchange(ecu, peer, limits)) peer.close();
    } else if ((entries[1].revents & POLLIN) != 0) {
      const int accepted =
          ::accept4(listener.descriptor(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (accepted >= 0) {
        peer = Socket(accepted);
      } else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        // No descriptor, no memory: who waits is still there, and must not make us spin.
        ::poll(entries, 1, kAcceptPauseMs);
      }
    }
  }
}

}  // namespace layby::secondary
