#include "server/outbox/webhook_routes.h"

#include <charconv>

#include "base/time_text.h"
#include "crypto/random.h"
#include "manifest/json_value.h"
#include "server/fleet/car_affairs.h"
#include "server/fleet/event_sequence.h"
#include "server/fleet/idempotency.h"
#include "server/fleet/json_answer.h"
#include "server/outbox/delivery.h"
#include "server/outbox/webhook.h"

namespace layby::server {

using manifest::Json;

namespace {

constexpr std::size_t kWebhooksMax = 100;
constexpr std::size_t kTypesMax = 20;
constexpr std::size_t kSecretRandomBytes = 32;
constexpr std::size_t kRetriesAtOnce = 1000;

Result<void> check_type(const std::string& type) {
  for (const EventType known : {EventType::kAuthorisation, EventType::kBilling, EventType::kRefund,
                                EventType::kMessage, EventType::kCheckIn})
    if (type == to_string(known)) return {};
  if (type == "account-erased") return {};
  return fail(ErrorCode::kInvalidArgument, "types: there are no events of type \"{}\"", type);
}

struct WantedWebhook {
  Webhook webhook;
  std::optional<std::uint64_t> after;
};

Result<WantedWebhook> read_webhook(const Request& request) {
  const Json body = TRY(json_body(request));
  TRY_VOID(check_fields(body, {"url", "types", "after"}));
  WantedWebhook wanted;
  wanted.webhook.url = TRY(manifest::text_field(body, "url"));
  TRY_VOID(check_webhook_url(wanted.webhook.url));
  for (const std::string& type : TRY(texts_field(body, "types", kTypesMax))) {
    TRY_VOID(check_type(type));
    wanted.webhook.types.insert(type);
  }
  if (manifest::find_field(body, "after")) wanted.after = TRY(manifest::uint_field(body, "after"));
  return wanted;
}

Json webhook_json(const Webhook& webhook) {
  return {{"id", webhook.id},
          {"url", webhook.url},
          {"types", webhook.types},
          {"created", format_utc(webhook.created)}};
}

Result<Json> listed_json(const Store& store, const Webhook& webhook) {
  Json json = webhook_json(webhook);
  WebhookState state;
  if (const auto text = TRY(store.get(webhook_state_key(webhook.id))))
    state = TRY(decode_webhook_state(*text));
  json["after"] = state.after;
  json["attempts"] = state.attempts;
  if (!state.error.empty()) {
    json["error"] = state.error;
    json["tried"] = format_utc(state.tried);
  }
  const std::string dead = dead_letter_prefix(webhook.id);
  json["dead_letters"] = TRY(store.scan(dead, after_prefix(dead), kPageLimitMax)).size();
  return json;
}

Result<Webhook> load_webhook(const Store& store, const std::string& id) {
  const std::optional<std::string> text = TRY(store.get(webhook_key(id)));
  if (!text) return fail(ErrorCode::kNotFound, "no webhook {}", id);
  return decode_webhook(*text);
}

Result<std::uint64_t> number(const std::string& text, std::string_view name) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size())
    return fail(ErrorCode::kInvalidArgument, "{}: a number", name);
  return value;
}

// With what is known of it: refused again, it goes back.
void queue_again(Change& change, const std::string& id, std::uint64_t event,
                 const std::string& dead_letter) {
  change.erase(dead_letter_key(id, event));
  change.put(resend_key(id, event), dead_letter);
}

Response queued(std::size_t count) {
  return json_response(202, {{"queued", count}});
}

}  // namespace

Response post_webhook(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const Caller caller = TRY(require_role(services, request, Role::kOperator));
    const WantedWebhook wanted = TRY(read_webhook(request));
    const std::uint64_t newest = services.events->visible_end() - 1;
    const auto make = [&](Change& change) -> Answer<Response> {
      const auto present =
          TRY(change.scan(kWebhookPrefix, after_prefix(kWebhookPrefix), kWebhooksMax));
      if (present.size() == kWebhooksMax)
        return fail(ErrorCode::kTooLarge, "at most {} webhooks", kWebhooksMax);
      constexpr std::string_view kCrockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
      Webhook webhook = wanted.webhook;
      webhook.id = "wh_" + crypto::random_text(kCrockford, 26);
      webhook.secret = "whsec_" + to_hex(crypto::random_bytes(kSecretRandomBytes));
      webhook.created = services.clock.now();
      WebhookState state;
      state.after = std::min(wanted.after.value_or(newest), newest);
      change.put(webhook_key(webhook.id), encode_webhook(webhook));
      change.put(webhook_state_key(webhook.id), encode_webhook_state(state));
      Json answer = webhook_json(webhook);
      answer["after"] = state.after;
      answer["secret"] = webhook.secret;
      return json_response(201, answer);
    };
    Answer<Response> answer = answer_once(services, request, caller, IdempotencyKeyIs::kOptional,
                                          AnswerHolds::kSecret, make);
    if (answer) services.wake_outbox();
    return answer;
  }());
}

