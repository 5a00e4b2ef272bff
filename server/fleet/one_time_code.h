// Codes that people read out and type: for pairing a car and for inviting a user. 8 characters of
// an alphabet without look-alikes, good for one use; the store holds only their digests, and who
// guesses is locked out.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "server/store/change.h"

namespace layby::server {

// Without 0 and O, 1, I and L, U and V. 8 of them: 39 bits.
inline constexpr std::string_view kCodeAlphabet = "23456789ABCDEFGHJKMNPQRSTWXYZ";
constexpr std::size_t kCodeLength = 8;
// So many wrong ones lock whatever they were tried on, a car or an account.
constexpr std::uint64_t kCodeTriesMax = 5;
constexpr UnixSeconds kCodeLockSeconds = 3600;

std::string make_code();

// Of the code as it was typed: small letters, spaces and hyphens make no difference. A code is
// found by this digest, so that how long a search takes says nothing about any code.
std::string digest_of_typed_code(std::string_view typed);

struct WrongTries {
  std::uint64_t count = 0;
  UnixSeconds last = 0;
  bool locked() const { return count >= kCodeTriesMax; }
};
// None where the last one is longer ago than the lock lasts.
Result<WrongTries> load_wrong_tries(Change& change, std::string_view key, UnixSeconds now);
void count_wrong_try(Change& change, std::string_view key, const WrongTries& before,
                     UnixSeconds now);

}  // namespace layby::server
