// Writes that are done once however often they are sent: the answer is stored under the caller's
// Idempotency-Key in the same commit as what it answers, so that it outlives a crash as well.
#pragma once

#include <functional>

#include "server/fleet/auth.h"
#include "server/fleet/refusal.h"

namespace layby::server {

enum class IdempotencyKeyIs { kRequired, kOptional };
enum class AnswerHolds { kNoSecret, kSecret };

// Runs `body` in a change that is retried when it loses, and commits. The same key with the same
// method, path and body gets the first answer again; with another request kIdempotencyKeyReused.
// Refusals are not kept: nothing was done. An answer with a secret that is shown once is kept
// sealed to the bearer token of the caller: with another token of the same account it cannot be
// opened and is refused as kIdempotencyKeyReused. Every other answer is given to each token of the
// account, because those of an identity provider last for minutes. Kept for kAnswerKeptSeconds.
// kUnauthenticated where the caller's account is erased meanwhile.
Answer<Response> answer_once(const Services& services, const Request& request, const Caller& caller,
                             IdempotencyKeyIs need, AnswerHolds holds,
                             const std::function<Answer<Response>(Change&)>& body);

// Where the answer to this request is kept: for what must be erased with what it shows. Empty where
// the request has no key.
std::string kept_answer_key(const Request& request, const Caller& caller);
// All that is kept for an account.
std::string kept_answers_prefix(std::string_view account);

constexpr UnixSeconds kAnswerKeptSeconds = 35 * kDaySeconds;

}  // namespace layby::server
