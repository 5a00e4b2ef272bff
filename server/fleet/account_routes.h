// Accounts over HTTP: operators make them; they and the account itself look at it, make and end its
// tokens, and erase it. `me` stands for the caller's own account in a path.
#pragma once

#include "server/http/message.h"
#include "server/services.h"

namespace layby::server {

Response post_account(const Services& services, const Request& request);
Response get_accounts(const Services& services, const Request& request);
Response get_account(const Services& services, const Request& request);
Response delete_account(const Services& services, const Request& request);

Response post_account_token(const Services& services, const Request& request);
Response get_account_tokens(const Services& services, const Request& request);
Response delete_account_token(const Services& services, const Request& request);
Response delete_account_tokens(const Services& services, const Request& request);

}  // namespace layby::server
