// What VissVehicle asks of the car, and shows on its head unit (docs/embedding.md, "Commands
// through VISS").
#include <algorithm>

#include "agent/viss_vehicle.h"
#include "base/assert.h"
#include "crypto/random.h"
#include "manifest/json_value.h"

namespace layby::agent {
namespace {

using manifest::Json;

constexpr std::int64_t kAnswerMsMax = 10'000;
// Where changes of the answer are not told, it is read.
constexpr std::int64_t kAnswerPollMs = 1'000;
// After this a command is another one: the agent asks for ten minutes at most.
constexpr std::int64_t kOpenMsMax = 15 * 60'000;
constexpr std::int64_t kScreenAgainMs = 1'000;
// So often it is looked whether somebody wants to end us.
constexpr std::int64_t kInterruptedMs = 250;
// What the server forbids it forbids the next time, too; by then somebody may have set it right.
constexpr std::int64_t kDeniedMs = 10 * 60'000;
constexpr std::size_t kDenialsMax = 64;

const char* to_string(BootStep step) {
  switch (step) {
    case BootStep::kTrial: return "trial";
    case BootStep::kKeep: return "keep";
    case BootStep::kRevert: return "revert";
  }
  LAYBY_ASSERT(false);
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

// The car's answer to this command, if it is one.
std::optional<Json> answer_to(const std::string& id, const std::string& text) {
  auto said = manifest::parse_strict(as_bytes(text), {.bytes_max = kWebSocketMessageBytesMax});
  if (!said || manifest::text_field(*said, "id") != id) return std::nullopt;
  if (!manifest::bool_field(*said, "ok")) return std::nullopt;
  return std::move(*said);
}

}  // namespace

// ---- commands -----------------------------------------------------------------------------------

// The next message within this time, as of WebSocketClient; kUnavailable as soon as somebody wants
// to end us.
Result<std::optional<std::string>> VissVehicle::receive(std::int64_t wait_ms) {
  const std::int64_t until_ms = clock_.monotonic_ms() + wait_ms;
  for (;;) {
    TRY_VOID(check_interrupted());
    const std::int64_t left_ms = until_ms - clock_.monotonic_ms();
    auto text = TRY(socket_->receive(std::clamp<std::int64_t>(left_ms, 0, kInterruptedMs)));
    if (text || left_ms <= kInterruptedMs) return text;
  }
}

Result<VissAnswer> VissVehicle::set(const std::string& path, const std::string& value) {
  const std::string id =
      TRY(send({.action = VissAction::kSet, .request_id = {}, .path = path, .value = value},
               {Asked::What::kCommand}));
  const std::int64_t until_ms = clock_.monotonic_ms() + kAnswerMsMax;
  while (!kept_.contains(id)) {
    const std::int64_t left_ms = until_ms - clock_.monotonic_ms();
    if (left_ms <= 0) return fail(ErrorCode::kUnavailable, "the car does not answer");
    const auto text = TRY(receive(left_ms));
    if (text) TRY_VOID(take(TRY(read_viss_answer(*text))));
  }
  return std::move(kept_.extract(id).mapped());
}

// Sets the command, unless the car has it already and may still be at it. An error is the server's.
Result<std::optional<VissError>> VissVehicle::ask_car(const std::string& text) {
  const std::int64_t ms_max = std::int64_t{1'000} * options_.command_seconds_max;
  if (open_->accepted_ms && clock_.monotonic_ms() - *open_->accepted_ms < ms_max)
    return std::optional<VissError>{};
  const VissAnswer answer = TRY(set(options_.request_path, text));
  if (!answer.error) open_->accepted_ms = clock_.monotonic_ms();
  return answer.error;
}

// What the car says of the open command, which it has; nothing if it did not in time.
Result<std::optional<Json>> VissVehicle::wait_for_answer() {
  const std::int64_t begin_ms = clock_.monotonic_ms();
  const std::int64_t ms_max = std::int64_t{1'000} * options_.command_seconds_max;
  const std::int64_t until_ms =
      std::max(*open_->accepted_ms + ms_max, begin_ms + 3 * kAnswerPollMs);
  // What was said while there was no connection is told to nobody: it is read.
  std::int64_t next_poll_ms = *open_->accepted_ms < begin_ms ? begin_ms : begin_ms + kAnswerPollMs;
  for (;;) {
    if (auto said = answer_to(open_->id, command_answer_)) return said;
    const std::int64_t now_ms = clock_.monotonic_ms();
    if (now_ms >= until_ms) return std::optional<Json>{};
    // Other messages come all the time: they are no reason not to ask.
    if (now_ms >= next_poll_ms) {
      next_poll_ms = now_ms + kAnswerPollMs;
      TRY_VOID(send({.action = VissAction::kGet, .request_id = {}, .path = options_.answer_path},
                    {Asked::What::kAnswer}));
    }
    const auto next = TRY(receive(std::min(until_ms, next_poll_ms) - now_ms));
    if (next) TRY_VOID(take(TRY(read_viss_answer(*next))));
  }
}

// What the server said of a command that it did not take.
Result<void> VissVehicle::refuse(const std::string& command, const VissError& error,
                                 ErrorCode on_refusal) {
  const bool could_not = error.number == 400;
  if (could_not) open_.reset();
  if (error.number == 403 || error.number == 406) {
    if (denials_.size() >= kDenialsMax) denials_.clear();
    denials_[command] = {clock_.monotonic_ms() + kDeniedMs, error.text()};
  }
  return fail(could_not ? on_refusal : ErrorCode::kUnavailable, "{}", error.text());
}

Result<void> VissVehicle::command(const Json& request, ErrorCode on_refusal) {
  TRY_VOID(check_interrupted());
  const std::string what = TRY(manifest::to_wire(request));
  const std::int64_t now_ms = clock_.monotonic_ms();
  // The same command keeps its id until it is answered: the car then knows it again.
  if (!open_ || open_->text != what || now_ms - open_->since_ms > kOpenMsMax)
    open_ = {.text = what, .id = to_hex(crypto::random_bytes(8)), .since_ms = now_ms};
  TRY_VOID(ensure_connected());
  const auto denial = denials_.find(what);
  if (denial != denials_.end() && now_ms < denial->second.until_ms)
    return fail(ErrorCode::kUnavailable, "{}", denial->second.why);
  Json with_id = request;
  with_id["id"] = open_->id;
  const auto refused = ask_car(TRY(manifest::to_wire(with_id)));
  const auto answer = refused && !*refused ? wait_for_answer() : std::optional<Json>{};
  if (!refused || !answer) {
    const Error why = refused ? answer.error() : refused.error();
    disconnect(why);
    return fail(ErrorCode::kUnavailable, "{}", why.message());
  }
  if (*refused) return refuse(what, **refused, on_refusal);
  if (!*answer) return fail(ErrorCode::kUnavailable, "the car has not answered yet");
  open_.reset();
  if (TRY(manifest::bool_field(**answer, "ok"))) return {};
  return fail(on_refusal, "{}",
              manifest::text_field(**answer, "text").value_or("it does not say why"));
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

// ---- the head unit ------------------------------------------------------------------------------

Result<void> VissVehicle::send_screen() {
  if (!is_screen_due_ || !has_screen_ || clock_.monotonic_ms() < next_screen_ms_) return {};
  asked_.erase(screen_id_);  // of an older one nobody wants to know
  is_screen_due_ = false;
  screen_id_ = TRY(send({.action = VissAction::kSet,
                         .request_id = {},
                         .path = options_.screen_path,
                         .value = screen_},
                        {Asked::What::kScreen}));
  return {};
}

void VissVehicle::take_screen(const VissAnswer& answer) {
  if (!answer.error || answer.request_id != screen_id_) return;
  // A car without a screen of ours is asked no more; one that is busy is.
  has_screen_ = answer.error->number >= 500 || answer.error->number == 429;
  is_screen_due_ = has_screen_;
  next_screen_ms_ = clock_.monotonic_ms() + kScreenAgainMs;
}

// It does not wait for the answer: a head unit that is slow to show it holds nothing up.
Result<void> VissVehicle::show(const Screen& screen) {
  screen_ = TRY(manifest::to_wire(screen_json(screen)));
  is_screen_due_ = true;
  next_screen_ms_ = 0;
  TRY_VOID(ensure_connected());
  if (const auto sent = send_screen(); !sent) {
    disconnect(sent.error());
    return fail(ErrorCode::kUnavailable, "{}", sent.error().message());
  }
  return {};
}

}  // namespace layby::agent
