#include "agent/viss_vehicle.h"

#include <algorithm>

#include "base/assert.h"
#include "crypto/random.h"
#include "manifest/json_value.h"

namespace layby::agent {
namespace {

using manifest::Json;

constexpr std::int64_t kReconnectMsMin = 500, kReconnectMsMax = 30'000;
// A connection that has lasted this long was no failure: what follows begins with short pauses.
constexpr std::int64_t kSettledMs = 10'000;
constexpr std::int64_t kProbeAgainMs = 3'000;
// A boot may take a while.
constexpr std::int64_t kCommandMsMax = 120'000;
constexpr std::int64_t kAnswerMsMax = 10'000;
// Where changes of the answer are not told, it is read.
constexpr std::int64_t kAnswerPollMs = 1'000;
// Messages that one look at the car takes in: who sends faster than we read must not hold us.
constexpr int kMessagesMax = 10'000;

const char* to_string(BootStep step) {
  switch (step) {
    case BootStep::kTrial: return "trial";
    case BootStep::kKeep: return "keep";
    case BootStep::kRevert: return "revert";
  }
  LAYBY_ASSERT(false);
}

// Between 75 and 125 percent, so that not all that lost a server come back at once.
std::int64_t with_jitter(std::int64_t milliseconds) {
  std::uint8_t random[1];
  crypto::fill_random(random);
  return milliseconds * 3 / 4 + milliseconds * random[0] / 510;
}

std::string first_segment(const std::string& path) {
  return path.substr(0, path.find('.'));
}

Json screen_json(const Screen& screen) {
  Json updates = Json::array();
  for (const ScreenUpdate& update : screen.updates) {
    Json json = {{"order", update.order}, {"title", update.title}, {"state", update.state},
                 {"lines", update.lines}, {"notes", update.notes}, {"duration", update.duration}};
    if (update.code) json["code"] = *update.code;
    if (update.percent) json["percent"] = *update.percent;
    updates.push_back(std::move(json));
  }
  return {{"language", screen.language},
          {"lines", screen.lines},
          {"updates", std::move(updates)},
          {"functions", screen.functions}};
}

}  // namespace

Result<void> check_viss_options(const VissOptions& options) {
  const std::string& url = options.socket.url;
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
      sources_[signal.paths[rank]] = {.signal = signal, .rank = rank};
}

// ---- the connection -----------------------------------------------------------------------------

void VissVehicle::disconnect() {
  socket_.reset();
  facts_.clear();  // what a car that is gone said before says nothing about now
  for (auto& [path, source] : sources_)
    source = {.signal = std::move(source.signal), .rank = source.rank};
  asked_.clear();
  kept_.clear();
  wanted_answers_.clear();
  intervals_.clear();
  values_asked_ = 0;
  server_ahead_ms_.reset();
  last_age_ms_ = 0;
  has_screen_ = true;
  const std::int64_t pause_ms =
      std::min(kReconnectMsMax, kReconnectMsMin << std::min<std::uint32_t>(failures_, 10));
  ++failures_;
  next_connect_ms_ = clock_.monotonic_ms() + with_jitter(pause_ms);
}

Result<void> VissVehicle::ensure_connected() {
  if (socket_) return {};
  if (clock_.monotonic_ms() < next_connect_ms_)
    return fail(ErrorCode::kUnavailable, "the car at {} does not answer", options_.socket.url);
  auto socket = WebSocketClient::connect(options_.socket);
  if (!socket) {
    disconnect();
    return fail(ErrorCode::kUnavailable, "{}", socket.error().message());
  }
  socket_ = std::move(*socket);
  const auto begun = begin_session();
  if (!begun) disconnect();
  return begun;
}

Result<void> VissVehicle::begin_session() {
  connected_ms_ = heard_ms_ = clock_.monotonic_ms();
  TRY_VOID(send({.action = VissAction::kSubscribe,
                 .request_id = {},
                 .path = options_.answer_path,
                 .filter = VissChange{}},
                {Asked::What::kOther}));
  TRY_VOID(probe());
  // The first look at the car is a whole one: who asked for facts gets some.
  const std::int64_t until_ms = clock_.monotonic_ms() + kAnswerMsMax;
  while (values_asked_ > 0) {
    const std::int64_t left_ms = until_ms - clock_.monotonic_ms();
    if (left_ms <= 0) return fail(ErrorCode::kUnavailable, "the car does not say what it has");
    const auto text = TRY(socket_->receive(left_ms));
    if (text) TRY_VOID(take(TRY(read_viss_answer(*text))));
  }
  return {};
}

bool VissVehicle::is_silent() const {
  const std::int64_t silent_ms = clock_.monotonic_ms() - heard_ms_;
  return silent_ms > std::max<std::int64_t>(kSignalAgeMsMax, 3 * options_.period_ms) ||
         last_age_ms_ > kSignalAgeMsMax;
}

Result<void> VissVehicle::drain() {
  for (int i = 0; i < kMessagesMax; ++i) {
    const auto text = TRY(socket_->receive(0));
    if (!text) break;
    TRY_VOID(take(TRY(read_viss_answer(*text))));
  }
  if (is_silent())
    return fail(ErrorCode::kUnavailable, "the car at {} says nothing new", options_.socket.url);
  if (values_asked_ == 0 && clock_.monotonic_ms() >= next_probe_ms_) TRY_VOID(probe());
  return {};
}

const Facts& VissVehicle::facts() {
  // A peer that is gone or talks nonsense is no car.
  if (ensure_connected() && !drain()) disconnect();
  return facts_;
}

// ---- asking for signals -------------------------------------------------------------------------

Result<std::string> VissVehicle::send(VissRequest request, Asked asked) {
  request.request_id = std::to_string(++last_id_);
  request.authorization = options_.authorization;
  TRY_VOID(socket_->send(encode(request)));
  asked_[request.request_id] = std::move(asked);
  return request.request_id;
}

Result<void> VissVehicle::probe() {
  next_probe_ms_ = clock_.monotonic_ms() + kProbeAgainMs;
  for (auto& [path, source] : sources_) {
    if (source.state == Source::State::kThere) continue;
    source.state = Source::State::kAsked;
    ++values_asked_;
    TRY_VOID(send({.action = VissAction::kGet, .request_id = {}, .path = path},
                  {Asked::What::kValue, {path}}));
  }
  return {};
}

// No path that stands before it in its signal's list is there.
bool VissVehicle::is_best(const Source& source) const {
  for (std::size_t rank = 0; rank < source.rank; ++rank) {
    const auto found = sources_.find(source.signal.paths[rank]);
    if (found != sources_.end() && found->second.state == Source::State::kThere) return false;
  }
  return true;
}

// The paths filter is relative to what all paths have in common (CORE, "Paths Filter Operation").
Result<void> VissVehicle::subscribe_at_interval(const std::vector<std::string>& paths) {
  VissRequest request{.action = VissAction::kSubscribe,
                      .request_id = {},
                      .path = paths.front(),
                      .filter = VissTimebased{options_.period_ms}};
  if (paths.size() > 1) {
    request.path = first_segment(paths.front());
    for (const std::string& path : paths)
      request.paths.push_back(path.substr(request.path.size() + 1));
  }
  TRY_VOID(send(std::move(request), {Asked::What::kInterval, paths}));
  return {};
}

Result<void> VissVehicle::subscribe_to_newcomers() {
  std::map<std::string, std::vector<std::string>> by_root;
  for (auto& [path, source] : sources_) {
    if (source.state != Source::State::kThere || source.subscribed || !is_best(source)) continue;
    source.subscribed = true;
    by_root[first_segment(path)].push_back(path);
    // Of several signals only the first would trigger the event (CORE, "Subscription Event
    // Triggering"): so each has a subscription of its own.
    TRY_VOID(send(
        {.action = VissAction::kSubscribe, .request_id = {}, .path = path, .filter = VissChange{}},
        {Asked::What::kChange, {path}}));
  }
  for (const auto& [root, paths] : by_root) TRY_VOID(subscribe_at_interval(paths));
  return {};
}

void VissVehicle::want_signals(const std::set<std::string>& names) {
  std::set<std::string> known;
  for (const VissSignal& signal : options_.signals) known.insert(signal.name);
  for (auto at = sources_.begin(); at != sources_.end();) {
    const auto& [path, source] = *at;
    const std::string name = source.signal.name;
    if (known.contains(name) || names.contains(name)) {
      ++at;
      continue;
    }
    if (socket_ && !source.change_id.empty())
      (void)send({.action = VissAction::kUnsubscribe,
                  .request_id = {},
                  .subscription_id = source.change_id},
                 {Asked::What::kOther});
    facts_.erase(name);
    at = sources_.erase(at);
  }
  for (const std::string& name : names) {
    if (known.contains(name) || sources_.contains(name)) continue;
    sources_[name] = {.signal = {.name = name, .paths = {name}}};
    next_probe_ms_ = 0;
  }
}

// ---- what the server says -----------------------------------------------------------------------

void VissVehicle::note_time(const VissAnswer& answer) {
  heard_ms_ = clock_.monotonic_ms();
  if (!answer.at_ms) return;
  // The message that was on its way the shortest says best how the clocks differ: what comes late
  // must not look younger for it.
  const std::int64_t ahead_ms = *answer.at_ms - heard_ms_;
  server_ahead_ms_ = std::max(server_ahead_ms_.value_or(ahead_ms), ahead_ms);
  last_age_ms_ = *server_ahead_ms_ - ahead_ms;
}

void VissVehicle::take_points(const VissAnswer& answer) {
  for (const VissPoint& point : answer.points) {
    if (point.path == options_.answer_path) command_answer_ = point.value;
    const auto found = sources_.find(point.path);
    if (found == sources_.end() || !is_best(found->second)) continue;
    Signal signal{translate(found->second.signal, point.value), point.at_ms};
    if (server_ahead_ms_) {
      const std::int64_t age_ms = clock_.monotonic_ms() + *server_ahead_ms_ - point.at_ms;
      signal.at_ms = clock_.now() * 1000 - age_ms;
    }
    facts_.set(found->second.signal.name, std::move(signal));
  }
}

// Not known any more; asked for again with the next probe.
void VissVehicle::lose(const std::string& path) {
  const auto found = sources_.find(path);
  if (found == sources_.end()) return;
  if (is_best(found->second)) facts_.erase(found->second.signal.name);
  found->second.state = Source::State::kAbsent;
}

Result<void> VissVehicle::take_value(const VissAnswer& answer, const Asked& asked) {
  if (asked.paths.empty()) {  // at answer_path
    take_points(answer);
    return {};
  }
  --values_asked_;
  const auto found = sources_.find(asked.paths.front());
  if (found != sources_.end())
    found->second.state = answer.error ? Source::State::kAbsent : Source::State::kThere;
  take_points(answer);
  return values_asked_ == 0 ? subscribe_to_newcomers() : Result<void>{};
}

Result<void> VissVehicle::take_subscribed(const VissAnswer& answer, const Asked& asked) {
  const auto source = asked.paths.size() == 1 ? sources_.find(asked.paths.front()) : sources_.end();
  if (!answer.error) {
    if (asked.what == Asked::What::kInterval) intervals_[answer.subscription_id] = asked.paths;
    if (asked.what == Asked::What::kChange && source != sources_.end())
      source->second.change_id = answer.subscription_id;
    return {};
  }
  if (asked.what != Asked::What::kInterval) return {};  // the interval tells of changes, too
  // Refused as a whole for the sake of one of them, or because the server has no paths filter.
  if (asked.paths.size() > 1) {
    for (const std::string& path : asked.paths) TRY_VOID(subscribe_at_interval({path}));
  } else if (source != sources_.end()) {
    source->second.subscribed = false;
    lose(source->first);
  }
  return {};
}

void VissVehicle::take_event(const VissAnswer& answer) {
  take_points(answer);
  const auto interval = intervals_.find(answer.subscription_id);
  if (interval == intervals_.end()) return;
  // What an interval's event leaves out is not known any more.
  for (const std::string& path : interval->second) {
    const auto is_it = [&path](const VissPoint& point) { return point.path == path; };
    const auto source = sources_.find(path);
    if (source != sources_.end() && std::ranges::none_of(answer.points, is_it))
      facts_.erase(source->second.signal.name);
    // The server has ended the subscription (CORE, "Error message").
    if (answer.error && source != sources_.end()) {
      source->second.subscribed = false;
      lose(path);
    }
  }
  if (answer.error) intervals_.erase(interval);
}

Result<void> VissVehicle::take(VissAnswer answer) {
  note_time(answer);
  if (heard_ms_ - connected_ms_ > kSettledMs) failures_ = 0;
  if (answer.action == VissAction::kSubscription) {
    take_event(answer);
    return {};
  }
  const auto found = asked_.find(answer.request_id);
  if (found == asked_.end()) return {};  // an answer to nobody
  const Asked asked = std::move(found->second);
  asked_.erase(found);
  if (wanted_answers_.contains(answer.request_id)) kept_[answer.request_id] = answer;
  switch (answer.action) {
    case VissAction::kGet: return take_value(answer, asked);
    case VissAction::kSubscribe: return take_subscribed(answer, asked);
    case VissAction::kSet:
    case VissAction::kUnsubscribe:
    case VissAction::kSubscription: return {};
  }
  LAYBY_ASSERT(false);
}

// ---- commands -----------------------------------------------------------------------------------

Result<VissAnswer> VissVehicle::set(const std::string& path, const std::string& value) {
  const std::string id =
      TRY(send({.action = VissAction::kSet, .request_id = {}, .path = path, .value = value},
               {Asked::What::kOther}));
  wanted_answers_.insert(id);
  const std::int64_t until_ms = clock_.monotonic_ms() + kAnswerMsMax;
  while (!kept_.contains(id)) {
    const std::int64_t left_ms = until_ms - clock_.monotonic_ms();
    if (left_ms <= 0) return fail(ErrorCode::kUnavailable, "the car does not answer");
    const auto text = TRY(socket_->receive(left_ms));
    if (text) TRY_VOID(take(TRY(read_viss_answer(*text))));
  }
  wanted_answers_.erase(id);
  return std::move(kept_.extract(id).mapped());
}

Result<void> VissVehicle::command(Json request, ErrorCode on_refusal) {
  TRY_VOID(ensure_connected());
  const std::string id = to_hex(crypto::random_bytes(8));
  request["id"] = id;
  const std::string text = TRY(manifest::to_wire(request));
  // The car's answer, or nothing where it was not ready to be asked.
  const auto talk = [&]() -> Result<Json> {
    const VissAnswer answer = TRY(set(options_.request_path, text));
    if (answer.error)
      return Json{{"id", id},
                  {"ok", false},
                  {"text", answer.error->text()},
                  {"asked", answer.error->number == 400}};
    const std::int64_t until_ms = clock_.monotonic_ms() + kCommandMsMax;
    for (;;) {
      auto said = manifest::parse_strict(as_bytes(command_answer_),
                                         {.bytes_max = kWebSocketMessageBytesMax});
      if (said && manifest::text_field(*said, "id") == id) return std::move(*said);
      const std::int64_t left_ms = until_ms - clock_.monotonic_ms();
      if (left_ms <= 0) return fail(ErrorCode::kUnavailable, "the car is silent");
      const auto next = TRY(socket_->receive(std::min(left_ms, kAnswerPollMs)));
      if (next) {
        TRY_VOID(take(TRY(read_viss_answer(*next))));
      } else {
        TRY_VOID(send({.action = VissAction::kGet, .request_id = {}, .path = options_.answer_path},
                      {Asked::What::kValue}));
      }
    }
  };
  const auto answer = talk();
  if (!answer) {
    disconnect();
    return fail(ErrorCode::kUnavailable, "{}", answer.error().message());
  }
  if (TRY(manifest::bool_field(*answer, "ok"))) return {};
  const bool asked = manifest::bool_field(*answer, "asked").value_or(true);
  return fail(asked ? on_refusal : ErrorCode::kUnavailable, "{}",
              TRY(manifest::text_field(*answer, "text")));
}

Result<void> VissVehicle::activate_function(const std::string& id, const std::string& package_path,
                                            const std::string& until) {
  return command(
      {{"do", "activate"}, {"function", id}, {"package", package_path}, {"until", until}},
      ErrorCode::kActivationFailed);
}

Result<void> VissVehicle::deactivate_function(const std::string& id) {
  return command({{"do", "deactivate"}, {"function", id}}, ErrorCode::kActivationFailed);
}

Result<void> VissVehicle::boot_software(BootStep step, const std::string& slot_path) {
  return command({{"do", "boot"}, {"step", to_string(step)}, {"slot", slot_path}},
                 ErrorCode::kActivationFailed);
}

Result<void> VissVehicle::check_software(const std::string& slot_path) {
  return command({{"do", "check"}, {"slot", slot_path}}, ErrorCode::kHealthCheckFailed);
}

Result<void> VissVehicle::restart() {
  return command({{"do", "restart"}}, ErrorCode::kActivationFailed);
}

Result<void> VissVehicle::reload_maps(const std::string& set_path) {
  return command({{"do", "reload"}, {"set", set_path}}, ErrorCode::kActivationFailed);
}

Result<void> VissVehicle::show(const Screen& screen) {
  TRY_VOID(ensure_connected());
  if (!has_screen_) return {};
  const auto answer = set(options_.screen_path, TRY(manifest::to_wire(screen_json(screen))));
  if (!answer) {
    disconnect();
    return fail(answer.error());
  }
  if (!answer->error) return {};
  // A car without a screen of ours is asked no more; one that is busy is.
  has_screen_ = answer->error->number >= 500 || answer->error->number == 429;
  if (!has_screen_) return {};
  return fail(ErrorCode::kUnavailable, "{}", answer->error->text());
}

}  // namespace layby::agent
