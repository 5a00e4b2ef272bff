#include "server/outbox/delivery.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <thread>

#include "base/assert.h"
#include "base/deleter.h"
#include "crypto/random.h"
#include "manifest/json_value.h"
#include "server/fleet/event_sequence.h"
#include "server/fleet/json_answer.h"
#include "server/outbox/webhook.h"

namespace layby::server {

namespace {

constexpr std::size_t kUrlBytesMax = 2000;
constexpr std::size_t kWebhooksMax = 1000;
constexpr std::size_t kEventsRead = 64;      // at once for an endpoint
constexpr std::size_t kEventsUnstored = 32;  // delivered before the state is stored again
constexpr std::int64_t kSleepMsMax = 60'000;
constexpr std::int64_t kSleepMsAfterFailure = 5'000;  // of the store

using EasyPtr = std::unique_ptr<CURL, Deleter<curl_easy_cleanup>>;
using MultiPtr = std::unique_ptr<CURLM, Deleter<curl_multi_cleanup>>;
using HeadersPtr = std::unique_ptr<curl_slist, Deleter<curl_slist_free_all>>;

std::string part_of(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, 0) != CURLUE_OK) return {};
  std::string out(text);
  curl_free(text);
  return out;
}

bool is_loopback(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    const auto* four = reinterpret_cast<const sockaddr_in*>(address);
    return (ntohl(four->sin_addr.s_addr) >> 24) == 127;
  }
  if (address->sa_family != AF_INET6) return false;
  const auto* six = reinterpret_cast<const sockaddr_in6*>(address);
  return IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
}

// What is not encrypted does not leave this machine, whatever a name resolves to.
curl_socket_t open_on_loopback(void*, curlsocktype, curl_sockaddr* address) {
  if (!is_loopback(&address->addr)) return CURL_SOCKET_BAD;
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

std::size_t discard(char*, std::size_t size, std::size_t count, void*) {
  return size * count;
}

// One event on its way, or about to be.
struct Letter {
  std::uint64_t event = 0;
  std::string body;
  enum class From { kSequence, kDeadLetters } from = From::kSequence;
  std::uint64_t attempts_before = 0;  // of a dead letter
};

struct Endpoint {
  Webhook webhook;
  WebhookState state;
  std::deque<Letter> waiting;  // of the sequence
  std::deque<Letter> resends;  // of the dead letters, sent again because an operator says so
  bool look_for_resends = true;
  bool resend_was_last = false;  // they take turns: neither holds up the other
  std::optional<Letter> sending;
  std::size_t unstored = 0;
  std::int64_t next_try_ms = 0;  // monotonic
  bool caught_up = false;        // until somebody wakes us
  bool removed = false;          // by the operator
  EasyPtr easy;
  HeadersPtr headers;
  char error_text[CURL_ERROR_SIZE] = {};
};

}  // namespace

struct Delivery::State {
  const Services& services;
  DeliveryOptions options;
  std::function<void(DeliveryResult)> observer;
  SystemClock clock;
  MultiPtr multi;
  std::map<std::string, std::unique_ptr<Endpoint>> endpoints;  // by id; the thread's alone
  std::atomic<bool> woken{true};
  std::atomic<bool> stopping{false};
  std::thread thread;

  void run();
  Result<void> look_for_changes();
  Result<void> step(Endpoint& endpoint);
  Result<void> read_more(Endpoint& endpoint);
  Result<void> read_resends(Endpoint& endpoint);
  static std::optional<Letter> next_letter(Endpoint& endpoint);
  void send(Endpoint& endpoint);
  void set_up(Endpoint& endpoint);
  Result<void> take_answers();
  Result<void> finish(Endpoint& endpoint, const std::string& error);
  Result<void> finish_resend(Endpoint& endpoint, const Letter& letter, const std::string& error);
  Result<void> put_to_dead_letters(Endpoint& endpoint, Letter letter, std::uint64_t attempts,
                                   const std::string& error);
  // Stores how far it is, and what else `body` does; removes the endpoint where it is gone.
  Result<void> store(Endpoint& endpoint, const std::function<void(Change&)>& body);
  std::int64_t backoff_ms(std::uint64_t attempts) const;
  std::int64_t pause_ms() const;
};

