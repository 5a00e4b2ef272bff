#include "server/rollout/routes.h"

#include "server/rollout/rollout.h"

namespace layby::server {

void add_rollout_routes(Router& router, const Services& services) {
  router.add(
      {.method = Method::kPut,
       .path = "/v1/rollouts/{id}",
       .handler = [&services](const Request& request) { return put_rollout(services, request); }});
  router.add(
      {.method = Method::kGet,
       .path = "/v1/rollouts",
       .handler = [&services](const Request& request) { return get_rollouts(services, request); }});
}

}  // namespace layby::server
