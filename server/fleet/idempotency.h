// Writes that are done once however often they are sent: the answer is stored under the caller's
// Idempotency-Key in the same commit as what it answers, so that it outlives a crash as well.
#pragma once

#include <functional>

#include "server/fleet/auth.h"
#include "server/fleet/refusal.h"

namespace layby::server {

enum class IdempotencyKeyIs { kRequired, kOptional };

// Runs `body` in a change that is retried when it loses, and commits. The same key with the same
// method, path and body gets the first answer again; with another request kIdempotencyKeyReused.
// Refusals are not kept: nothing was done. A kept answer is sealed to the bearer token of the
// caller, because it may hold a secret that is shown once: with another token of the same account
// it cannot be opened and is refused as kIdempotencyKeyReused. Kept for kAnswerKeptSeconds.
Answer<Response> answer_once(const Services& services, const Request& request, const Caller& caller,
                             IdempotencyKeyIs need,
                             const std::function<Answer<Response>(Change&)>& body);

constexpr UnixSeconds kAnswerKeptSeconds = 35 * kDaySeconds;

}  // namespace layby::server
