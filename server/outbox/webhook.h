// Endpoints that outgoing events are sent to.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "manifest/json.h"
#include "server/store/change.h"

namespace layby::server {

struct Webhook {
  std::string id;  // "wh_" and 26 characters
  std::string url;
  std::set<std::string> types;  // of events; empty: all
  std::string secret;           // "whsec_" and 64 digits; whoever reads the store can sign
  UnixSeconds created = 0;

  bool wants(std::string_view type) const {
    return types.empty() || types.contains(std::string(type));
  }
};

// How far an endpoint is.
struct WebhookState {
  std::uint64_t after = 0;     // the last event that is done with: delivered, dead or not wanted
  std::uint64_t attempts = 0;  // that have failed for the next one
  UnixSeconds tried = 0;       // the last attempt that failed; 0 for none
  std::string error;           // its reason
};

struct DeadLetter {
  std::uint64_t event = 0;
  std::uint64_t attempts = 0;
  UnixSeconds at = 0;
  std::string error;
};

inline constexpr std::string_view kWebhookPrefix = "wh/c/";
std::string webhook_key(std::string_view id);
std::string webhook_state_key(std::string_view id);
std::string dead_letter_prefix(std::string_view id);
std::string dead_letter_key(std::string_view id, std::uint64_t event);
std::string resend_prefix(std::string_view id);
std::string resend_key(std::string_view id, std::uint64_t event);
// The event at the end of one of the last two kinds of keys.
Result<std::uint64_t> event_of_key(std::string_view key);

std::string encode_webhook(const Webhook& webhook);
Result<Webhook> decode_webhook(std::string_view text);
std::string encode_webhook_state(const WebhookState& state);
Result<WebhookState> decode_webhook_state(std::string_view text);
std::string encode_dead_letter(const DeadLetter& letter);
Result<DeadLetter> decode_dead_letter(std::string_view text);

// "v1=" and the HMAC-SHA-256 of "TIMESTAMP.BODY" under the secret's text, in hexadecimal.
std::string webhook_signature(std::string_view secret, UnixSeconds timestamp,
                              std::string_view body);

}  // namespace layby::server
