// Files that never change, served by RFC 9110: one range, validators, long caching.
#pragma once

#include <cstdint>
#include <string>

#include "server/http/message.h"

namespace layby::server {

struct ServedFile {
  std::string path;
  std::uint64_t size = 0;
  std::string etag;  // strong, with its quotation marks
  std::string content_type = "application/octet-stream";
  std::string cache_control = "public, max-age=31536000, immutable";
};

// 200, 206, 304 or 416 for a GET or HEAD. A Range of several ranges or of bad syntax is answered
// 416 and never with the whole file: whoever asks for a part pays for each byte. A Range in another
// unit than bytes is ignored.
Response serve_file(const Request& request, const ServedFile& file);

}  // namespace layby::server
