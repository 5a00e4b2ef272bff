// Any bytes as what a car's VISS server sends, and what a client sends to one: frames of WebSocket,
// messages in them, times and values. What was understood is said again, and understood the same.
#include "agent/texts.h"
#include "agent/viss_message.h"
#include "agent/viss_signals.h"
#include "agent/websocket.h"
#include "base/assert.h"
#include "base/bytes.h"
#include "samples/car/viss_session.h"

using namespace layby;
using namespace layby::agent;

namespace {

void read_frames(std::string_view bytes, WebSocketEnd peer) {
  WebSocketReader reader(peer);
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t part = 1 + static_cast<std::uint8_t>(bytes[at]) % 64;
    reader.feed(bytes.substr(at, part));
    at += part;
    for (;;) {
      const auto message = reader.next();
      if (!message) return;
      if (!*message) break;
      LAYBY_ASSERT((*message)->payload.size() <= kWebSocketMessageBytesMax);
    }
  }
}

void read_messages(std::string_view text) {
  if (const auto answer = read_viss_answer(text)) {
    VissAnswer said = *answer;
    // An error stands in place of data, and points of one path stand together.
    if (!said.error && said.points.size() <= 1) {
      const auto again = read_viss_answer(encode(said));
      LAYBY_ASSERT(again && *again == said);
    }
    for (const VissPoint& point : said.points)
      LAYBY_ASSERT(translate({.name = "x", .paths = {}, .factor = 0.001}, point.value).size() <
                       64 ||
                   !point.value.empty());
  }
  if (const auto request = read_viss_request(text)) {
    const auto again = read_viss_request(encode(*request));
    LAYBY_ASSERT(again && *again == *request);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = as_text({data, size});
  read_frames(text, WebSocketEnd::kServer);
  read_frames(text, WebSocketEnd::kClient);
  read_messages(text);
  if (const auto time = parse_viss_time(text))
    LAYBY_ASSERT(parse_viss_time(format_viss_time(*time)) == *time);
  (void)look_up_language(text);
  // A server with two signals, asked this twice.
  samples::VissSession session;
  const samples::Leaves leaves = {{"V.A", {"10", 1'000}}, {"V.B.C", {"true", 1'000}}};
  const auto set = [](const std::string&, const std::string&) {
    return std::optional<VissError>(VissError{401, "read_only", "No."});
  };
  for (std::int64_t now_ms = 1'000; now_ms < 3'000; now_ms += 1'000) {
    LAYBY_ASSERT(read_viss_answer(session.answer(text, leaves, set, now_ms)));
    for (const std::string& event : session.events(leaves, now_ms))
      LAYBY_ASSERT(read_viss_answer(event));
  }
  return 0;
}
