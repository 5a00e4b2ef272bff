// Routes: method and path template to handler. Pure: knows nothing of sockets, accounts or the
// store.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "server/http/message.h"

namespace layby::server {

using Handler = std::function<Response(const Request&)>;

struct Route {
  Method method;
  // "/v1/cars/{vin}"; "{path...}" as the last part takes the rest, slashes included. A value is
  // never empty. Where several fit, a literal part goes before a value, a value before the rest.
  std::string path;
  Handler handler;
  std::uint64_t body_bytes_max = 64 * 1024;
  // Asked before the body is read, for routes with large bodies: a response refuses the request.
  // May be empty.
  std::function<std::optional<Response>(const Request&)> admit = {};
};

class Router {
 public:
  // Asked before the handler of every route that writes (all but GET): a response refuses the
  // request. Before the first `add`. Any thread.
  using Guard = std::function<std::optional<Response>(const Request&)>;
  void guard_writes(Guard guard);

  // A template given twice with one method is our bug.
  void add(Route route);
  const std::vector<Route>& routes() const { return routes_; }

  // The route for this request with `path_values` filled in; null if none. HEAD falls back to GET.
  const Route* match(Request& request) const;

  // Runs the handler; 404, 405 (with Allow) and 413 as problem+json where none fits. An exception
  // that a library let through becomes a 500.
  Response handle(Request request) const;

  // The same in two steps, for the server, which reads the body in between.
  Response refuse(const Request& request) const;  // when `match` gave null
  static Response run(const Route& route, const Request& request);

 private:
  struct Part {
    enum class Kind { kLiteral, kValue, kRest } kind;
    std::string text;  // the literal, or the value's name
  };
  struct Template {
    std::vector<Part> parts;
    std::size_t route;  // index into routes_
  };
  static std::vector<Part> parse_template(const std::string& path);
  static bool fits(const Template& shape, const std::vector<std::string_view>& parts);

  Guard guard_;                // may be empty
  std::vector<Route> routes_;  // in the order of adding
  std::vector<Template> by_preference_;
};

}  // namespace layby::server
