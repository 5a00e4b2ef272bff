// Routes: method and path template to handler. Pure: knows nothing of sockets, accounts or the
// store.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "server/http/message.h"

namespace layby::server {

using Handler = std::function<Response(const Request&)>;

struct Route {
  Method method;
  std::string
      path;  // "/v1/cars/{vin}"; "{path...}" as the last part takes the rest, slashes included
  Handler handler;
  std::uint64_t body_bytes_max = 64 * 1024;
};

class Router {
 public:
  // A template given twice with one method is our bug.
  void add(Route route);
  const std::vector<Route>& routes() const { return routes_; }

  // The route for this request with `path_values` filled in; null if none. HEAD falls back to GET.
  const Route* match(Request& request) const;

  // Runs the handler; 404 and 405 (with Allow) as problem+json where none fits.
  Response handle(Request request) const;

 private:
  std::vector<Route> routes_;
};

}  // namespace layby::server
