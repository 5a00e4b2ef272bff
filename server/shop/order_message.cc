#include "server/shop/order_message.h"

#include "server/fleet/account.h"

namespace layby::server {

using manifest::Json;

Result<void> tell(CarAffairs& affairs, const Order& order, Message message, Json data) {
  const std::string& id = order.id.text();
  if (order.account == kSystemAccount || affairs.car().owned_by(order.account)) {
    affairs.tell_owner(message, id, std::move(data));
    return {};
  }
  if (message == Message::kExpired || message == Message::kEnded)
    affairs.tell_owner(message, id, data);
  // Read in the change: nothing is written for an account that is erased meanwhile.
  if (TRY(affairs.change().get(account_key(order.account))))
    affairs.tell_account(order.account, message, id, std::move(data));
  return {};
}

}  // namespace layby::server
