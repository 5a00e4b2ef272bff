#include "agent/bus_vehicle.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "agent/texts.h"
#include "base/deleter.h"
#include "base/time_text.h"
#include "base/utf8.h"

namespace layby::agent {
namespace {

constexpr const char* kName = "org.layby.Agent1";  // of the interface, too
constexpr const char* kPath = "/org/layby/Agent1";
constexpr std::uint32_t kOwnerTimeSecondsMax = 90 * 86'400;  // from now
constexpr int kMessagesAtOnceMax = 64;  // the rest when the car is looked at the next time

// Messages, for a daemon that does not read any more: the kernel has taken some MiB before.
constexpr std::uint64_t kQueuedMax = 64;
constexpr std::uint64_t kCallUsMax = 5'000'000;
constexpr std::int64_t kReopenMsMin = 1'000, kReopenMsMax = 60'000;

using Bus = std::unique_ptr<sd_bus, Deleter<sd_bus_close_unref>>;

// Whether the connection is of no more use after this.
bool is_end(int result) {
  return result == -ENOTCONN || result == -ECONNRESET || result == -EPIPE || result == -ESHUTDOWN ||
         result == -ETIMEDOUT;
}

// After what time sd-bus wants to be looked after; nothing: not before it has something to read.
std::optional<std::int64_t> bus_wait_us(sd_bus* bus) {
  std::uint64_t until_us = UINT64_MAX;  // of CLOCK_MONOTONIC
  if (sd_bus_get_timeout(bus, &until_us) <= 0 || until_us == UINT64_MAX) return std::nullopt;
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::int64_t>(until_us) - now.tv_sec * 1'000'000 - now.tv_nsec / 1'000;
}

// What sd-bus takes for a character is one of Unicode, and none of its noncharacters
// (section 23.7).
bool is_taken_by_bus(std::string_view character) {
  if (character.empty() || character == std::string_view("\0", 1)) return false;
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(character[i]); };
  if (character.size() < 3) return true;
  // U+FDD0 to U+FDEF; and the last two of each plane.
  if (character.size() == 3 && byte(0) == 0xEF && byte(1) == 0xB7)
    return byte(2) < 0x90 || byte(2) > 0xAF;
  const std::size_t last = character.size() - 1;
  const bool ends_plane = (byte(last - 1) == 0xBF && byte(last) >= 0xBE) &&
                          (character.size() == 3 ? byte(0) == 0xEF : (byte(1) & 0x0FU) == 0x0F);
  return !ends_plane;
}

// A text that sd-bus takes: it refuses the whole message for one character.
std::string for_bus(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_length(text, at);
    const std::string_view character = text.substr(at, length);
    out += is_taken_by_bus(character) ? character : "\uFFFD";
    at += std::max<std::size_t>(1, length);
  }
  return out;
}

}  // namespace

