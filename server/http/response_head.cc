#include "server/http/response_head.h"

#include <strings.h>
#include <time.h>

#include "base/assert.h"
#include "base/result.h"

namespace layby::server {
namespace {

std::string_view reason_of(int status) {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 206: return "Partial Content";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 409: return "Conflict";
    case 413: return "Content Too Large";
    case 416: return "Range Not Satisfiable";
    case 422: return "Unprocessable Content";
    case 500: return "Internal Server Error";
    case 503: return "Service Unavailable";
    default: return "";  // the phrase may be empty (RFC 9112, section 4)
  }
}

// "Sun, 22 Nov 2026 06:00:00 GMT" (RFC 9110, section 5.6.7), whatever the locale.
std::string http_date(UnixSeconds now) {
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const time_t seconds = now;
  tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", kDays[parts.tm_wday],
                     parts.tm_mday, kMonths[parts.tm_mon], parts.tm_year + 1900, parts.tm_hour,
                     parts.tm_min, parts.tm_sec);
}

bool is_servers_own(const std::string& name) {
  for (const char* own : {"content-length", "connection", "date", "transfer-encoding"})
    if (::strcasecmp(name.c_str(), own) == 0) return true;
  return false;
}

void append_header(std::string& head, const std::string& name, const std::string& value) {
  constexpr std::string_view kBreaks("\r\n\0", 3);
  LAYBY_ASSERT(name.find_first_of(kBreaks) == std::string::npos);
  LAYBY_ASSERT(value.find_first_of(kBreaks) == std::string::npos);
  head.append(name).append(": ").append(value).append("\r\n");
}

}  // namespace

bool status_allows_body(int status) {
  return status >= 200 && status != 204 && status != 304;
}

std::string response_head(const Response& response, const std::map<std::string, std::string>& extra,
                          const HeadFacts& facts) {
  std::string head = fmt::format("HTTP/1.1 {} {}\r\n", response.status, reason_of(response.status));
  append_header(head, "Date", http_date(facts.now));
  for (const auto& [name, value] : response.headers)
    if (!is_servers_own(name)) append_header(head, name, value);
  for (const auto& [name, value] : extra) append_header(head, name, value);
  if (status_allows_body(response.status))
    append_header(head, "Content-Length", std::to_string(facts.body_bytes));
  if (facts.keep_alive == KeepAlive::kNo) append_header(head, "Connection", "close");
  return head + "\r\n";
}

}  // namespace layby::server
