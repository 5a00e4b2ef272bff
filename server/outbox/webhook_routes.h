// Webhooks over HTTP, for operators.
#pragma once

#include "server/http/message.h"
#include "server/services.h"

namespace layby::server {

// The secret is in this answer and in no other.
Response post_webhook(const Services& services, const Request& request);
Response get_webhooks(const Services& services, const Request& request);
Response delete_webhook(const Services& services, const Request& request);

Response get_dead_letters(const Services& services, const Request& request);
// Queued before all events that wait; those that fail again come back.
Response post_retry_one(const Services& services, const Request& request);
Response post_retry_all(const Services& services, const Request& request);

}  // namespace layby::server
