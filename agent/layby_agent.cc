#include "agent/layby_agent.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <new>
#include <optional>

#include "agent/agent.h"
#include "agent/certificate_renewal.h"
#include "agent/curl_transport.h"
#include "agent/state_lock.h"
#include "agent/status.h"
#include "crypto/initialize.h"

namespace {

using namespace layby;
using namespace layby::agent;

// The host's callbacks as a Vehicle.
class CallbackVehicle final : public Vehicle {
 public:
  explicit CallbackVehicle(const layby_vehicle& host) : host_(host) {}

  const Facts& facts() override {
    facts_.clear();
    host_.read_signals(host_.context, take, &facts_);
    return facts_;
  }
  Result<void> activate_function(const std::string& id, const std::string& package_path,
                                 const std::string& until) override {
    return ask({LAYBY_ACTIVATE_FUNCTION, id.c_str(), package_path.c_str(), until.c_str()},
               ErrorCode::kActivationFailed);
  }
  Result<void> deactivate_function(const std::string& id) override {
    return ask({LAYBY_DEACTIVATE_FUNCTION, id.c_str(), "", ""}, ErrorCode::kActivationFailed);
  }
  Result<void> boot_software(BootStep step, const std::string& slot_path) override {
    const layby_command_kind kind = step == BootStep::kTrial  ? LAYBY_BOOT_TRIAL
                                    : step == BootStep::kKeep ? LAYBY_BOOT_KEEP
                                                              : LAYBY_BOOT_REVERT;
    return ask({kind, "", slot_path.c_str(), ""}, ErrorCode::kActivationFailed);
  }
  Result<void> check_software(const std::string& slot_path) override {
    return ask({LAYBY_CHECK_SOFTWARE, "", slot_path.c_str(), ""}, ErrorCode::kHealthCheckFailed);
  }
  Result<void> reload_maps(const std::string& set_path) override {
    return ask({LAYBY_RELOAD_MAPS, "", set_path.c_str(), ""}, ErrorCode::kActivationFailed);
  }
  Result<void> show(const std::vector<std::string>& lines) override {
    std::string text;
    for (const std::string& line : lines) text += (text.empty() ? "" : "\n") + line;
    return ask({LAYBY_SHOW, text.c_str(), "", ""}, ErrorCode::kUnavailable);
  }

 private:
  // Called through frames of the host: a signal that cannot be taken is a missing one, no
  // exception.
  static void take(void* sink, const char* name, const char* value, int64_t unix_ms) noexcept {
    if (sink == nullptr || name == nullptr || value == nullptr) return;
    try {
      static_cast<Facts*>(sink)->set(name, {value, unix_ms});
    } catch (const std::exception&) {
    }
  }
  Result<void> ask(const layby_command& command, ErrorCode on_refusal) {
    const int result = host_.command(host_.context, &command);
    if (result == LAYBY_OK) return {};
    if (result == LAYBY_UNAVAILABLE) return fail(ErrorCode::kUnavailable, "the car is not ready");
    return fail(on_refusal, "the car answered {}", result);
  }

  layby_vehicle host_;
  Facts facts_;
};

void copy_text(const std::string& text, char* out, size_t size) {
  if (out == nullptr || size == 0) return;
  const size_t count = std::min(text.size(), size - 1);
  std::memcpy(out, text.data(), count);
  out[count] = '\0';
}

}  // namespace

struct layby_agent {
  explicit layby_agent(const layby_vehicle& host) : vehicle(host) {}

  RealDisk disk;
  SystemClock clock;
  CallbackVehicle vehicle;
  std::optional<StateLock> lock;
  std::unique_ptr<CurlTransport> transport;
  std::unique_ptr<Agent> agent;
  std::string directory;
  mutable std::string error;
};