// ---- what there is to send ----------------------------------------------------------------------

Result<void> Delivery::State::look_for_changes() {
  const std::vector<KeyValue> stored =
      TRY(services.store.scan(kWebhookPrefix, after_prefix(kWebhookPrefix), kWebhooksMax));
  std::map<std::string, Webhook> present;
  for (const KeyValue& entry : stored) {
    Webhook webhook = TRY(decode_webhook(entry.value));
    present.emplace(webhook.id, std::move(webhook));
  }
  for (auto& [id, endpoint] : endpoints) {
    endpoint->caught_up = false;
    endpoint->look_for_resends = true;
    if (!present.contains(id)) endpoint->removed = true;
  }
  for (auto& [id, webhook] : present) {
    if (endpoints.contains(id)) continue;
    auto endpoint = std::make_unique<Endpoint>();
    if (const auto text = TRY(services.store.get(webhook_state_key(id))))
      endpoint->state = TRY(decode_webhook_state(*text));
    endpoint->webhook = std::move(webhook);
    endpoint->easy.reset(curl_easy_init());
    if (!endpoint->easy) return fail(ErrorCode::kInternal, "libcurl gives no handle");
    endpoints.emplace(id, std::move(endpoint));
  }
  std::erase_if(endpoints,
                [](const auto& entry) { return entry.second->removed && !entry.second->sending; });
  return {};
}

// Also how often each was tried before: that is what is stored while it waits.
Result<void> Delivery::State::read_resends(Endpoint& endpoint) {
  const std::string prefix = resend_prefix(endpoint.webhook.id);
  const std::vector<KeyValue> found =
      TRY(services.store.scan(prefix, after_prefix(prefix), kEventsRead));
  for (const KeyValue& entry : found) {
    const DeadLetter dead = TRY(decode_dead_letter(entry.value));
    const auto text = TRY(services.store.get(event_key(dead.event)));
    if (!text) return fail(ErrorCode::kCorrupt, "event {} is gone", dead.event);
    endpoint.resends.push_back({.event = dead.event,
                                .body = *text,
                                .from = Letter::From::kDeadLetters,
                                .attempts_before = dead.attempts});
  }
  endpoint.look_for_resends = found.size() == kEventsRead;
  return {};
}

Result<void> Delivery::State::read_more(Endpoint& endpoint) {
  // The end first: what lands later is for the next look.
  const std::uint64_t end = services.events->visible_end();
  while (endpoint.waiting.empty()) {
    const std::uint64_t begin = endpoint.state.after + 1;
    if (begin >= end) {
      endpoint.caught_up = true;
      return endpoint.unstored > 0 ? store(endpoint, [](Change&) {}) : Result<void>{};
    }
    const std::vector<KeyValue> found =
        TRY(services.store.scan(event_key(begin), event_key(end), kEventsRead));
    for (const KeyValue& entry : found) {
      const manifest::Json event = TRY(parse_stored(entry.key, entry.value));
      const std::uint64_t number = TRY(manifest::uint_field(event, "id"));
      if (endpoint.webhook.wants(TRY(manifest::text_field(event, "type"))))
        endpoint.waiting.push_back({.event = number, .body = entry.value});
      else if (endpoint.waiting.empty())
        endpoint.state.after = number;  // done with, and told with the next one that is
    }
    if (found.empty()) endpoint.state.after = end - 1;  // ids that came to nothing
    if (endpoint.waiting.empty()) ++endpoint.unstored;
  }
  return {};
}

