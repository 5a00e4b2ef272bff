#include "agent/bus_vehicle.h"

#include <sys/epoll.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "agent/texts.h"
#include "base/deleter.h"
#include "base/time_text.h"

namespace layby::agent {
namespace {

constexpr const char* kName = "org.layby.Agent1";  // of the interface, too
constexpr const char* kPath = "/org/layby/Agent1";
constexpr std::uint32_t kPostponeSecondsMax = 90 * 86'400;
constexpr int kMessagesAtOnceMax = 64;  // the rest when the car is looked at the next time

using Bus = std::unique_ptr<sd_bus, Deleter<sd_bus_close_unref>>;

}  // namespace

// What is on the bus. sd-bus calls the functions below through frames of its own.
struct BusVehicle::State {
  explicit State(const Clock& clock_in) : clock(clock_in) {}
  ~State() {
    if (epoll >= 0) ::close(epoll);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  const Clock& clock;
  Bus bus;
  int epoll = -1;  // readable when the bus or the car is
  Screen screen{};
  std::string language{}, activate_at{};  // as the owner has said; empty: nothing
  bool takes_time_back = false;  // the owner has; until the car has heard it, or has its own
  bool check_wanted = false;

  // Without a bus, or where it breaks, nothing is sent.
  void send(int result) {
    if (result < 0) bus.reset();
  }
  void tell_changed(const char* property) {
    const std::array<const char*, 2> names = {property, nullptr};
    // sd-bus takes its names as char**, and does not write to them.
    if (bus)
      send(sd_bus_emit_properties_changed_strv(bus.get(), kPath, kName,
                                               const_cast<char**>(names.data())));
  }
  void answer_methods();
  void tell_states(const Screen& now);
};

namespace {

int append_words(sd_bus_message* reply, const std::vector<std::string>& words) noexcept {
  int result = sd_bus_message_open_container(reply, 'a', "s");
  for (std::size_t i = 0; result >= 0 && i < words.size(); ++i)
    result = sd_bus_message_append_basic(reply, 's', words[i].c_str());
  return result < 0 ? result : sd_bus_message_close_container(reply);
}

int append_update(sd_bus_message* reply, const ScreenUpdate& update) noexcept {
  int result = sd_bus_message_open_container(reply, 'r', "sssuiasss");
  if (result >= 0)
    result = sd_bus_message_append(reply, "sssui", update.order.c_str(), update.title.c_str(),
                                   update.state.c_str(), update.code.value_or(0),
                                   update.percent ? static_cast<int>(*update.percent) : -1);
  if (result >= 0) result = append_words(reply, update.lines);
  if (result >= 0)
    result = sd_bus_message_append(reply, "ss", update.duration.c_str(), update.notes.c_str());
  return result < 0 ? result : sd_bus_message_close_container(reply);
}

}  // namespace

// The table of the interface: sd-bus makes the introspection data of it.
struct BusInterface {
  using Held = BusVehicle::State;
  static Held& of(void* user) { return *static_cast<Held*>(user); }

