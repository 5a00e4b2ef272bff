// Requests and responses as plain values: what handlers take and give. Tests and simulations call
// handlers with them without a socket.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/digest.h"

namespace layby::server {

enum class Method { kGet, kHead, kPost, kPut, kPatch, kDelete };

// A client certificate that TLS has verified against the vehicle authority.
struct PeerCertificate {
  std::string common_name;        // the VIN, as issued
  crypto::Digest256 fingerprint;  // SHA-256 of the DER
};

struct Request {
  Method method = Method::kGet;
  std::string path;                            // decoded, without query
  std::map<std::string, std::string> query;    // decoded; the last of equal names
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // within the route's limit
  std::optional<PeerCertificate> peer;
  std::map<std::string, std::string> path_values;  // filled in by the router: {vin} -> "vin"

  // The header's value, or "".
  std::string_view header(std::string_view lower_case_name) const {
    const auto found = headers.find(std::string(lower_case_name));
    return found == headers.end() ? std::string_view{} : std::string_view(found->second);
  }
};

// A part of a file, sent by the server without going through memory as a whole.
struct FilePart {
  std::string path;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

// Texts and parts of files, sent one behind the other.
using BodyPieces = std::vector<std::variant<std::string, FilePart>>;

struct Response {
  int status = 200;
  std::map<std::string, std::string> headers;  // names as they are to be sent
  std::variant<std::string, FilePart, BodyPieces> body;
  // Called once after the response was sent or the connection broke, with the body bytes that the
  // socket took. May be empty. From the thread that sent it.
  std::function<void(std::uint64_t bytes_sent)> sent;
  // Asked before each further megabyte of a file: false breaks the answer off. May be empty.
  std::function<bool()> may_go_on;
  // Not sent: what the log is told about a failure whose text is nobody else's business.
  std::string diagnosis;
};

std::string_view to_string(Method method);  // "GET"
std::optional<Method> method_of(std::string_view name);

// The target of a request line ("/v1/cars/X?limit=10", or with scheme and authority before it) put
// into `path` and `query`. kBadFormat for bad escapes, an escaped slash or NUL, and "." or ".."
// as a part of the path: nobody behind this needs to think of them.
Result<void> parse_target(std::string_view target, Request& request);

}  // namespace layby::server
