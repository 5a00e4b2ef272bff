// Accounts over HTTP: operators make them, give them further tokens and end all their tokens.
#pragma once

#include "server/http/message.h"
#include "server/services.h"

namespace layby::server {

Response post_account(const Services& services, const Request& request);
Response post_account_token(const Services& services, const Request& request);
Response delete_account_tokens(const Services& services, const Request& request);

}  // namespace layby::server
