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
#include "server/fleet/scope.h"
#include "server/store/change.h"
#include "server/store/store.h"

namespace layby::server {

enum class Role { kOperator, kPartner, kOwner };
std::string_view to_string(Role role);  // "operator", "partner", "owner"
Result<Role> parse_role(std::string_view text);

inline constexpr std::string_view kTokenPrefix = "lt_";

struct TokenMark {
  std::string digest;  // hexadecimal SHA-256 of the token: its key in the store
  UnixSeconds created = 0;
  UnixSeconds expires = 0;
  Scopes scopes;     // none: all that the account may do
  std::string note;  // what it is for; may be empty
  std::string by;    // the account that made it; empty: it came with the account

  // "tok_" and the first 16 digits of the digest: names a token and helps nobody to guess it.
  std::string id() const { return "tok_" + digest.substr(0, 16); }
};

struct Account {
  std::string id;  // "acc_" and 26 characters; all that trails and events say of a person
  std::string name;
  Role role = Role::kOwner;
  std::optional<std::string> email;
  UnixSeconds created = 0;
  std::vector<TokenMark> tokens;  // those that are valid, newest last
  // Where the record lies by which the account is found (subject_key), and the kept answer that
  // showed it when it was made: both go when it is erased. Empty for none.
  std::string subject_at;
  std::string answer_at;
};

constexpr UnixSeconds kTokenLifeSeconds = 365 * kDaySeconds;  // at most, and unless told otherwise
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
// The same for somebody who comes with tokens of an identity provider: none of ours is made.
Result<Account> create_account_for_subject(Change& change, const AccountRequest& request,
                                           const std::string& subject_at, UnixSeconds now);

// `s/<digest>`: the account of a subject of an identity provider; the value is
// {"account": its id}. A digest, because a subject is often a name or an address.
std::string subject_key(std::string_view issuer, std::string_view subject);

// Where it is remembered that, and when, the account of a subject was erased: what the provider had
// said of it until then makes no new one. A digest alone, and forgotten after
// kErasedSubjectSeconds.
std::string erased_subject_key(std::string_view subject_at);
constexpr UnixSeconds kErasedSubjectSeconds = 400 * kDaySeconds;

std::string account_key(std::string_view id);
std::string token_key(std::string_view digest);

// kNotFound.
Result<Account> load_account(Change& change, std::string_view id);
Result<Account> load_account(const Store& store, std::string_view id);
void save_account(Change& change, const Account& account);

struct TokenRequest {
  Scopes scopes = {};
  UnixSeconds life_seconds = kTokenLifeSeconds;
  std::string note = {};
  std::string by = {};
};
// One more token for the account; the oldest ends where there are too many. Saves the account.
std::string add_token(Change& change, Account& account, const TokenRequest& request,
                      UnixSeconds now);

// Ends one token, at once and for good. kNotFound. Saves the account.
Result<void> revoke_token(Change& change, Account& account, std::string_view token_id);
// Ends all tokens of the account. Saves the account.
void revoke_tokens(Change& change, Account& account);

// Who a token stands for: nobody if it is unknown, revoked or expired.
struct TokenHolder {
  std::string account;
  Role role = Role::kOwner;
  Scopes scopes;
};
Result<std::optional<TokenHolder>> find_token(const Store& store, std::string_view token,
                                              UnixSeconds now);

}  // namespace layby::server
