#include "agent/layby_agent.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <new>
#include <optional>

#include "agent/agent.h"
#include "agent/certificate_renewal.h"
#include "agent/curl_transport.h"
#include "agent/host_clock.h"
#include "agent/host_disk.h"
#include "agent/host_memory.h"
#include "agent/host_transport.h"
#include "agent/host_vehicle.h"
#include "agent/record_lines.h"
#include "agent/state_lock.h"
#include "agent/status.h"
#include "agent/version.h"
#include "crypto/initialize.h"

using namespace layby;
using namespace layby::agent;

struct layby_agent {
  explicit layby_agent(const layby_options& options)
      : allocator(options.allocator), log(options.log), vehicle(options.vehicle) {}

  layby_allocator allocator;
  layby_log log;
  RecordLines lines;
  std::unique_ptr<Clock> clock;
  std::unique_ptr<Disk> disk;
  HostVehicle vehicle;
  std::optional<StateLock> lock;  // of files: a disk of the host's has the host's
  std::unique_ptr<Transport> transport;
  std::unique_ptr<Agent> agent;
  std::string directory;
  mutable std::string error;
  mutable bool is_busy = false;  // a call runs: none may be made out of its callbacks
};

namespace {

// Of what the host gave as much as it knows of; what it does not know of is the default.
Result<layby_options> known_part(const layby_options* given) {
  if (given == nullptr) return fail(ErrorCode::kInvalidArgument, "an argument is NULL");
  if (given->size < offsetof(layby_options, language))
    return fail(ErrorCode::kInvalidArgument, "layby_options.size is {}", given->size);
  layby_options known{};
  std::memcpy(&known, given, std::min(given->size, sizeof known));
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(given);
  if (given->size > sizeof known &&
      std::any_of(bytes + sizeof known, bytes + given->size, [](auto byte) { return byte != 0; }))
    return fail(ErrorCode::kUnsupported, "an option is set that this library does not know yet");
  return known;
}

bool has_none(const layby_disk& disk) {
  return disk.open == nullptr && disk.size == nullptr && disk.read == nullptr &&
         disk.write == nullptr && disk.truncate == nullptr && disk.reserve == nullptr &&
         disk.sync == nullptr && disk.close == nullptr && disk.status == nullptr &&
         disk.make_directories == nullptr && disk.list == nullptr && disk.rename == nullptr &&
         disk.make_symlink == nullptr && disk.read_symlink == nullptr && disk.remove == nullptr &&
         disk.remove_tree == nullptr && disk.sync_directory == nullptr &&
         disk.free_bytes == nullptr;
}

bool has_all(const layby_disk& disk) {
  return disk.open != nullptr && disk.size != nullptr && disk.read != nullptr &&
         disk.write != nullptr && disk.truncate != nullptr && disk.sync != nullptr &&
         disk.close != nullptr && disk.status != nullptr && disk.make_directories != nullptr &&
         disk.list != nullptr && disk.rename != nullptr && disk.make_symlink != nullptr &&
         disk.read_symlink != nullptr && disk.remove != nullptr && disk.remove_tree != nullptr &&
         disk.sync_directory != nullptr && disk.free_bytes != nullptr;
}

Result<void> check_callbacks(const layby_options& options) {
  if (options.state_directory == nullptr || options.vehicle.read_signals == nullptr ||
      options.vehicle.command == nullptr)
    return fail(ErrorCode::kInvalidArgument, "an option is NULL");
  if ((options.clock.unix_seconds == nullptr) != (options.clock.monotonic_ms == nullptr))
    return fail(ErrorCode::kInvalidArgument, "one half of the clock is NULL");
  if ((options.allocator.allocate == nullptr) != (options.allocator.release == nullptr))
    return fail(ErrorCode::kInvalidArgument, "one half of the allocator is NULL");
  if (!has_none(options.disk) && !has_all(options.disk))
    return fail(ErrorCode::kInvalidArgument, "a callback of the disk is NULL");
  if (has_all(options.disk) && options.transport.exchange == nullptr)
    return fail(
        ErrorCode::kInvalidArgument,
        "a disk of the host's without a transport: libcurl reads the certificate from files");
  if (options.allocator.allocate != nullptr && !HostMemory::is_supported())
    return fail(ErrorCode::kUnsupported, "this library was built to use malloc alone");
  return {};
}

Result<AgentOptions> agent_options_of(const layby_options& options) {
  AgentOptions wanted{.state_directory = options.state_directory};
  const auto language = language_from(options.language == nullptr ? "en" : options.language);
  if (!language) return fail(ErrorCode::kInvalidArgument, "unknown language {}", options.language);
  wanted.language = *language;
  const auto roaming = roaming_use_from(options.roaming == nullptr ? "news" : options.roaming);
  if (!roaming) return fail(ErrorCode::kInvalidArgument, "unknown roaming {}", options.roaming);
  wanted.network.roaming = *roaming;
  wanted.network.data_budget_bytes = options.data_budget_bytes;
  if (options.map_wifi_wait_seconds != 0)
    wanted.network.map_wifi_wait_seconds = std::max<std::int64_t>(0, options.map_wifi_wait_seconds);
  const auto choice =
      map_choice_from(options.map_regions == nullptr ? "owner" : options.map_regions);
  if (!choice)
    return fail(ErrorCode::kInvalidArgument, "unknown map_regions {}", options.map_regions);
  wanted.maps.choice = *choice;
  if (options.home_region != nullptr)
    wanted.maps.home = TRY(manifest::RegionId::parse(options.home_region));
  if (options.interrupted != nullptr)
    wanted.interrupted = [asked = options.interrupted, context = options.interrupted_context] {
      return asked(context) != 0;
    };
  return wanted;
}

Result<std::unique_ptr<Transport>> transport_of(const layby_options& options,
                                                const AgentOptions& wanted, const Layout& layout,
                                                const CarIdentity& identity, const Clock& clock) {
  if (options.transport.exchange != nullptr)
    return std::make_unique<HostTransport>(options.transport, clock);
  const std::string proxy = options.proxy != nullptr ? options.proxy : "";
  return std::unique_ptr<Transport>(
      TRY(CurlTransport::create({.server_url = identity.server_url,
                                 .ca_path = layout.ca(),
                                 .certificate_path = layout.certificate(),
                                 .key_path = layout.certificate(),
                                 .proxy_url = proxy,
                                 .interrupted = wanted.interrupted})));
}

Result<std::unique_ptr<layby_agent>> open(const layby_options& options) {
  TRY_VOID(check_callbacks(options));
  AgentOptions wanted = TRY(agent_options_of(options));
  crypto::initialize();
  auto opened = std::make_unique<layby_agent>(options);
  opened->directory = options.state_directory;
  if (options.clock.unix_seconds != nullptr)
    opened->clock = std::make_unique<HostClock>(options.clock);
  else
    opened->clock = std::make_unique<SystemClock>();
  const bool has_disk = has_all(options.disk);
  if (has_disk)
    opened->disk = std::make_unique<HostDisk>(options.disk);
  else
    opened->disk = std::make_unique<RealDisk>();
  const Layout layout(opened->directory);
  const CarIdentity identity = TRY(read_identity(*opened->disk, layout));
  if (!has_disk) opened->lock = TRY(StateLock::take(layout.lock()));
  // Without a certificate the agent says itself that it is not paired.
  if (const auto joined = join_certificate_and_key(*opened->disk, layout);
      !joined && joined.error().code() != ErrorCode::kNotFound)
    return fail(joined.error());
  opened->transport = TRY(transport_of(options, wanted, layout, identity, *opened->clock));
  opened->agent = TRY(Agent::open(*opened->disk, *opened->clock, *opened->transport,
                                  opened->vehicle, std::move(wanted)));
  return opened;
}

void keep_text(std::string& error, const char* text) noexcept {
  try {
    error = text;
  } catch (const std::exception&) {
    error.clear();  // no room for a text
  }
}

// Nothing of ours throws, but memory may run out below us: no exception reaches a C caller.
template <typename F>
int guarded(const HostMemory& memory, std::string& error, F body) {
  try {
    const Result<void> done = body();
    if (memory.was_short()) {
      keep_text(error, "the host's allocator had nothing left");
      return LAYBY_INTERNAL;
    }
    if (done) return LAYBY_OK;
    keep_text(error, done.error().message().c_str());
    return static_cast<int>(done.error().code());
  } catch (const std::exception& thrown) {
    keep_text(error, thrown.what());
    return LAYBY_INTERNAL;
  }
}

class Call {
 public:
  explicit Call(const layby_agent& agent) : agent_(agent) { agent_.is_busy = true; }
  ~Call() { agent_.is_busy = false; }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