namespace {

Result<std::unique_ptr<layby_agent>> open(const layby_options& options) {
  if (options.state_directory == nullptr || options.vehicle.read_signals == nullptr ||
      options.vehicle.command == nullptr)
    return fail(ErrorCode::kInvalidArgument, "an option is NULL");
  const auto language = language_from(options.language == nullptr ? "en" : options.language);
  if (!language) return fail(ErrorCode::kInvalidArgument, "unknown language {}", options.language);
  NetworkPolicy network;
  const auto roaming = roaming_use_from(options.roaming == nullptr ? "news" : options.roaming);
  if (!roaming) return fail(ErrorCode::kInvalidArgument, "unknown roaming {}", options.roaming);
  network.roaming = *roaming;
  network.data_budget_bytes = options.data_budget_bytes;
  if (options.map_wifi_wait_seconds != 0)
    network.map_wifi_wait_seconds = std::max<std::int64_t>(0, options.map_wifi_wait_seconds);
  const auto choice =
      map_choice_from(options.map_regions == nullptr ? "owner" : options.map_regions);
  if (!choice)
    return fail(ErrorCode::kInvalidArgument, "unknown map_regions {}", options.map_regions);
  MapPolicy maps{.choice = *choice};
  if (options.home_region != nullptr)
    maps.home = TRY(manifest::RegionId::parse(options.home_region));
  crypto::initialize();
  auto opened = std::make_unique<layby_agent>(options.vehicle);
  opened->directory = options.state_directory;
  const Layout layout(opened->directory);
  const CarIdentity identity = TRY(read_identity(opened->disk, layout));
  opened->lock = TRY(StateLock::take(layout.lock()));
  // Without a certificate the agent says itself that it is not paired.
  if (const auto joined = join_certificate_and_key(opened->disk, layout);
      !joined && joined.error().code() != ErrorCode::kNotFound)
    return fail(joined.error());
  const std::string proxy = options.proxy != nullptr ? options.proxy : "";
  opened->transport = TRY(CurlTransport::create({.server_url = identity.server_url,
                                                 .ca_path = layout.ca(),
                                                 .certificate_path = layout.certificate(),
                                                 .key_path = layout.certificate(),
                                                 .proxy_url = proxy,
                                                 .interrupted = {}}));
  opened->agent = TRY(Agent::open(opened->disk, opened->clock, *opened->transport, opened->vehicle,
                                  {.state_directory = opened->directory,
                                   .language = *language,
                                   .network = network,
                                   .maps = maps}));
  return opened;
}

// Nothing of ours throws, but memory may run out below us: no exception reaches a C caller.
template <typename F>
int guarded(std::string& error, F body) {
  try {
    const Result<void> done = body();
    if (done) return LAYBY_OK;
    error = done.error().message();
    return static_cast<int>(done.error().code());
  } catch (const std::bad_alloc&) {
    error.clear();  // no room for a text
    return static_cast<int>(ErrorCode::kInternal);
  } catch (const std::exception& thrown) {
    error = thrown.what();
    return static_cast<int>(ErrorCode::kInternal);
  }
}

}  // namespace

int layby_agent_open(const layby_options* options, layby_agent** agent, char* error,
                     size_t error_size) {
  if (agent != nullptr) *agent = nullptr;
  std::string text;
  const int result = guarded(text, [&]() -> Result<void> {
    if (options == nullptr || agent == nullptr)
      return fail(ErrorCode::kInvalidArgument, "an argument is NULL");
    *agent = TRY(open(*options)).release();
    return {};
  });
  copy_text(text, error, error_size);
  return result;
}

int layby_agent_step(layby_agent* agent, int64_t* wait_ms) {
  if (wait_ms != nullptr) *wait_ms = 0;
  if (agent == nullptr) return static_cast<int>(ErrorCode::kInvalidArgument);
  return guarded(agent->error, [&]() -> Result<void> {
    const Agent::Next next = TRY(agent->agent->step());
    if (wait_ms != nullptr) *wait_ms = next.wait_ms;
    return {};
  });
}

size_t layby_agent_status(const layby_agent* agent, char* text, size_t size) {
  if (size > 0 && text != nullptr) text[0] = '\0';
  if (agent == nullptr) return 0;
  std::string out;
  RealDisk disk;
  const int result = guarded(agent->error, [&]() -> Result<void> {
    out = TRY(
        status(disk, agent->clock, Layout(agent->directory), Daemon::kRunning, StatusForm::kJson));
    return {};
  });
  if (result != LAYBY_OK) return 0;
  copy_text(out, text, size);
  return out.size();
}

const char* layby_agent_error(const layby_agent* agent) {
  return agent == nullptr ? "" : agent->error.c_str();
}

void layby_agent_close(layby_agent* agent) {
  delete agent;
}
