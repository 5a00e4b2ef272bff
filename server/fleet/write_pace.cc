#include "server/fleet/write_pace.h"

#include <algorithm>
#include <cmath>

#include "server/fleet/account.h"
#include "server/http/problem.h"
#include "server/oidc/verifier.h"

namespace layby::server {

namespace {
constexpr std::string_view kBearer = "Bearer ";
constexpr double kMsPerMinute = 60'000;
}  // namespace

double WritePace::Bucket::tokens_at(std::int64_t now_ms) const {
  const auto passed = static_cast<double>(std::max<std::int64_t>(now_ms - at_ms, 0));
  return std::min(rate.at_once, tokens + passed * rate.per_minute / kMsPerMinute);
}

// Who it is was proved already, or is looked at here as it will be there: nobody takes from another
// one's bucket.
std::optional<WritePace::Writer> WritePace::writer_of(const Request& request) const {
  const Rate account{kAccountWritesAtOnce, account_per_minute_};
  std::string_view token = request.header("authorization");
  if (token.empty()) {
    if (!request.peer) return std::nullopt;
    return Writer{request.peer->common_name, {kCarWritesAtOnce, kCarWritesPerMinute}};
  }
  if (token.substr(0, kBearer.size()) != kBearer) return std::nullopt;
  token.remove_prefix(kBearer.size());
  if (services_.oidc != nullptr && !token.starts_with(kTokenPrefix)) {
    const auto identity = services_.oidc->verify(token, services_.clock.now());
    if (!identity || identity->role == to_string(Role::kOperator)) return std::nullopt;
    return Writer{subject_key(services_.oidc->issuer(), identity->subject), account};
  }
  const auto holder = find_token(services_.store, token, services_.clock.now());
  if (!holder || !*holder || (*holder)->role == Role::kOperator) return std::nullopt;
  return Writer{(*holder)->account, account};
}

void WritePace::make_room(std::int64_t now_ms) {
  if (buckets_.size() < kBucketsMax) return;
  std::erase_if(buckets_, [&](const auto& entry) {
    return entry.second.tokens_at(now_ms) >= entry.second.rate.at_once;
  });
  if (buckets_.size() >= kBucketsMax) buckets_.clear();  // rather kind than out of memory
}

std::optional<Response> WritePace::refuse(const Request& request) {
  if (account_per_minute_ <= 0) return std::nullopt;
  const std::optional<Writer> writer = writer_of(request);
  if (!writer) return std::nullopt;
  const std::int64_t now_ms = services_.clock.monotonic_ms();
  const std::lock_guard lock(mutex_);
  make_room(now_ms);
  Bucket& bucket =
      buckets_.try_emplace(writer->name, Bucket{writer->rate.at_once, now_ms, writer->rate})
          .first->second;
  bucket.tokens = bucket.tokens_at(now_ms);
  bucket.at_ms = now_ms;
  if (bucket.tokens >= 1) {
    bucket.tokens -= 1;
    return std::nullopt;
  }
  const double wait_seconds = (1 - bucket.tokens) * 60 / bucket.rate.per_minute;
  Response response = problem(429, "too-many-requests",
                              "so much is written by this caller that others would have to wait");
  response.headers["Retry-After"] =
      std::to_string(static_cast<std::int64_t>(std::ceil(wait_seconds)));
  return response;
}

}  // namespace layby::server