 private:
  const layby_agent& agent_;
};

void copy_text(const std::string& text, char* out, std::size_t size) {
  if (out == nullptr || size == 0) return;
  const std::size_t count = std::min(text.size(), size - 1);
  std::memcpy(out, text.data(), count);
  out[count] = '\0';
}

void write_log(layby_agent& agent) {
  if (agent.log.write == nullptr) return;
  for (const RecordLine& line : agent.lines.look(agent.agent->record()))
    agent.log.write(agent.log.context,
                    line.level == RecordLine::Level::kError ? LAYBY_LOG_ERROR : LAYBY_LOG_NEWS,
                    line.text.c_str());
}

}  // namespace

int layby_agent_open(const layby_options* options, layby_agent** agent, char* error,
                     size_t error_size) {
  if (agent != nullptr) *agent = nullptr;
  const layby_allocator use_malloc{};
  layby_allocator allocator{};
  if (options != nullptr && options->size >= offsetof(layby_options, log))
    allocator = options->allocator;
  const bool is_whole = allocator.allocate != nullptr && allocator.release != nullptr;
  HostMemory memory(is_whole ? allocator : use_malloc);
  std::string text;
  const int result = guarded(memory, text, [&]() -> Result<void> {
    if (agent == nullptr) return fail(ErrorCode::kInvalidArgument, "an argument is NULL");
    const layby_options known = TRY(known_part(options));
    *agent = TRY(open(known)).release();
    return {};
  });
  if (result != LAYBY_OK && agent != nullptr) {
    delete *agent;
    *agent = nullptr;
  }
  copy_text(text, error, error_size);
  return result;
}