// What is on the bus. sd-bus calls the functions below through frames of its own.
struct BusVehicle::State {
  State(const Clock& clock_in, std::string address_in, Log log_in)
      : clock(clock_in), address(std::move(address_in)), log(std::move(log_in)) {}
  ~State() {
    if (epoll >= 0) ::close(epoll);
    if (timer >= 0) ::close(timer);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  const Clock& clock;
  const std::string address;
  const Log log;
  Bus bus;                     // none: it is gone, and looked for again
  int epoll = -1;              // readable when the bus, the car or the timer is
  int timer = -1;              // for what the bus, or the next look for it, wants to be woken
  bool is_broken = false;      // and let go of when sd-bus is not in the middle of something
  bool is_back = false;        // it was looked for, and has not answered yet
  std::uint32_t failures = 0;  // in a row
  std::int64_t reopen_ms = 0;  // monotonic
  std::string last_said;       // to the log
  Screen screen{};
  std::string language{};  // as the owner has said; empty: nothing
  // The owner's word; none: the car's counts. Empty: as soon as it may be.
  std::optional<std::string> activate_at{};
  bool car_was_heard = false;
  std::string car_time{}, car_time_then{};  // the car's, now and when the owner spoke here
  bool check_wanted = false;

  void say(const std::string& text) {
    if (log && text != std::exchange(last_said, text)) log(text);
  }
  // A message that cannot be made or sent is one less; a connection that is gone is none any more.
  void send(int result) {
    if (result >= 0) return;
    is_broken = is_broken || is_end(result) || sd_bus_is_open(bus.get()) <= 0;
    if (!is_broken)
      say(fmt::format("D-Bus {}: a message was not sent: {}", address, std::strerror(-result)));
  }
  void tell_changed(const char* property) {
    const std::array<const char*, 2> names = {property, nullptr};
    // sd-bus takes its names as char**, and does not write to them.
    if (bus)
      send(sd_bus_emit_properties_changed_strv(bus.get(), kPath, kName,
                                               const_cast<char**>(names.data())));
  }
  Result<void> connect();
  Result<void> open();
  void reopen();
  void let_go_if_broken();
  void watch();
  void set_owner_time(std::optional<std::string> time);
  void note_car(const Facts& facts);
  void answer_methods();
  void tell_states(const Screen& now);
};

namespace {

int append_text(sd_bus_message* reply, const std::string& text) noexcept {
  return sd_bus_message_append_basic(reply, 's', for_bus(text).c_str());
}

int append_words(sd_bus_message* reply, const std::vector<std::string>& words) noexcept {
  int result = sd_bus_message_open_container(reply, 'a', "s");
  for (std::size_t i = 0; result >= 0 && i < words.size(); ++i)
    result = append_text(reply, words[i]);
  return result < 0 ? result : sd_bus_message_close_container(reply);
}

int append_update(sd_bus_message* reply, const ScreenUpdate& update) noexcept {
  int result = sd_bus_message_open_container(reply, 'r', "sssuiasss");
  for (const std::string& text : {update.order, update.title, update.state})
    if (result >= 0) result = append_text(reply, text);
  if (result >= 0)
    result = sd_bus_message_append(reply, "ui", update.code.value_or(0),
                                   update.percent ? static_cast<int>(*update.percent) : -1);
  if (result >= 0) result = append_words(reply, update.lines);
  for (const std::string& text : {update.duration, update.notes})
    if (result >= 0) result = append_text(reply, text);
  return result < 0 ? result : sd_bus_message_close_container(reply);
}

}  // namespace

// The table of the interface: sd-bus makes the introspection data of it.
struct BusInterface {
  using Held = BusVehicle::State;
  static Held& of(void* user) { return *static_cast<Held*>(user); }

  static int language(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply,
                      void* user, sd_bus_error*) noexcept {
    return append_text(reply, of(user).screen.language);
  }
  static int activate_at(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply,
                         void* user, sd_bus_error*) noexcept {
    return append_text(reply, of(user).activate_at.value_or(""));
  }
  static int lines(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply,
                   void* user, sd_bus_error*) noexcept {
    return append_words(reply, of(user).screen.lines);
  }
  static int functions(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply,
                       void* user, sd_bus_error*) noexcept {
    return append_words(reply, of(user).screen.functions);
  }
  static int updates(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply,
                     void* user, sd_bus_error*) noexcept {
    int result = sd_bus_message_open_container(reply, 'a', "(sssuiasss)");
    for (const ScreenUpdate& update : of(user).screen.updates)
      if (result >= 0) result = append_update(reply, update);
    return result < 0 ? result : sd_bus_message_close_container(reply);
  }