Result<void> Delivery::State::step(Endpoint& endpoint) {
  if (endpoint.sending || endpoint.removed || endpoint.next_try_ms > clock.monotonic_ms())
    return {};
  if (endpoint.resends.empty() && endpoint.look_for_resends) TRY_VOID(read_resends(endpoint));
  if (endpoint.waiting.empty() && !endpoint.caught_up) TRY_VOID(read_more(endpoint));
  if (endpoint.removed) return {};
  endpoint.sending = next_letter(endpoint);
  if (endpoint.sending) send(endpoint);
  return {};
}

// An endpoint that does not take what is new is not asked to take what is old.
std::optional<Letter> Delivery::State::next_letter(Endpoint& endpoint) {
  const bool resend =
      !endpoint.resends.empty() &&
      (endpoint.waiting.empty() || (!endpoint.resend_was_last && endpoint.state.attempts == 0));
  std::deque<Letter>& from = resend ? endpoint.resends : endpoint.waiting;
  if (from.empty()) return std::nullopt;
  endpoint.resend_was_last = resend;
  Letter letter = std::move(from.front());
  from.pop_front();
  return letter;
}

// ---- sending ------------------------------------------------------------------------------------

void Delivery::State::set_up(Endpoint& endpoint) {
  CURL* easy = endpoint.easy.get();
  const std::string& url = endpoint.webhook.url;
  const bool encrypted = url.starts_with("https://");
  curl_easy_reset(easy);  // the connection survives it
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, endpoint.error_text);
  curl_easy_setopt(easy, CURLOPT_PRIVATE, &endpoint);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, encrypted ? "https" : "http");
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(options.timeout_ms));
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, discard);
  if (!options.ca_file.empty()) curl_easy_setopt(easy, CURLOPT_CAINFO, options.ca_file.c_str());
  if (encrypted) return;
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_on_loopback);
}

void Delivery::State::send(Endpoint& endpoint) {
  const Letter& letter = *endpoint.sending;
  const UnixSeconds now = clock.now();
  const std::string lines[] = {
      "Content-Type: application/json",
      "User-Agent: layby",
      "Expect:",
      "Layby-Webhook: " + endpoint.webhook.id,
      fmt::format("Layby-Event-Id: {}", letter.event),
      fmt::format("Layby-Timestamp: {}", now),
      "Layby-Signature: " + webhook_signature(endpoint.webhook.secret, now, letter.body)};
  curl_slist* list = nullptr;
  for (const std::string& line : lines) list = curl_slist_append(list, line.c_str());
  endpoint.headers.reset(list);
  endpoint.error_text[0] = '\0';
  set_up(endpoint);
  CURL* easy = endpoint.easy.get();
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list);
  curl_easy_setopt(easy, CURLOPT_POST, 1L);
  curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(letter.body.size()));
  curl_easy_setopt(easy, CURLOPT_POSTFIELDS, letter.body.data());
  LAYBY_ASSERT(curl_multi_add_handle(multi.get(), easy) == CURLM_OK);
}