int layby_agent_step(layby_agent* agent, int64_t* wait_ms) {
  if (wait_ms != nullptr) *wait_ms = 0;
  if (agent == nullptr) return LAYBY_INVALID_ARGUMENT;
  if (agent->is_busy) return LAYBY_CONFLICT;
  const Call call(*agent);
  HostMemory memory(agent->allocator);
  return guarded(memory, agent->error, [&]() -> Result<void> {
    const Agent::Next next = TRY(agent->agent->step());
    if (wait_ms != nullptr) *wait_ms = next.wait_ms;
    write_log(*agent);
    return {};
  });
}

size_t layby_agent_status(const layby_agent* agent, char* text, size_t size) {
  if (size > 0 && text != nullptr) text[0] = '\0';
  if (agent == nullptr || agent->is_busy) return 0;
  const Call call(*agent);
  HostMemory memory(agent->allocator);
  std::string out;
  const int result = guarded(memory, agent->error, [&]() -> Result<void> {
    out = TRY(status(*agent->disk, *agent->clock, Layout(agent->directory), Daemon::kRunning,
                     StatusForm::kJson));
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
  if (agent == nullptr || agent->is_busy) return;
  agent->is_busy = true;
  const layby_allocator allocator = agent->allocator;  // the agent's own memory goes back to it
  HostMemory memory(allocator);
  delete agent;
}

const char* layby_version(void) {
  static_assert(kAgentVersion.starts_with("layby-agent/"));
  return kAgentVersion.data() + std::string_view("layby-agent/").size();
}
