// Secondary users come by invitation: the owner gets a code, gives it to somebody, and that
// person's account accepts it.
#pragma once

#include "server/fleet/car_affairs.h"
#include "server/http/message.h"

namespace layby::server {

constexpr std::size_t kCarUsersMax = 20;
constexpr std::size_t kInvitationsPerCarMax = 20;
constexpr UnixSeconds kInvitationSeconds = 7 * kDaySeconds;

// `it/<account>`: wrong codes that an account has tried.
std::string invitation_tries_key(std::string_view account);

// Ends all open invitations to the car.
Result<void> end_invitations(CarAffairs& affairs);

Response post_invitation(const Services& services, const Request& request);
Response delete_invitations(const Services& services, const Request& request);
Response post_acceptance(const Services& services, const Request& request);
Response get_car_users(const Services& services, const Request& request);
// By the owner, or by the user: both may end it.
Response delete_car_user(const Services& services, const Request& request);

}  // namespace layby::server
