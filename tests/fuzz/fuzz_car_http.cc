// Any bytes as what a browser sends to the simulated car: requests of HTTP, and what they turn.
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "manifest/json_value.h"
#include "samples/car/car_commands.h"
#include "samples/car/web_peer.h"

using namespace layby;
using namespace layby::samples;

namespace {

// What was understood is said again, and understood the same.
void check_head(const WebRequest& request) {
  std::string head = request.method + " " + request.target + " HTTP/1.1";
  for (const auto& [name, value] : request.headers) head += "\r\n" + name + ": " + value;
  const auto again = parse_head(head);
  LAYBY_ASSERT(again && again->method == request.method && again->target == request.target &&
               again->headers == request.headers);
}

// What is refused changes nothing; what was turned once is turned.
void turn(const std::string& body, CarState& car) {
  const auto before = describe(car);
  if (!turn_controls(body, car)) {
    LAYBY_ASSERT(describe(car) == before);
    return;
  }
  const auto after = describe(car);
  LAYBY_ASSERT(turn_controls(body, car) && describe(car) == after);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  int ends[2];
  LAYBY_ASSERT(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  CarState car = new_car();
  // More than a socket takes at once is no more to parse.
  (void)::send(ends[1], data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
  WebPeer peer(ends[0]);
  LAYBY_ASSERT(peer.read());
  for (;;) {
    const auto request = peer.next_request();
    if (!request || !*request) break;
    check_head(**request);
    turn((*request)->body, car);
    (void)(*request)->is_of_own_page();
    peer.respond(204, "text/plain", "");
  }
  const std::string text(as_text({data, size}));
  turn(text, car);
  if (show_screen(text, car)) LAYBY_ASSERT(show_screen(text, car));
  ::close(ends[1]);
  return 0;
}
