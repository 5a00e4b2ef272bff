#include "agent/viss_vehicle.h"

#include <algorithm>

#include "base/assert.h"
#include "crypto/random.h"

namespace layby::agent {
namespace {

constexpr std::int64_t kReconnectMsMin = 500, kReconnectMsMax = 30'000;
// A connection that has lasted this long was no failure: what follows begins with short pauses.
constexpr std::int64_t kSettledMs = 30'000;
constexpr std::int64_t kProbeAgainMs = 3'000;
constexpr std::int64_t kAnswerMsMax = 10'000;
// The first look at the car waits for all of it, but not for ever: what is not known is in doubt.
constexpr std::int64_t kFirstLookMsMax = 3'000;
// What one look at the car takes in: who sends faster than we read must not hold us.
constexpr std::size_t kLinkErrorBytesMax = 300;
constexpr int kMessagesMax = 1'000;
constexpr std::size_t kBytesMax = 4 * 1024 * 1024;
constexpr std::int64_t kDrainMsMax = 200;
// Two messages this far apart show whether a clock runs.
constexpr std::int64_t kClockProofMs = 1'000;
// A value that is older than the one before it came late; by more than this the clock was set.
constexpr std::int64_t kLateMsMax = 10'000;

// Between 75 and 125 percent, so that not all that lost a server come back at once.
std::int64_t with_jitter(std::int64_t milliseconds) {
  std::uint8_t random[1];
  crypto::fill_random(random);
  return milliseconds * 3 / 4 + milliseconds * random[0] / 510;
}

std::string first_segment(const std::string& path) {
  return path.substr(0, path.find('.'));
}

// Where the last node that all of them have in common ends (CORE, "Paths Filter Operation"); 0 if
// there is none, or one of them is it.
std::size_t common_bytes(const std::vector<std::string>& paths) {
  std::size_t common = paths.front().rfind('.');
  for (const std::string& path : paths) {
    while (common != std::string::npos && common > 0 &&
           !path.starts_with(paths.front().substr(0, common + 1)))
      common = paths.front().rfind('.', common - 1);
  }
  return common == std::string::npos ? 0 : common;
}

}  // namespace

Result<void> check_viss_options(const VissOptions& options) {
  const std::string& url = options.socket.url;
  TRY_VOID(check_websocket_options(options.socket).map_error([](Error error) {
    return std::move(error).with_context("vehicle");
  }));
  if (url.starts_with("wss://") || !options.socket.unix_path.empty()) return {};
  for (const std::string_view local : {"ws://127.0.0.1", "ws://localhost", "ws://[::1]"}) {
    const std::string_view rest = std::string_view(url).substr(std::min(local.size(), url.size()));
    if (url.starts_with(local) && (rest.empty() || rest.front() == ':' || rest.front() == '/'))
      return {};
  }
  return fail(ErrorCode::kInvalidArgument,
              "vehicle {}: wss://HOST:PORT is wanted; ws:// only to this machine itself", url);
}

VissVehicle::VissVehicle(VissOptions options, const Clock& clock)
    : options_(std::move(options)), clock_(clock) {
  for (const VissSignal& signal : options_.signals)
    for (std::size_t rank = 0; rank < signal.paths.size(); ++rank)
      sources_[signal.paths[rank]].uses.push_back({.signal = signal, .rank = rank});
}

// ---- the server's clock -------------------------------------------------------------------------

void VissVehicle::ServerClock::note(std::int64_t at_ms, std::optional<std::int64_t> sent_ms,
                                    std::int64_t heard_ms) {
  // The message that was on its way the shortest says best how the clocks differ: what comes late
  // must not look younger for it. An answer was not made before its request was sent.
  at_least = std::max(at_least.value_or(at_ms - heard_ms), at_ms - heard_ms);
  if (sent_ms) at_most = std::min(at_most.value_or(at_ms - *sent_ms), at_ms - *sent_ms);
  if (!first_at_ms) {
    first_at_ms = at_ms;
    first_heard_ms = heard_ms;
  }
  const std::int64_t passed_ms = heard_ms - first_heard_ms;
  if (passed_ms >= kClockProofMs && at_ms - *first_at_ms >= passed_ms / 2) runs = true;
}

// A server that stands still, or a picture of one, does not become young by another connection; one
// whose clock was set does, as soon as that is seen to run.
std::optional<std::int64_t> VissVehicle::ServerClock::ahead_ms() const {
  std::optional<std::int64_t> ahead = at_least;
  if (ahead && at_most) ahead = std::max(*ahead, *at_most);
  if (before && !runs) ahead = std::max(ahead.value_or(*before), *before);
  return ahead;
}

// ---- the connection -----------------------------------------------------------------------------

void VissVehicle::note_link(bool is_connected, const std::string& error) {
  const std::string printed = printable(error, kLinkErrorBytesMax);  // it may quote the server
  const bool is_new = link_.since == 0 || is_connected != link_.is_connected ||
                      (!is_connected && printed != link_.error);
  if (link_.since == 0 || is_connected != link_.is_connected) link_.since = clock_.now();
  link_.is_connected = is_connected;
  if (!is_connected) link_.error = printed;
  link_.next_try =
      is_connected ? 0 : clock_.now() + (next_connect_ms_ - clock_.monotonic_ms() + 999) / 1000;
  if (is_new && options_.link_changed) options_.link_changed(link_);
}

void VissVehicle::disconnect(const Error& why) {
  socket_.reset();
  facts_.clear();  // what a car that is gone said before says nothing about now
  for (auto& [path, source] : sources_) source = {.uses = std::move(source.uses)};
  asked_.clear();
  kept_.clear();
  intervals_.clear();
  const auto ahead_ms = server_clock_.ahead_ms();
  server_clock_ = {};
  server_clock_.before = ahead_ms;
  last_age_ms_ = 0;
  command_answer_.clear();
  has_screen_ = true;
  const std::int64_t pause_ms =
      std::min(kReconnectMsMax, kReconnectMsMin << std::min<std::uint32_t>(failures_, 10));
  ++failures_;
  next_connect_ms_ = clock_.monotonic_ms() + with_jitter(pause_ms);
  note_link(false, why.message());
}

// By vehicle.h whatever keeps us from asking is kUnavailable: anything else would be the car's no.
Result<void> VissVehicle::ensure_connected() {
  if (socket_) return {};
  if (clock_.monotonic_ms() < next_connect_ms_)
    return fail(ErrorCode::kUnavailable, "the car at {} does not answer: {}", options_.socket.url,
                link_.error);
  if (const auto connected = connect(); !connected) {
    disconnect(connected.error());
    return fail(ErrorCode::kUnavailable, "{}", connected.error().message());
  }
  note_link(true, "");
  return {};
}

Result<void> VissVehicle::connect() {
  if (options_.token) {
    std::string token = TRY(options_.token());
    if (token != token_) denials_.clear();  // another one may be allowed what this one is not
    token_ = std::move(token);
  }
  socket_ = TRY(WebSocketClient::connect(options_.socket));
  return begin_session();
}

// Tokens expire, and each edition of VISS v2 has its own names for that: a 401 is enough. A newer
// one is for a connection of its own; without one the server may still tell what needs none.
Result<void> VissVehicle::check_token(const VissAnswer& answer) {
  const bool is_refused = answer.error && answer.error->number == 401 && options_.token;
  if (!is_refused || TRY(options_.token()) == token_) return {};
  return fail(ErrorCode::kUnauthenticated, "the server takes this token no more: {}",
              answer.error->text());
}

Result<void> VissVehicle::check_interrupted() const {
  if (!options_.interrupted || !options_.interrupted()) return {};
  return fail(ErrorCode::kUnavailable, "the agent is being ended");
}

Result<void> VissVehicle::begin_session() {
  connected_ms_ = heard_ms_ = clock_.monotonic_ms();
  is_screen_due_ = !screen_.empty();
  for (const auto& [path, source] : sources_)
    for (const Use& use : source.uses) facts_.lose(use.signal.name);
  TRY_VOID(send({.action = VissAction::kSubscribe,
                 .request_id = {},
                 .path = options_.answer_path,
                 .filter = VissChange{}},
                {Asked::What::kAnswerChanges}));
  TRY_VOID(probe());
  const std::int64_t until_ms = clock_.monotonic_ms() + kFirstLookMsMax;
  while (is_asking(Asked::What::kValue)) {
    const std::int64_t left_ms = until_ms - clock_.monotonic_ms();
    if (left_ms <= 0) break;
    const auto text = TRY(receive(left_ms));
    if (text) TRY_VOID(take(TRY(read_viss_answer(*text))));
  }
  return {};
}

bool VissVehicle::is_asking(Asked::What what) const {
  return std::ranges::any_of(asked_, [&](const auto& asked) { return asked.second.what == what; });
}

// Who answers some things and not others has lost them, and is asked anew from the beginning.
bool VissVehicle::is_silent() const {
  const std::int64_t now_ms = clock_.monotonic_ms();
  const std::int64_t ms_max = std::max<std::int64_t>(kSignalAgeMsMax, 3 * options_.period_ms);
  const auto is_over = [&](const auto& interval) {
    return now_ms - interval.second.heard_ms > ms_max;
  };
  const auto is_overdue = [&](const auto& asked) {
    return asked.second.what != Asked::What::kScreen && asked.second.what != Asked::What::kEnd &&
           now_ms - asked.second.sent_ms > kAnswerMsMax;
  };
  // A clock that was set back counts as old until it is seen to run: that takes a moment.
  const bool is_old = last_age_ms_ > kSignalAgeMsMax && now_ms - connected_ms_ > kSignalAgeMsMax;
  return now_ms - heard_ms_ > ms_max || is_old || std::ranges::any_of(intervals_, is_over) ||
         std::ranges::any_of(asked_, is_overdue);
}

Result<void> VissVehicle::drain() {
  const std::int64_t until_ms = clock_.monotonic_ms() + kDrainMsMax;
  std::size_t bytes = 0;
  bool is_all = false;
  for (int i = 0; i < kMessagesMax && bytes < kBytesMax; ++i) {
    const auto text = TRY(socket_->receive(0));
    is_all = !text;
    if (is_all) break;
    bytes += text->size();
    TRY_VOID(take(TRY(read_viss_answer(*text))));
    if (clock_.monotonic_ms() > until_ms) break;
  }
  // While there is more, as after a step that took minutes, the newest is not known.
  if (is_all && is_silent())
    return fail(ErrorCode::kUnavailable, "the car at {} says nothing new", options_.socket.url);
  if (!is_asking(Asked::What::kValue) && clock_.monotonic_ms() >= next_probe_ms_) TRY_VOID(probe());
  return send_screen();
}

const Facts& VissVehicle::facts() {
  // A peer that is gone or talks nonsense is no car.
  if (ensure_connected()) {
    if (const auto drained = drain(); !drained) disconnect(drained.error());
  }
  return facts_;
}

// ---- asking for signals -------------------------------------------------------------------------

Result<std::string> VissVehicle::send(VissRequest request, Asked asked) {
  request.request_id = std::to_string(++last_id_);
  request.authorization = token_;
  asked.sent_ms = clock_.monotonic_ms();
  TRY_VOID(socket_->send(encode(request)));
  asked_[request.request_id] = std::move(asked);
  return request.request_id;
}

// Asks for what is not subscribed to: what was not there, and what the server does not subscribe
// to.
Result<void> VissVehicle::probe() {
  next_probe_ms_ = clock_.monotonic_ms() + kProbeAgainMs;
  for (const auto& [path, source] : sources_) {
    const bool is_refused = source.interval == Source::Subscription::kRefused;
    if (source.state == Source::State::kThere && !is_refused) continue;
    TRY_VOID(send({.action = VissAction::kGet, .request_id = {}, .path = path},
                  {Asked::What::kValue, {path}}));
  }
  return {};
}

// No path that stands before it in its signal's list is there.
bool VissVehicle::is_best(const Use& use) const {
  for (std::size_t rank = 0; rank < use.rank; ++rank) {
    const auto found = sources_.find(use.signal.paths[rank]);
    if (found != sources_.end() && found->second.state == Source::State::kThere) return false;
  }
  return true;
}

Result<void> VissVehicle::subscribe_at_interval(const std::vector<std::string>& paths) {
  const std::size_t common = paths.size() > 1 ? common_bytes(paths) : 0;
  if (paths.size() > 1 && common == 0) {
    for (const std::string& path : paths) TRY_VOID(subscribe_at_interval({path}));
    return {};
  }
  VissRequest request{.action = VissAction::kSubscribe,
                      .request_id = {},
                      .path = paths.front(),
                      .filter = VissTimebased{options_.period_ms}};
  if (paths.size() > 1) {
    request.path = paths.front().substr(0, common);
    for (const std::string& path : paths) request.paths.push_back(path.substr(common + 1));
  }
  TRY_VOID(send(std::move(request), {Asked::What::kInterval, paths}));
  return {};
}

Result<void> VissVehicle::subscribe_to_newcomers() {
  std::map<std::string, std::vector<std::string>> by_root;
  for (auto& [path, source] : sources_) {
    const bool is_wanted =
        std::ranges::any_of(source.uses, [this](const Use& use) { return is_best(use); });
    if (source.state != Source::State::kThere || !is_wanted ||
        source.interval != Source::Subscription::kNone)
      continue;
    source.interval = Source::Subscription::kMade;
    by_root[first_segment(path)].push_back(path);
    if (source.change != Source::Subscription::kNone) continue;  // it has outlived the interval's
    source.change = Source::Subscription::kMade;
    // Of several signals only the first would trigger the event (CORE, "Subscription Event
    // Triggering"): so each has a subscription of its own.
    TRY_VOID(send(
        {.action = VissAction::kSubscribe, .request_id = {}, .path = path, .filter = VissChange{}},
        {Asked::What::kChange, {path}}));
  }
  for (const auto& [root, paths] : by_root) TRY_VOID(subscribe_at_interval(paths));
  return {};
}

void VissVehicle::end_subscription(const std::string& id) {
  if (socket_ == nullptr || id.empty()) return;
  // A connection that has broken is seen at the next look at it.
  (void)send({.action = VissAction::kUnsubscribe, .request_id = {}, .subscription_id = id},
             {Asked::What::kEnd});
}

void VissVehicle::end_empty_intervals() {
  for (auto at = intervals_.begin(); at != intervals_.end();) {
    const bool is_used = std::ranges::any_of(
        at->second.paths, [this](const std::string& path) { return sources_.contains(path); });
    if (!is_used) end_subscription(at->first);
    at = is_used ? std::next(at) : intervals_.erase(at);
  }
}

void VissVehicle::want_signals(const std::set<std::string>& names) {
  std::set<std::string> known;
  for (const VissSignal& signal : options_.signals) known.insert(signal.name);
  bool has_less = false;
  for (auto at = sources_.begin(); at != sources_.end();) {
    auto& [path, source] = *at;
    std::erase_if(source.uses, [&](const Use& use) {
      const bool is_over = !known.contains(use.signal.name) && !names.contains(use.signal.name);
      if (is_over) facts_.erase(use.signal.name);
      return is_over;
    });
    if (!source.uses.empty()) {
      ++at;
      continue;
    }
    end_subscription(source.change_id);
    at = sources_.erase(at);
    has_less = true;
  }
  if (has_less) end_empty_intervals();
  for (const std::string& name : names) {
    if (known.contains(name)) continue;
    Source& source = sources_[name];
    const auto is_it = [&name](const Use& use) { return use.signal.name == name; };
    if (std::ranges::any_of(source.uses, is_it)) continue;
    source.uses.push_back({.signal = {.name = name, .paths = {name}}});
    if (source.state == Source::State::kThere && source.interval == Source::Subscription::kNone)
      source.state = Source::State::kUnknown;  // the path of another signal, but not its best one
    next_probe_ms_ = 0;
  }
}

// ---- what the server says -----------------------------------------------------------------------

void VissVehicle::note_time(const VissAnswer& answer, std::optional<std::int64_t> sent_ms) {
  heard_ms_ = clock_.monotonic_ms();
  if (!answer.at_ms) return;
  server_clock_.note(*answer.at_ms, sent_ms, heard_ms_);
  last_age_ms_ = *server_clock_.ahead_ms() - (*answer.at_ms - heard_ms_);
}

void VissVehicle::take_points(const VissAnswer& answer) {
  for (const VissPoint& point : answer.points) {
    if (point.path == options_.answer_path) command_answer_ = point.value;
    const auto found = sources_.find(point.path);
    if (found == sources_.end()) continue;
    Source& source = found->second;
    const std::int64_t late_ms = source.newest_ms - point.at_ms;
    if (late_ms > 0 && late_ms < kLateMsMax) continue;
    source.newest_ms = point.at_ms;
    source.state = Source::State::kThere;
    for (const Use& use : source.uses) {
      if (!is_best(use)) continue;
      Signal signal{translate(use.signal, point.value), point.at_ms};
      if (const auto ahead_ms = server_clock_.ahead_ms()) {
        const std::int64_t age_ms = clock_.monotonic_ms() + *ahead_ms - point.at_ms;
        const bool is_repeated = age_ms > 0 && age_ms <= use.signal.age_ms_max;
        signal.at_ms = clock_.now() * 1000 - (is_repeated ? 0 : age_ms);
      }
      said_.insert(use.signal.name);
      facts_.set(use.signal.name, std::move(signal));
    }
  }
}

// Not known any more; asked for again with the next probe.
void VissVehicle::lose(const std::string& path, Source::State why) {
  const auto found = sources_.find(path);
  if (found == sources_.end()) return;
  const bool was_there = found->second.state == Source::State::kThere;
  found->second.state = why;
  found->second.newest_ms = 0;
  for (const Use& use : found->second.uses) {
    const auto count = [&](Source::State state) {
      return std::ranges::count_if(use.signal.paths, [&](const std::string& other) {
        const auto source = sources_.find(other);
        return source != sources_.end() && source->second.state == state;
      });
    };
    const auto paths = static_cast<std::ptrdiff_t>(use.signal.paths.size());
    // Another of its paths has the say.
    if (!is_best(use) || (!was_there && count(Source::State::kThere) > 0)) continue;
    const bool has_none = count(Source::State::kNone) == paths && !said_.contains(use.signal.name);
    has_none ? facts_.erase(use.signal.name) : facts_.lose(use.signal.name);
  }
}

Result<void> VissVehicle::take_value(const VissAnswer& answer, const Asked& asked) {
  const std::string& path = asked.paths.front();
  take_points(answer);
  const auto is_it = [&path](const VissPoint& point) { return point.path == path; };
  const bool is_none =
      answer.error && answer.error->number == 404 && answer.error->reason == "invalid_path";
  if (is_none) {
    lose(path, Source::State::kNone);
  } else if (answer.error || std::ranges::none_of(answer.points, is_it)) {
    lose(path, Source::State::kInDoubt);
  }
  return is_asking(Asked::What::kValue) ? Result<void>{} : subscribe_to_newcomers();
}

Result<void> VissVehicle::take_subscribed(const VissAnswer& answer, const Asked& asked) {
  const auto source = asked.paths.size() == 1 ? sources_.find(asked.paths.front()) : sources_.end();
  if (!answer.error) {
    if (answer.subscription_id.empty())
      return fail(ErrorCode::kBadFormat, "VISS: a subscription without subscriptionId");
    if (asked.what == Asked::What::kInterval)
      intervals_[answer.subscription_id] = {asked.paths, heard_ms_};
    if (asked.what == Asked::What::kChange && source != sources_.end())
      source->second.change_id = answer.subscription_id;
    return {};
  }
  if (asked.what == Asked::What::kChange && source != sources_.end())
    source->second.change = Source::Subscription::kRefused;
  if (asked.what != Asked::What::kInterval) return {};  // the interval tells of changes, too
  // Refused as a whole for the sake of one of them, or because the server has no paths filter.
  if (asked.paths.size() > 1) {
    for (const std::string& path : asked.paths) TRY_VOID(subscribe_at_interval({path}));
  } else if (source != sources_.end()) {
    source->second.interval = Source::Subscription::kRefused;  // it is read with each probe
  }
  return {};
}

void VissVehicle::take_event(const VissAnswer& answer) {
  take_points(answer);
  for (auto& [path, source] : sources_) {
    if (!answer.error || source.change_id.empty() || source.change_id != answer.subscription_id)
      continue;
    source.change_id.clear();
    source.change = Source::Subscription::kNone;
  }
  const auto interval = intervals_.find(answer.subscription_id);
  if (interval == intervals_.end()) return;
  interval->second.heard_ms = heard_ms_;
  // What an interval's event leaves out is not known any more.
  for (const std::string& path : interval->second.paths) {
    const auto is_it = [&path](const VissPoint& point) { return point.path == path; };
    const auto source = sources_.find(path);
    if (source == sources_.end()) continue;
    const bool is_known = source->second.state == Source::State::kThere;
    if (is_known && std::ranges::none_of(answer.points, is_it)) lose(path, Source::State::kInDoubt);
    // The server has ended the subscription (CORE, "Error message").
    if (answer.error) source->second.interval = Source::Subscription::kNone;
  }
  if (answer.error) intervals_.erase(interval);
}

Result<void> VissVehicle::take(VissAnswer answer) {
  if (answer.action == VissAction::kSubscription) {
    note_time(answer, std::nullopt);
    take_event(answer);
  } else if (const auto found = asked_.find(answer.request_id); found == asked_.end()) {
    note_time(answer, std::nullopt);  // an answer to nobody
  } else {
    const Asked asked = std::move(found->second);
    asked_.erase(found);
    note_time(answer, asked.sent_ms);
    TRY_VOID(take_answer(answer, asked));
  }
  if (heard_ms_ - connected_ms_ > kSettledMs) failures_ = 0;
  return {};
}

Result<void> VissVehicle::take_answer(const VissAnswer& answer, const Asked& asked) {
  const auto is_of = [&](VissAction action) -> Result<void> {
    if (answer.action == action) return {};
    return fail(ErrorCode::kBadFormat, "VISS: {} is answered with {}", to_string(action),
                to_string(answer.action));
  };
  TRY_VOID(check_token(answer));
  switch (asked.what) {
    case Asked::What::kValue: TRY_VOID(is_of(VissAction::kGet)); return take_value(answer, asked);
    case Asked::What::kAnswer:
      TRY_VOID(is_of(VissAction::kGet));
      take_points(answer);
      return {};
    case Asked::What::kInterval:
    case Asked::What::kChange:
    case Asked::What::kAnswerChanges:
      TRY_VOID(is_of(VissAction::kSubscribe));
      return take_subscribed(answer, asked);
    case Asked::What::kCommand:
      TRY_VOID(is_of(VissAction::kSet));
      kept_[answer.request_id] = answer;
      return {};
    case Asked::What::kScreen:
      TRY_VOID(is_of(VissAction::kSet));
      take_screen(answer);
      return {};
    case Asked::What::kEnd: return is_of(VissAction::kUnsubscribe);
  }
  LAYBY_ASSERT(false);
}

}  // namespace layby::agent
