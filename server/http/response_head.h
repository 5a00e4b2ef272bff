// The head of a response as bytes on the wire (RFC 9112).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/clock.h"
#include "server/http/message.h"

namespace layby::server {

enum class KeepAlive { kNo, kYes };

struct HeadFacts {
  UnixSeconds now;
  KeepAlive keep_alive;
  std::uint64_t body_bytes;  // what Content-Length says, also where no body follows (HEAD)
};

// A header that a handler set with a line break in it is our bug. Content-Length, Connection and
// Date are the server's own; a handler's are ignored.
std::string response_head(const Response& response, const std::map<std::string, std::string>& extra,
                          const HeadFacts& facts);

// 1xx, 204 and 304 have none (RFC 9110, section 6.4.1).
bool status_allows_body(int status);

}  // namespace layby::server
