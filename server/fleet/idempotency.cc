#include "server/fleet/idempotency.h"

#include "base/assert.h"
#include "crypto/sealed_box.h"
#include "manifest/json_value.h"
#include "server/fleet/deadline.h"
#include "server/fleet/json_answer.h"

namespace layby::server {

using manifest::Json;

namespace {

constexpr std::size_t kKeyBytesMax = 200;

// What is to be remembered, and under which name.
struct Remembered {
  std::string id;       // of the deadline
  std::string key;      // in the store
  std::string request;  // digest
  crypto::SealSecretKey secret;
};

Remembered describe(const Request& request, const Caller& caller, std::string_view key) {
  const std::string digest = to_hex(crypto::sha256(as_bytes(key)));
  const std::string what =
      fmt::format("{} {}\n{}", static_cast<int>(request.method), request.path, request.body);
  const std::string seed = fmt::format("{}\n{}", request.header("authorization"), key);
  return {.id = caller.account + "." + digest.substr(0, 32),
          .key = kept_answers_prefix(caller.account) + digest,
          .request = to_hex(crypto::sha256(as_bytes(what))),
          .secret = crypto::hmac_sha256(as_bytes("layby kept answer"), as_bytes(seed))};
}

Answer<Response> replay(const Remembered& remembered, const std::string& text) {
  const Json json = TRY(parse_stored(remembered.key, text));
  if (TRY(manifest::text_field(json, "request")) != remembered.request)
    return refuse(RefusalCode::kIdempotencyKeyReused,
                  "this Idempotency-Key was used for another request");
  Response response;
  response.status = static_cast<int>(TRY(manifest::uint_field(json, "status")));
  response.headers["Content-Type"] = "application/json";
  if (manifest::find_field(json, "body")) {
    response.body = TRY(manifest::text_field(json, "body"));
    return response;
  }
  const Bytes sealed = TRY(manifest::text_field(json, "answer").and_then(from_base64));
  const Result<Bytes> body = crypto::open_sealed(sealed, remembered.secret);
  if (!body)
    return refuse(RefusalCode::kIdempotencyKeyReused,
                  "this Idempotency-Key was used with another token");
  response.body = std::string(as_text(*body));
  return response;
}

void remember(Change& change, const Remembered& remembered, const Response& response,
              AnswerHolds holds, UnixSeconds now) {
  const auto* body = std::get_if<std::string>(&response.body);
  LAYBY_ASSERT(body != nullptr);
  Json kept{{"request", remembered.request}, {"status", response.status}};
  switch (holds) {
    case AnswerHolds::kNoSecret: kept["body"] = *body; break;
    case AnswerHolds::kSecret: {
      const auto sealed = crypto::seal(as_bytes(*body), crypto::seal_public_key(remembered.secret));
      LAYBY_ASSERT(sealed);  // the key is our own
      kept["answer"] = to_base64(*sealed);
      break;
    }
  }
  change.put(remembered.key, to_stored(kept));
  forget_at(change, now + kAnswerKeptSeconds, remembered.id, remembered.key);
}

}  // namespace

std::string kept_answers_prefix(std::string_view account) {
  return fmt::format("k/{}/", account);
}

std::string kept_answer_key(const Request& request, const Caller& caller) {
  const std::string_view key = request.header("idempotency-key");
  return key.empty() ? std::string() : describe(request, caller, key).key;
}

Answer<Response> answer_once(const Services& services, const Request& request, const Caller& caller,
                             IdempotencyKeyIs need, AnswerHolds holds,
                             const std::function<Answer<Response>(Change&)>& body) {
  const std::string_view key = request.header("idempotency-key");
  if (key.empty() && need == IdempotencyKeyIs::kRequired)
    return refuse(RefusalCode::kIdempotencyKeyRequired,
                  "send an Idempotency-Key, made once and kept until the answer is there");
  if (key.size() > kKeyBytesMax)
    return fail(ErrorCode::kInvalidArgument, "Idempotency-Key: at most {} bytes", kKeyBytesMax);
  const std::optional<Remembered> remembered =
      key.empty() ? std::nullopt : std::optional(describe(request, caller, key));
  return commit_with_retry(services.store, [&](Change& change) -> Answer<Response> {
    // An expectation of the commit: nothing is written for an account that is erased meanwhile.
    if (!TRY(change.get(account_key(caller.account))))
      return fail(ErrorCode::kUnauthenticated, "the account is gone");
    if (!remembered) return body(change);
    if (const std::optional<std::string> kept = TRY(change.get(remembered->key)))
      return replay(*remembered, *kept);
    Answer<Response> answer = body(change);
    if (answer) remember(change, *remembered, *answer, holds, services.clock.now());
    return answer;
  });
}

}  // namespace layby::server
