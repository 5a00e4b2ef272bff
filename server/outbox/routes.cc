#include "server/outbox/routes.h"

#include "server/outbox/webhook_routes.h"

namespace layby::server {

void add_outbox_routes(Router& router, const Services& services) {
  const auto add = [&](Method method, const char* path,
                       Response (*handler)(const Services&, const Request&)) {
    router.add(
        {.method = method, .path = path, .handler = [&services, handler](const Request& request) {
           return handler(services, request);
         }});
  };
  add(Method::kPost, "/v1/webhooks", post_webhook);
  add(Method::kGet, "/v1/webhooks", get_webhooks);
  add(Method::kDelete, "/v1/webhooks/{id}", delete_webhook);
  add(Method::kGet, "/v1/webhooks/{id}/dead-letters", get_dead_letters);
  add(Method::kPost, "/v1/webhooks/{id}/dead-letters/retry", post_retry_all);
  add(Method::kPost, "/v1/webhooks/{id}/dead-letters/{event}/retry", post_retry_one);
}

}  // namespace layby::server
