// application/problem+json (RFC 9457) with our stable `code`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "server/http/message.h"

namespace layby::server {

struct Reason {
  std::string rule;
  std::string text;
};

Response problem(int status, std::string_view code, std::string_view detail,
                 const std::vector<Reason>& reasons = {});

// The status that an Error of ours becomes; the detail is its message. Internal failures do not
// show their text.
Response problem(const Error& error);

}  // namespace layby::server
