// Any bytes as what a stranger asks the server for, a line each: the target of the request, its
// Range, its If-None-Match, its If-Range. What was understood is said again, and understood the
// same; what is answered lies within the file.
#include <algorithm>

#include "base/assert.h"
#include "base/bytes.h"
#include "server/http/router.h"
#include "server/http/served_file.h"

using namespace layby;
using namespace layby::server;

namespace {

constexpr std::uint64_t kFileBytes = 1000;

std::string escaped(std::string_view text, std::string_view plain) {
  std::string out;
  for (const char c : text) {
    if (plain.find(c) != std::string_view::npos)
      out += c;
    else
      out += fmt::format("%{:02x}", static_cast<unsigned char>(c));
  }
  return out;
}

std::string target_of(const Request& request) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-_~/";
  std::string target = escaped(request.path, kPlain);
  for (const auto& [name, value] : request.query)
    target += (target.find('?') == std::string::npos ? '?' : '&') + escaped(name, kPlain) + "=" +
              escaped(value, kPlain);
  return target;
}

void check_target(const Request& request) {
  LAYBY_ASSERT(request.path.starts_with('/') && request.path.find('\0') == std::string::npos);
  const std::string around = request.path + "/";
  LAYBY_ASSERT(around.find("/./") == std::string::npos && around.find("/../") == std::string::npos);
  Request again;
  LAYBY_ASSERT(parse_target(target_of(request), again));
  LAYBY_ASSERT(again.path == request.path && again.query == request.query);
}

Router make_router() {
  Router router;
  for (const char* path : {"/", "/v1/cars/{vin}", "/v1/cars/{vin}/orders", "/v1/cars/mine/orders",
                           "/v1/files/{path...}"})
    router.add({Method::kGet, path, [](const Request&) { return Response{}; }});
  return router;
}

// The template with its values in it is the path again.
void check_route(Request request) {
  static const Router router = make_router();
  const Route* route = router.match(request);
  const int status = router.handle(request).status;
  LAYBY_ASSERT(status == (route ? 200 : 404));
  if (!route) return;
  std::string path = route->path;
  for (const auto& [name, value] : request.path_values) {
    LAYBY_ASSERT(!value.empty() && (name == "path" || value.find('/') == std::string::npos));
    const std::string place = name == "path" ? "{path...}" : "{" + name + "}";
    path.replace(path.find(place), place.size(), value);
  }
  LAYBY_ASSERT(path == request.path);
}

void check_answer(const Request& request) {
  const ServedFile file{.path = "/f", .size = kFileBytes, .etag = "\"abc\""};
  const Response answer = serve_file(request, file);
  const auto* part = std::get_if<FilePart>(&answer.body);
  if (answer.status == 304 || answer.status == 416) {
    LAYBY_ASSERT(part == nullptr);
    return;
  }
  LAYBY_ASSERT(part != nullptr);
  if (answer.status == 200) {
    LAYBY_ASSERT(part->offset == 0 && part->length == kFileBytes);
    return;
  }
  LAYBY_ASSERT(answer.status == 206 && part->length > 0 && part->offset < kFileBytes &&
               part->length <= kFileBytes - part->offset);
  const std::string last = fmt::format("{}-{}", part->offset, part->offset + part->length - 1);
  LAYBY_ASSERT(answer.headers.at("Content-Range") == fmt::format("bytes {}/{}", last, kFileBytes));
  Request plain;
  plain.headers["range"] = "bytes=" + last;
  const Response again = serve_file(plain, file);
  const auto* same = std::get_if<FilePart>(&again.body);
  LAYBY_ASSERT(same && same->offset == part->offset && same->length == part->length);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest = as_text({data, size});
  const auto line = [&] {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view taken = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    return taken;
  };
  Request request;
  // The library that reads the request line lets no control character through.
  const std::string_view target = line();
  const bool is_plain = std::ranges::none_of(
      target, [](char c) { return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f; });
  if (is_plain && parse_target(target, request)) {
    check_target(request);
    check_route(request);
  }
  for (const char* name : {"range", "if-none-match", "if-range"})
    if (const std::string_view value = line(); !value.empty()) request.headers[name] = value;
  check_answer(request);
  if (const auto method = method_of(as_text({data, size})))
    LAYBY_ASSERT(to_string(*method) == as_text({data, size}));
  return 0;
}