  static int language(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply,
                      void* user, sd_bus_error*) noexcept {
    return sd_bus_message_append_basic(reply, 's', of(user).screen.language.c_str());
  }
  static int activate_at(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply,
                         void* user, sd_bus_error*) noexcept {
    return sd_bus_message_append_basic(reply, 's', of(user).activate_at.c_str());
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
    if (*text != '\0' && !parse_utc(text))
      return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
                              "a time is wanted: 2026-11-22T03:00:00Z, or nothing");
    of(user).activate_at = text;
    of(user).takes_time_back = *text == '\0';
    const int replied = sd_bus_reply_method_return(call, "");
    of(user).tell_changed("ActivateAt");
    return replied;
  }
  static int postpone(sd_bus_message* call, void* user, sd_bus_error* error) noexcept {
    std::uint32_t seconds = 0;
    if (const int result = sd_bus_message_read_basic(call, 'u', &seconds); result < 0)
      return result;
    if (seconds == 0 || seconds > kPostponeSecondsMax)
      return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "1 to %u seconds",
                               kPostponeSecondsMax);
    of(user).activate_at = format_utc(of(user).clock.now() + seconds);
    const int replied = sd_bus_reply_method_return(call, "s", of(user).activate_at.c_str());
    of(user).tell_changed("ActivateAt");
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

void BusVehicle::State::answer_methods() {
  for (int i = 0; bus && i < kMessagesAtOnceMax; ++i) {
    const int result = sd_bus_process(bus.get(), nullptr);
    if (result == 0) break;
    send(result);
  }
  if (bus) send(sd_bus_flush(bus.get()));
}

// An order that is not on the screen any more has the state "".
void BusVehicle::State::tell_states(const Screen& now) {
  const auto tell = [&](const std::string& order, const char* state, unsigned code) {
    if (bus)
      send(sd_bus_emit_signal(bus.get(), kPath, kName, "StateChanged", "ssu", order.c_str(), state,
                              code));
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
                                                     const std::string& address) {
  auto state = std::make_unique<State>(clock);
  const auto failed = [&](int result) -> Result<void> {
    if (result >= 0) return {};
    return fail(result == -EEXIST ? ErrorCode::kConflict : ErrorCode::kUnavailable, "D-Bus {}: {}",
                address, std::strerror(-result));
  };
  sd_bus* bus = nullptr;
  if (address == "system") {
    TRY_VOID(failed(sd_bus_open_system(&bus)));
    state->bus.reset(bus);
  } else if (address == "session") {
    TRY_VOID(failed(sd_bus_open_user(&bus)));
    state->bus.reset(bus);
  } else {
    TRY_VOID(failed(sd_bus_new(&bus)));
    state->bus.reset(bus);
    TRY_VOID(failed(sd_bus_set_address(bus, address.c_str())));
    TRY_VOID(failed(sd_bus_set_bus_client(bus, 1)));
    TRY_VOID(failed(sd_bus_start(bus)));
  }
  TRY_VOID(failed(
      sd_bus_add_object_vtable(bus, nullptr, kPath, kName, BusInterface::table(), state.get())));
  TRY_VOID(failed(sd_bus_request_name(bus, kName, 0)));
  state->epoll = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event wanted{.events = EPOLLIN, .data = {}};
  if (state->epoll < 0 ||
      ::epoll_ctl(state->epoll, EPOLL_CTL_ADD, sd_bus_get_fd(bus), &wanted) != 0)
    return fail(ErrorCode::kIo, "epoll: {}", std::strerror(errno));
  return std::unique_ptr<BusVehicle>(new BusVehicle(inner, std::move(state)));
}

BusVehicle::BusVehicle(Vehicle& inner, std::unique_ptr<State> state)
    : inner_(inner), state_(std::move(state)) {}

BusVehicle::~BusVehicle() = default;

bool BusVehicle::take_check_wanted() {
  return std::exchange(state_->check_wanted, false);
}

const Facts& BusVehicle::facts() {
  state_->answer_methods();
  facts_ = inner_.facts();
  const std::int64_t now_ms = state_->clock.now() * 1000;
  if (!state_->language.empty())
    facts_.set(std::string(vss::kLanguage), {state_->language, now_ms});
  // A time that is not said any more counts on (facts.h): one that is taken back is said so, where
  // the car itself says none.
  const bool is_said = facts_.signals().contains(std::string(vss::kActivateAt));
  state_->takes_time_back = state_->takes_time_back && !is_said;
  if (!state_->activate_at.empty() || state_->takes_time_back)
    facts_.set(vss::kActivateAt, {state_->activate_at, now_ms});
  return facts_;
}

// The car's descriptor may be another one after each connection; one that is closed leaves by
// itself, and one that is in there already is refused.
int BusVehicle::descriptor() const {
  const int inner = inner_.descriptor();
  if (inner < 0 || !state_->bus) return inner;
  epoll_event wanted{.events = EPOLLIN, .data = {}};
  ::epoll_ctl(state_->epoll, EPOLL_CTL_ADD, inner, &wanted);
  return state_->epoll;
}

Result<void> BusVehicle::show(const Screen& screen) {
  State& s = *state_;
  if (s.bus && !(screen == s.screen)) {
    s.tell_states(screen);
    const Screen before = std::exchange(s.screen, screen);
    if (before.updates != screen.updates) s.tell_changed("Updates");
    if (before.lines != screen.lines) s.tell_changed("Lines");
    if (before.functions != screen.functions) s.tell_changed("Functions");
    if (before.language != screen.language) s.tell_changed("Language");
    if (s.bus) s.send(sd_bus_flush(s.bus.get()));
  }
  return inner_.show(screen);
}

}  // namespace layby::agent