Result<void> Delivery::State::take_answers() {
  int left = 0;
  Result<void> result;
  while (CURLMsg* message = curl_multi_info_read(multi.get(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;
    CURL* easy = message->easy_handle;
    char* private_data = nullptr;
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private_data);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    auto& endpoint = *reinterpret_cast<Endpoint*>(private_data);
    curl_multi_remove_handle(multi.get(), easy);
    std::string error;
    if (code != CURLE_OK)
      // It quotes names, and cuts where its buffer ends: what is stored must be UTF-8.
      error = Error(ErrorCode::kUnavailable,
                    endpoint.error_text[0] != '\0' ? endpoint.error_text : curl_easy_strerror(code))
                  .message();
    else if (status < 200 || status > 299)
      error = fmt::format("status {}", status);
    if (Result<void> done = finish(endpoint, error); !done) result = std::move(done);
  }
  return result;
}

// ---- what came of it ----------------------------------------------------------------------------

Result<void> Delivery::State::store(Endpoint& endpoint, const std::function<void(Change&)>& body) {
  const std::string& id = endpoint.webhook.id;
  enum class There { kYes, kNo };
  const There there = TRY(commit_with_retry(services.store, [&](Change& change) -> Result<There> {
    if (!TRY(change.get(webhook_key(id)))) return There::kNo;
    change.put(webhook_state_key(id), encode_webhook_state(endpoint.state));
    body(change);
    return There::kYes;
  }));
  if (there == There::kNo) endpoint.removed = true;
  endpoint.unstored = 0;
  return {};
}

Result<void> Delivery::State::put_to_dead_letters(Endpoint& endpoint, Letter letter,
                                                  std::uint64_t attempts,
                                                  const std::string& error) {
  const std::string& id = endpoint.webhook.id;
  const DeadLetter dead{
      .event = letter.event, .attempts = attempts, .at = clock.now(), .error = error};
  const WebhookState before = endpoint.state;
  const bool in_sequence = letter.from == Letter::From::kSequence;
  if (in_sequence) {
    endpoint.state.attempts = 0;
    endpoint.state.after = letter.event;
  }
  const Result<void> stored = store(endpoint, [&](Change& change) {
    change.put(dead_letter_key(id, letter.event), encode_dead_letter(dead));
    change.erase(resend_key(id, letter.event));
  });
  if (!stored) {
    // It is in no list yet: it must not be passed over. Tried once more, and then put there.
    endpoint.state = before;
    if (in_sequence) --endpoint.state.attempts;
    (in_sequence ? endpoint.waiting : endpoint.resends).push_front(std::move(letter));
    return stored;
  }
  observer(DeliveryResult::kDead);
  services.log(LogLevel::kError, "webhook gives up an event",
               {{"webhook", id}, {"event", std::to_string(letter.event)}, {"error", error}});
  return {};
}

// Once: what is refused again goes back at once, and holds up nothing that is new.
Result<void> Delivery::State::finish_resend(Endpoint& endpoint, const Letter& letter,
                                            const std::string& error) {
  if (!error.empty()) {
    observer(DeliveryResult::kFailed);
    return put_to_dead_letters(endpoint, letter, letter.attempts_before + 1, error);
  }
  observer(DeliveryResult::kDelivered);
  const std::string resend = resend_key(endpoint.webhook.id, letter.event);
  return store(endpoint, [&](Change& change) { change.erase(resend); });
}

Result<void> Delivery::State::finish(Endpoint& endpoint, const std::string& error) {
  Letter letter = std::move(*endpoint.sending);
  endpoint.sending.reset();
  if (endpoint.removed) return {};
  if (letter.from == Letter::From::kDeadLetters) return finish_resend(endpoint, letter, error);
  if (error.empty()) {
    observer(DeliveryResult::kDelivered);
    endpoint.state.attempts = 0;
    endpoint.state.error.clear();
    endpoint.state.after = letter.event;
    return ++endpoint.unstored >= kEventsUnstored ? store(endpoint, [](Change&) {})
                                                  : Result<void>{};
  }
  observer(DeliveryResult::kFailed);
  ++endpoint.state.attempts;
  endpoint.state.tried = clock.now();
  endpoint.state.error = error;
  endpoint.next_try_ms = clock.monotonic_ms() + backoff_ms(endpoint.state.attempts);
  if (const std::uint64_t attempts = endpoint.state.attempts; attempts >= options.attempts_max)
    return put_to_dead_letters(endpoint, std::move(letter), attempts, error);
  endpoint.waiting.push_front(std::move(letter));  // before all later ones: the order is kept
  return store(endpoint, [](Change&) {});
}

std::int64_t Delivery::State::backoff_ms(std::uint64_t attempts) const {
  const std::uint64_t doublings = std::min<std::uint64_t>(attempts - 1, 30);
  const std::int64_t whole = std::min(options.backoff_ms_max, options.backoff_ms_min << doublings);
  // Half by chance: endpoints that failed together do not come back together.
  const std::uint32_t random = load_u32(crypto::random_bytes(4).data());
  return whole / 2 + static_cast<std::int64_t>(random) % (whole / 2 + 1);
}

// ---- the thread ---------------------------------------------------------------------------------

std::int64_t Delivery::State::pause_ms() const {
  std::int64_t pause = kSleepMsMax;
  const std::int64_t now_ms = clock.monotonic_ms();
  for (const auto& [id, endpoint] : endpoints) {
    const bool idle =
        endpoint->caught_up && endpoint->resends.empty() && !endpoint->look_for_resends;
    if (endpoint->sending || idle || endpoint->removed) continue;
    pause = std::clamp<std::int64_t>(endpoint->next_try_ms - now_ms, 0, pause);
  }
  return pause;
}

void Delivery::State::run() {
  while (!stopping) {
    Result<void> done;
    if (woken.exchange(false)) done = look_for_changes();
    for (auto& [id, endpoint] : endpoints)
      if (done) done = step(*endpoint);
    int running = 0;
    curl_multi_perform(multi.get(), &running);
    if (Result<void> taken = take_answers(); !taken) done = std::move(taken);
    if (!done) {
      services.log(LogLevel::kError, "webhooks", {{"error", done.error().message()}});
      woken = true;
    }
    const std::int64_t pause = done ? pause_ms() : kSleepMsAfterFailure;
    if (pause > 0 && (!woken || !done))
      curl_multi_poll(multi.get(), nullptr, 0, static_cast<int>(pause), nullptr);
  }
  for (auto& [id, endpoint] : endpoints) {
    if (endpoint->sending) curl_multi_remove_handle(multi.get(), endpoint->easy.get());
    if (endpoint->unstored == 0 || endpoint->removed) continue;
    if (const Result<void> stored = store(*endpoint, [](Change&) {}); !stored)
      services.log(LogLevel::kError, "webhooks", {{"error", stored.error().message()}});
  }
}

Delivery::Delivery(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<Delivery>> Delivery::open(const Services& services, DeliveryOptions options,
                                                 std::function<void(DeliveryResult)> observer) {
  LAYBY_ASSERT(services.events != nullptr && options.attempts_max > 0);
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
    return fail(ErrorCode::kInternal, "libcurl does not start");
  auto state = std::unique_ptr<State>(new State{.services = services,
                                                .options = std::move(options),
                                                .observer = std::move(observer),
                                                .clock = {},
                                                .multi = MultiPtr(curl_multi_init()),
                                                .endpoints = {},
                                                .thread = {}});
  if (!state->multi) return fail(ErrorCode::kInternal, "libcurl gives no handle");
  return std::unique_ptr<Delivery>(new Delivery(std::move(state)));
}

Delivery::~Delivery() {
  stop();
}

void Delivery::start() {
  state_->thread = std::thread([this] {
    ::pthread_setname_np(::pthread_self(), "webhooks");
    state_->run();
  });
}

void Delivery::wake() {
  state_->woken = true;
  curl_multi_wakeup(state_->multi.get());
}

void Delivery::stop() {
  if (!state_->thread.joinable()) return;
  state_->stopping = true;
  curl_multi_wakeup(state_->multi.get());
  state_->thread.join();
}

Result<void> check_webhook_url(const std::string& url) {
  const auto wrong = [](std::string_view why) {
    return fail(ErrorCode::kInvalidArgument, "url: {}", why);
  };
  if (url.size() > kUrlBytesMax) return wrong("too long");
  const std::unique_ptr<CURLU, Deleter<curl_url_cleanup>> parsed(curl_url());
  if (!parsed || curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK)
    return wrong("is none");
  if (!part_of(parsed.get(), CURLUPART_USER).empty() ||
      !part_of(parsed.get(), CURLUPART_PASSWORD).empty())
    return wrong("must hold no name or password: the signature says who calls");
  if (url.starts_with("https://")) return {};
  const std::string host = part_of(parsed.get(), CURLUPART_HOST);
  if (url.starts_with("http://") &&
      (host == "localhost" || host == "[::1]" || host.starts_with("127.")))
    return {};
  return wrong("must begin with https://; http:// only for this machine itself");
}

}  // namespace layby::server
