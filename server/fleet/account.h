// Accounts of people and programs, and their bearer tokens.
//
// A token is `lt_` and 32 random bytes in hexadecimal; the store holds only its
// SHA-256, so that whoever reads the store cannot call the server.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "server/store/change.h"
#include "server/store/store.h"

namespace layby::server {

enum class Role { kOperator, kPartner, kOwner };
std::string_view to_string(Role role);  // "operator", "partner", "owner"
Result<Role> parse_role(std::string_view text);

struct TokenMark {
  std::string digest;  // hexadecimal SHA-256 of the token: its key in the store
  UnixSeconds expires = 0;
};

struct Account {
  std::string id;  // "acc_" and 26 characters
  std::string name;
  Role role = Role::kOwner;
  std::optional<std::string> email;
  UnixSeconds created = 0;
  std::vector<TokenMark> tokens;  // those that are valid, newest last
};

constexpr UnixSeconds kTokenLifeSeconds = 365 * kDaySeconds;
constexpr std::size_t kTokensPerAccountMax = 16;

struct NewAccount {
  Account account;
  std::string token;  // shown once, never stored
};

// Puts a new account with its first token into the change. kInvalidArgument for an empty or
// overlong name. Also for `laybyd init`, which makes the first operator.
struct AccountRequest {
  std::string name;
  Role role = Role::kOwner;
  std::optional<std::string> email;
};
Result<NewAccount> create_account(Change& change, const AccountRequest& request, UnixSeconds now);

// kNotFound.
Result<Account> load_account(Change& change, std::string_view id);

// One more token for the account; the oldest ends where there are too many. Saves the account.
std::string add_token(Change& change, Account& account, UnixSeconds now);

// Ends all tokens of the account, at once and for good. Saves the account.
void revoke_tokens(Change& change, Account& account);

// Who a token stands for: nobody if it is unknown, revoked or expired.
struct TokenHolder {
  std::string account;
  Role role = Role::kOwner;
};
Result<std::optional<TokenHolder>> find_token(const Store& store, std::string_view token,
                                              UnixSeconds now);

}  // namespace layby::server