  static int check_now(sd_bus_message* call, void* user, sd_bus_error*) noexcept {
    of(user).check_wanted = true;
    return sd_bus_reply_method_return(call, "");
  }
  static int install_at(sd_bus_message* call, void* user, sd_bus_error* error) noexcept {
    const char* text = "";
    if (const int result = sd_bus_message_read_basic(call, 's', &text); result < 0) return result;
    const auto at = parse_utc(text);
    if (*text != '\0' && !at)
      return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
                              "a time is wanted: 2026-11-22T03:00:00Z, or nothing");
    const UnixSeconds now = of(user).clock.now();
    if (at && *at > now + kOwnerTimeSecondsMax)
      return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "%s: %u days from now at most",
                               text, kOwnerTimeSecondsMax / 86'400);
    const int replied = sd_bus_reply_method_return(call, "");
    of(user).set_owner_time(at && *at > now ? text : "");
    return replied;
  }
  static int postpone(sd_bus_message* call, void* user, sd_bus_error* error) noexcept {
    std::uint32_t seconds = 0;
    if (const int result = sd_bus_message_read_basic(call, 'u', &seconds); result < 0)
      return result;
    if (seconds == 0 || seconds > kOwnerTimeSecondsMax)
      return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "1 to %u seconds",
                               kOwnerTimeSecondsMax);
    const std::string at = format_utc(of(user).clock.now() + seconds);
    const int replied = sd_bus_reply_method_return(call, "s", at.c_str());
    of(user).set_owner_time(at);
    return replied;
  }
  static int set_language(sd_bus_message* call, void* user, sd_bus_error* error) noexcept {
    const char* text = "";
    if (const int result = sd_bus_message_read_basic(call, 's', &text); result < 0) return result;
    if (*text != '\0' && !language_from(text))
      return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
                              "de, en, fr, it, nl, or nothing for the car's");
    of(user).language = text;  // the property follows with the next screen
    return sd_bus_reply_method_return(call, "");
  }

  static const sd_bus_vtable* table() {
    static const sd_bus_vtable rows[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Language", "s", language, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("ActivateAt", "s", activate_at, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Lines", "as", lines, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Functions", "as", functions, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Updates", "a(sssuiasss)", updates, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_METHOD_WITH_ARGS("CheckNow", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, check_now,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("InstallAt", SD_BUS_ARGS("s", time), SD_BUS_NO_RESULT, install_at,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Postpone", SD_BUS_ARGS("u", seconds), SD_BUS_RESULT("s", time),
                                postpone, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("SetLanguage", SD_BUS_ARGS("s", language), SD_BUS_NO_RESULT,
                                set_language, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_ARGS("StateChanged", SD_BUS_ARGS("s", order, "s", state, "u", code), 0),
        SD_BUS_VTABLE_END};
    return rows;
  }
};

// ---- the owner's time ---------------------------------------------------------------------------

void BusVehicle::State::set_owner_time(std::optional<std::string> time) {
  car_time_then = car_time;
  const std::string before = activate_at.value_or("");
  activate_at = std::move(time);
  if (before != activate_at.value_or("")) tell_changed("ActivateAt");
}

// The last word counts: the car's, once it is another one than when the owner spoke here. A time
// that is over is no time to wait for, whatever the car had before.
void BusVehicle::State::note_car(const Facts& facts) {
  const auto said = facts.signals().find(std::string(vss::kActivateAt));
  if (said != facts.signals().end()) {
    // What it has said all along is no newer word than the owner's.
    if (!std::exchange(car_was_heard, true)) car_time_then = said->second.value;
    car_time = said->second.value;
  }
  if (!activate_at) return;
  const auto at = parse_utc(*activate_at);
  if (car_time != car_time_then)
    set_owner_time(std::nullopt);
  else if (at && *at <= clock.now())
    set_owner_time("");
}

// ---- the connection -----------------------------------------------------------------------------

Result<void> BusVehicle::State::connect() {
  const auto failed = [&](int result) -> Result<void> {
    if (result >= 0) return {};
    return fail(ErrorCode::kUnavailable, "D-Bus {}: {}", address, std::strerror(-result));
  };
  sd_bus* made = nullptr;
  if (address == "system") {
    TRY_VOID(failed(sd_bus_open_system(&made)));
    bus.reset(made);
  } else if (address == "session") {
    TRY_VOID(failed(sd_bus_open_user(&made)));
    bus.reset(made);
  } else {
    TRY_VOID(failed(sd_bus_new(&made)));
    bus.reset(made);
    TRY_VOID(failed(sd_bus_set_address(made, address.c_str())));
    TRY_VOID(failed(sd_bus_set_bus_client(made, 1)));
    TRY_VOID(failed(sd_bus_start(made)));
  }
  sd_bus_set_method_call_timeout(made, kCallUsMax);
  TRY_VOID(
      failed(sd_bus_add_object_vtable(made, nullptr, kPath, kName, BusInterface::table(), this)));
  epoll_event wanted{.events = EPOLLIN, .data = {}};
  if (::epoll_ctl(epoll, EPOLL_CTL_ADD, sd_bus_get_fd(made), &wanted) != 0)
    return fail(ErrorCode::kIo, "epoll: {}", std::strerror(errno));
  return {};
}

Result<void> BusVehicle::State::open() {
  epoll = ::epoll_create1(EPOLL_CLOEXEC);
  timer = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  epoll_event wanted{.events = EPOLLIN, .data = {}};
  if (epoll < 0 || timer < 0 || ::epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &wanted) != 0)
    return fail(ErrorCode::kIo, "epoll: {}", std::strerror(errno));
  TRY_VOID(connect());
  if (const int named = sd_bus_request_name(bus.get(), kName, 0); named < 0)
    return fail(named == -EEXIST ? ErrorCode::kConflict : ErrorCode::kUnavailable, "D-Bus {}: {}",
                address, std::strerror(-named));
  return {};
}

// Nothing waits here: whether the bus answers, and gives us our name, is seen later. Where it does
// not give it, sd-bus closes the connection.
void BusVehicle::State::reopen() {
  if (bus || clock.monotonic_ms() < reopen_ms) return;
  const auto connected = connect();
  is_back = true;
  is_broken =
      !connected || sd_bus_request_name_async(bus.get(), nullptr, kName, 0, nullptr, nullptr) < 0;
}

void BusVehicle::State::let_go_if_broken() {
  std::uint64_t queued = 0;
  if (bus && sd_bus_get_n_queued_write(bus.get(), &queued) >= 0 && queued > kQueuedMax)
    is_broken = true;
  if (!std::exchange(is_broken, false)) return;
  bus.reset();
  const std::int64_t pause_ms =
      std::min(kReopenMsMax, kReopenMsMin << std::min<std::uint32_t>(failures, 10));
  ++failures;
  reopen_ms = clock.monotonic_ms() + pause_ms;
  say(
      fmt::format("D-Bus {}: the connection is gone; the car goes on without it, and it is looked "
                  "for again",
                  address));
}

// Who waits on `epoll` wakes when the bus has something for us, takes what waits for it, or wants
// to be looked after.
void BusVehicle::State::watch() {
  std::uint64_t expirations = 0;
  [[maybe_unused]] const ssize_t n = ::read(timer, &expirations, sizeof expirations);
  std::optional<std::int64_t> wait_us;
  if (bus) {
    const int events = sd_bus_get_events(bus.get());
    epoll_event wanted{.events = EPOLLIN, .data = {}};
    if (events > 0 && (static_cast<unsigned>(events) & EPOLLOUT) != 0) wanted.events |= EPOLLOUT;
    ::epoll_ctl(epoll, EPOLL_CTL_MOD, sd_bus_get_fd(bus.get()), &wanted);
    wait_us = bus_wait_us(bus.get());
  } else {
    wait_us = (reopen_ms - clock.monotonic_ms()) * 1'000;
  }
  itimerspec when{};  // zero: never
  if (wait_us) {
    const std::int64_t us = std::max<std::int64_t>(*wait_us, 1);
    when.it_value = {.tv_sec = us / 1'000'000, .tv_nsec = us % 1'000'000 * 1'000};
  }
  ::timerfd_settime(timer, 0, &when, nullptr);
}

void BusVehicle::State::answer_methods() {
  for (int i = 0; bus && !is_broken && i < kMessagesAtOnceMax; ++i) {
    const int result = sd_bus_process(bus.get(), nullptr);
    if (result == 0) break;
    send(result);
  }
  if (bus && !is_broken && is_back && sd_bus_is_ready(bus.get()) > 0) {
    is_back = false;
    failures = 0;
    say(fmt::format("D-Bus {}: the connection is there again", address));
  }
}

// An order that is not on the screen any more has the state "".
void BusVehicle::State::tell_states(const Screen& now) {
  const auto tell = [&](const std::string& order, const char* state, unsigned code) {
    if (bus)
      send(sd_bus_emit_signal(bus.get(), kPath, kName, "StateChanged", "ssu",
                              for_bus(order).c_str(), state, code));
  };
  const auto find = [](const Screen& in, const std::string& order) -> const ScreenUpdate* {
    for (const ScreenUpdate& update : in.updates)
      if (update.order == order) return &update;
    return nullptr;
  };
  for (const ScreenUpdate& update : now.updates) {
    const ScreenUpdate* before = find(screen, update.order);
    if (before == nullptr || before->state != update.state || before->code != update.code)
      tell(update.order, update.state.c_str(), update.code.value_or(0));
  }
  for (const ScreenUpdate& update : screen.updates)
    if (find(now, update.order) == nullptr) tell(update.order, "", 0);
}

Result<std::unique_ptr<BusVehicle>> BusVehicle::open(Vehicle& inner, const Clock& clock,
                                                     const std::string& address, Log log) {
  auto state = std::make_unique<State>(clock, address, std::move(log));
  TRY_VOID(state->open());
  return std::unique_ptr<BusVehicle>(new BusVehicle(inner, std::move(state)));
}

BusVehicle::BusVehicle(Vehicle& inner, std::unique_ptr<State> state)
    : inner_(inner), state_(std::move(state)) {}

BusVehicle::~BusVehicle() = default;

bool BusVehicle::take_check_wanted() {
  return std::exchange(state_->check_wanted, false);
}

const Facts& BusVehicle::facts() {
  State& s = *state_;
  facts_ = inner_.facts();
  s.note_car(facts_);
  s.reopen();
  s.answer_methods();
  s.let_go_if_broken();
  s.watch();
  const std::int64_t now_ms = s.clock.now() * 1000;
  if (!s.language.empty()) facts_.set(vss::kLanguage, {s.language, now_ms});
  if (s.activate_at) facts_.set(vss::kActivateAt, {*s.activate_at, now_ms});
  return facts_;
}

// The car's descriptor may be another one after each connection; one that is closed leaves by
// itself, and one that is in there already is refused.
int BusVehicle::descriptor() const {
  const int inner = inner_.descriptor();
  if (inner < 0) return inner;
  epoll_event wanted{.events = EPOLLIN, .data = {}};
  ::epoll_ctl(state_->epoll, EPOLL_CTL_ADD, inner, &wanted);
  return state_->epoll;
}

Result<void> BusVehicle::show(const Screen& screen) {
  State& s = *state_;
  if (!(screen == s.screen)) {
    s.tell_states(screen);
    const Screen before = std::exchange(s.screen, screen);
    if (before.updates != screen.updates) s.tell_changed("Updates");
    if (before.lines != screen.lines) s.tell_changed("Lines");
    if (before.functions != screen.functions) s.tell_changed("Functions");
    if (before.language != screen.language) s.tell_changed("Language");
    s.let_go_if_broken();
    s.watch();
  }
  return inner_.show(screen);
}

}  // namespace layby::agent
