#include "server/outbox/webhook.h"

#include <charconv>

#include "base/time_text.h"
#include "crypto/digest.h"
#include "manifest/json_value.h"
#include "server/fleet/json_answer.h"

namespace layby::server {

using manifest::Json;

std::string webhook_key(std::string_view id) {
  return std::string(kWebhookPrefix) + std::string(id);
}

std::string webhook_state_key(std::string_view id) {
  return fmt::format("wh/s/{}", id);
}

std::string dead_letter_prefix(std::string_view id) {
  return fmt::format("wh/d/{}/", id);
}

std::string dead_letter_key(std::string_view id, std::uint64_t event) {
  return fmt::format("{}{:020}", dead_letter_prefix(id), event);
}

std::string resend_prefix(std::string_view id) {
  return fmt::format("wh/r/{}/", id);
}

std::string resend_key(std::string_view id, std::uint64_t event) {
  return fmt::format("{}{:020}", resend_prefix(id), event);
}

Result<std::uint64_t> event_of_key(std::string_view key) {
  const std::string_view digits = key.substr(key.rfind('/') + 1);
  std::uint64_t event = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), event);
  if (error != std::errc{} || end != digits.data() + digits.size())
    return fail(ErrorCode::kCorrupt, "key {} names no event", key);
  return event;
}

std::string encode_webhook(const Webhook& webhook) {
  return to_stored({{"id", webhook.id},
                    {"url", webhook.url},
                    {"types", webhook.types},
                    {"secret", webhook.secret},
                    {"created", format_utc(webhook.created)}});
}

Result<Webhook> decode_webhook(std::string_view text) {
  const Json json = TRY(parse_stored("webhook", text));
  Webhook webhook;
  webhook.id = TRY(manifest::text_field(json, "id"));
  webhook.url = TRY(manifest::text_field(json, "url"));
  for (std::string& type : TRY(texts_field(json, "types", 100)))
    webhook.types.insert(std::move(type));
  webhook.secret = TRY(manifest::text_field(json, "secret"));
  webhook.created = TRY(manifest::time_field(json, "created"));
  return webhook;
}

std::string encode_webhook_state(const WebhookState& state) {
  return to_stored({{"after", state.after},
                    {"attempts", state.attempts},
                    {"tried", format_utc(state.tried)},
                    {"error", state.error}});
}

Result<WebhookState> decode_webhook_state(std::string_view text) {
  const Json json = TRY(parse_stored("webhook state", text));
  WebhookState state;
  state.after = TRY(manifest::uint_field(json, "after"));
  state.attempts = TRY(manifest::uint_field(json, "attempts"));
  state.tried = TRY(manifest::time_field(json, "tried"));
  state.error = TRY(manifest::text_field(json, "error"));
  return state;
}

std::string encode_dead_letter(const DeadLetter& letter) {
  return to_stored({{"event", letter.event},
                    {"attempts", letter.attempts},
                    {"at", format_utc(letter.at)},
                    {"error", letter.error}});
}

Result<DeadLetter> decode_dead_letter(std::string_view text) {
  const Json json = TRY(parse_stored("dead letter", text));
  DeadLetter letter;
  letter.event = TRY(manifest::uint_field(json, "event"));
  letter.attempts = TRY(manifest::uint_field(json, "attempts"));
  letter.at = TRY(manifest::time_field(json, "at"));
  letter.error = TRY(manifest::text_field(json, "error"));
  return letter;
}

std::string webhook_signature(std::string_view secret, UnixSeconds timestamp,
                              std::string_view body) {
  const std::string signed_text = fmt::format("{}.{}", timestamp, body);
  return "v1=" + to_hex(crypto::hmac_sha256(as_bytes(secret), as_bytes(signed_text)));
}

}  // namespace layby::server