Response get_webhooks(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    TRY_VOID(require_role(services, request, Role::kOperator));
    Json webhooks = Json::array();
    for (const KeyValue& entry :
         TRY(services.store.scan(kWebhookPrefix, after_prefix(kWebhookPrefix), kWebhooksMax)))
      webhooks.push_back(TRY(listed_json(services.store, TRY(decode_webhook(entry.value)))));
    return json_response(200, {{"webhooks", std::move(webhooks)}});
  }());
}

Response delete_webhook(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    TRY_VOID(require_role(services, request, Role::kOperator));
    const std::string id = request.path_values.at("id");
    TRY_VOID(commit_with_retry(services.store, [&](Change& change) -> Result<void> {
      if (!TRY(change.get(webhook_key(id)))) return fail(ErrorCode::kNotFound, "no webhook {}", id);
      change.erase(webhook_key(id));
      change.erase(webhook_state_key(id));
      return {};
    }));
    // Nobody adds to them any more: what is added is added where the webhook is there.
    for (const std::string& prefix : {dead_letter_prefix(id), resend_prefix(id)}) {
      for (;;) {
        const auto found = TRY(services.store.scan(prefix, after_prefix(prefix), kRetriesAtOnce));
        if (found.empty()) break;
        Batch batch;
        for (const KeyValue& entry : found) batch.writes.push_back({entry.key, std::nullopt});
        TRY_VOID(services.store.commit(batch));
      }
    }
    services.wake_outbox();
    Response response;
    response.status = 204;
    return response;
  }());
}

Response get_dead_letters(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    TRY_VOID(require_role(services, request, Role::kOperator));
    const Webhook webhook = TRY(load_webhook(services.store, request.path_values.at("id")));
    const Page page = TRY(read_page(request));
    const std::uint64_t after = page.after.empty() ? 0 : TRY(number(page.after, "after"));
    const std::string prefix = dead_letter_prefix(webhook.id);
    Json letters = Json::array();
    for (const KeyValue& entry : TRY(services.store.scan(dead_letter_key(webhook.id, after + 1),
                                                         after_prefix(prefix), page.limit))) {
      const DeadLetter letter = TRY(decode_dead_letter(entry.value));
      letters.push_back({{"event", letter.event},
                         {"attempts", letter.attempts},
                         {"at", format_utc(letter.at)},
                         {"error", letter.error}});
    }
    return json_response(200, {{"dead_letters", std::move(letters)}});
  }());
}

Response post_retry_one(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    TRY_VOID(require_role(services, request, Role::kOperator));
    const std::string id = request.path_values.at("id");
    const std::uint64_t event = TRY(number(request.path_values.at("event"), "event"));
    TRY_VOID(commit_with_retry(services.store, [&](Change& change) -> Result<void> {
      const auto dead = TRY(change.get(dead_letter_key(id, event)));
      if (!dead || !TRY(change.get(webhook_key(id))))
        return fail(ErrorCode::kNotFound, "no dead letter {} of webhook {}", event, id);
      queue_again(change, id, event, *dead);
      return {};
    }));
    services.wake_outbox();
    return queued(1);
  }());
}

Response post_retry_all(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    TRY_VOID(require_role(services, request, Role::kOperator));
    const std::string id = request.path_values.at("id");
    const std::string prefix = dead_letter_prefix(id);
    const std::size_t count =
        TRY(commit_with_retry(services.store, [&](Change& change) -> Result<std::size_t> {
          if (!TRY(change.get(webhook_key(id))))
            return fail(ErrorCode::kNotFound, "no webhook {}", id);
          const auto dead = TRY(change.scan(prefix, after_prefix(prefix), kRetriesAtOnce));
          for (const KeyValue& entry : dead)
            queue_again(change, id, TRY(event_of_key(entry.key)), entry.value);
          return dead.size();
        }));
    services.wake_outbox();
    return queued(count);
  }());
}

}  // namespace layby::server
