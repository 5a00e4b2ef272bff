#include "server/laybyd/serve.h"

#include <pthread.h>
#include <signal.h>

#include <atomic>

#include "base/time_text.h"
#include "manifest/json_value.h"
#include "manifest/keys.h"
#include "server/director/online_keys.h"
#include "server/fleet/account_erasure.h"
#include "server/fleet/check_in.h"
#include "server/fleet/event_sequence.h"
#include "server/fleet/write_pace.h"
#include "server/http/https_server.h"
#include "server/laybyd/all_routes.h"
#include "server/laybyd/background_task.h"
#include "server/laybyd/operations_routes.h"
#include "server/log/log.h"
#include "server/metrics/metrics.h"
#include "server/oidc/verifier.h"
#include "server/outbox/delivery.h"
#include "server/payloads/directory_payload_store.h"
#include "server/release/init.h"
#include "server/release/payload_worker.h"
#include "server/release/root_publication.h"
#include "server/rollout/rollout_walk.h"
#include "server/shop/owner_change.h"
#include "server/shop/sweep.h"
#include "server/store/observed_store.h"
#include "server/store/rocksdb_store.h"

namespace layby::server {
namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t kPemBytesMax = 256 * kKiB;
constexpr milliseconds kSleepMax{60'000};  // the wall clock may be set meanwhile
constexpr milliseconds kSleepAfterFailure{5'000};
constexpr std::int64_t kUploadExpiryMs = 3'600'000;  // how often abandoned uploads are looked for

struct TlsTexts {
  std::string certificate;
  std::string key;
  crypto::TlsIdentity vehicle_authority;
};

Result<std::string> read_pem(Disk& disk, const std::string& path) {
  const Bytes bytes = TRY(read_file(disk, path, kPemBytesMax));
  return std::string(as_text(bytes));
}

Result<TlsTexts> read_tls(Disk& disk, const Config::Tls& tls) {
  TlsTexts texts;
  texts.certificate = TRY(read_pem(disk, tls.certificate));
  texts.key = TRY(read_pem(disk, tls.key));
  texts.vehicle_authority.certificate_pem = TRY(read_pem(disk, tls.vehicle_authority));
  texts.vehicle_authority.key_pem = TRY(read_pem(disk, tls.vehicle_authority_key));
  for (const std::string* pem : {&texts.certificate, &texts.vehicle_authority.certificate_pem})
    TRY_VOID(crypto::read_certificate(*pem).map([](auto&&) {}));
  return texts;
}

Result<OnlineKeys> read_keys(Disk& disk, const Config::Keys& keys) {
  const std::string passphrase = TRY(read_passphrase(disk, keys.passphrase_file));
  return load_online_keys(disk, keys.directory, passphrase);
}

std::string audit_key_part(const Config& config) {
  return config.data.directory + "/" + kAuditKeyPart;
}

// A key that was lost must not be followed by another one unseen: auditors have the old part.
Result<void> check_audit_key(Disk& disk, const Config& config, const OnlineKeys& keys) {
  const auto checked = check_audit_key_part(disk, audit_key_part(config), keys.audit.get());
  if (checked) return {};
  return fail(Error(checked.error())
                  .with_context(config.keys.directory +
                                "/audit.key: put it back, or move its public part away as well"));
}

// A data directory of before there was an audit key gets one; its public part is always there.
Result<void> complete_keys(Disk& disk, const Config& config, OnlineKeys& keys, const Log& log) {
  TRY_VOID(check_audit_key(disk, config, keys));
  if (!keys.audit) {
    const std::string passphrase = TRY(read_passphrase(disk, config.keys.passphrase_file));
    TRY_VOID(add_audit_key(disk, config.keys.directory, passphrase, keys));
    log(LogLevel::kWarning, "audit key made: there was none",
        {{"directory", config.keys.directory}});
  }
  const std::string part = audit_key_part(config);
  if (disk.status(part)) return {};
  TRY_VOID(disk.make_dirs(parent_dir(part)));
  return write_audit_key_part(disk, part, *keys.audit);
}

HttpsOptions https_options(const Config& config, const TlsTexts& tls) {
  const auto seconds = [](std::uint64_t count) { return milliseconds(1000 * count); };
  HttpsOptions options;
  options.address = config.listen.address;
  options.port = config.listen.port;
  options.certificate_chain_pem = tls.certificate;
  options.private_key_pem = tls.key;
  options.client_authority_pem = tls.vehicle_authority.certificate_pem;
  options.threads = config.http.threads;
  options.connections_max = config.http.connections_max;
  options.header_bytes_max = config.http.header_bytes_max;
  options.handshake_timeout = seconds(config.http.handshake_seconds);
  options.header_timeout = seconds(config.http.header_seconds);
  options.body_timeout = seconds(config.http.body_seconds);
  options.idle_timeout = seconds(config.http.idle_seconds);
  options.write_timeout = seconds(config.http.write_seconds);
  if (config.fleet.simulation == Simulation::kOn)
    options.extra_headers["Layby-Simulation"] = "true";
  return options;
}

HttpsObserver https_observer(Metrics& metrics, const Log& log) {
  HttpsObserver observer;
  observer.exchange = [&metrics, &log](const Exchange& exchange) {
    metrics.request({to_string(exchange.method), exchange.route, exchange.status,
                     exchange.body_bytes_sent, exchange.duration});
    const LogLevel level = exchange.diagnosis.empty() ? LogLevel::kDebug : LogLevel::kError;
    log(level, "request",
        {{"method", std::string(to_string(exchange.method))},
         {"route", std::string(exchange.route)},
         {"status", std::to_string(exchange.status)},
         {"bytes", std::to_string(exchange.body_bytes_sent)},
         {"us", std::to_string(exchange.duration.count())},
         {"error", std::string(exchange.diagnosis)}});
  };
  observer.connection = [&metrics](ConnectionEvent event) {
    switch (event) {
      case ConnectionEvent::kAccepted: metrics.connection(ConnectionChange::kOpened); break;
      case ConnectionEvent::kClosed: metrics.connection(ConnectionChange::kClosed); break;
      case ConnectionEvent::kRefusedAtCap: metrics.connection(ConnectionChange::kRefused); break;
      case ConnectionEvent::kHandshakeFailed:
        metrics.connection(ConnectionChange::kHandshakeFailed);
        break;
    }
  };
  return observer;
}

ObservedStore::Observer commit_observer(Metrics& metrics) {
  return [&metrics](CommitOutcome outcome, std::chrono::microseconds duration) {
    switch (outcome) {
      case CommitOutcome::kCommitted: metrics.commit(CommitResult::kCommitted, duration); break;
      case CommitOutcome::kConflict: metrics.commit(CommitResult::kConflict, duration); break;
      case CommitOutcome::kFailed: metrics.commit(CommitResult::kFailed, duration); break;
    }
  };
}

// Until `due` by the clock, but never longer than kSleepMax.
milliseconds pause_until(const Services& services, std::optional<UnixSeconds> due) {
  if (!due) return kSleepMax;
  const milliseconds wait(1000 * std::max<std::int64_t>(0, *due - services.clock.now()));
  return std::min(wait, kSleepMax);
}

std::chrono::microseconds since(std::chrono::steady_clock::time_point begun) {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() -
                                                               begun);
}

milliseconds work_off_job(const Services& services, const PayloadLimits& limits, Metrics& metrics,
                          const std::stop_token& stop) {
  const auto begun = std::chrono::steady_clock::now();
  const Result<JobRun> run = run_one_job(services, stop, limits);
  if (!run) {
    services.log(LogLevel::kError, "payload worker", {{"error", run.error().message()}});
    return kSleepAfterFailure;
  }
  if (!run->job) return pause_until(services, run->again);
  const PayloadJob& job = *run->job;
  const bool done = job.state == JobState::kDone;
  // Interrupted by the end of the server: neither done nor failed.
  if (!stop.stop_requested())
    metrics.payload_job(done ? RunResult::kDone : RunResult::kFailed, job.payload_bytes,
                        since(begun));
  services.log(done ? LogLevel::kInfo : LogLevel::kWarning, "payload job",
               {{"id", job.id},
                {"kind", std::string(to_string(job.kind))},
                {"image", job.image},
                {"state", std::string(to_string(job.state))},
                {"bytes", std::to_string(job.payload_bytes)},
                {"ms", std::to_string(job.wall_ms)},
                {"error", job.error}});
  return milliseconds(0);
}

class Sweeper {
 public:
  Sweeper(const Services& services, Uploads& uploads, Metrics& metrics)
      : services_(services), uploads_(uploads), metrics_(metrics) {}

  milliseconds step(const std::stop_token& stop) {
    const auto begun = std::chrono::steady_clock::now();
    const auto next = sweep_due(services_, services_.clock.now(), kDuePerStep, stop);
    metrics_.sweep(next ? RunResult::kDone : RunResult::kFailed, since(begun));
    if (!next) {
      services_.log(LogLevel::kError, "sweep", {{"error", next.error().message()}});
      return kSleepAfterFailure;
    }
    expire_uploads();
    const auto walks = continue_walks(services_, kCarsPerStep);
    if (!walks) {
      services_.log(LogLevel::kError, "rollouts", {{"error", walks.error().message()}});
      return kSleepAfterFailure;
    }
    return *walks == Walks::kMoreToDo ? milliseconds(0) : pause_until(services_, *next);
  }

 private:
  static constexpr std::size_t kDuePerStep = 1000;
  // Of a rollout that was started, between two looks at what is due.
  static constexpr std::size_t kCarsPerStep = 1000;

  void expire_uploads() {
    const std::int64_t now_ms = services_.clock.monotonic_ms();
    if (next_expiry_ms_ && now_ms < *next_expiry_ms_) return;
    next_expiry_ms_ = now_ms + kUploadExpiryMs;
    const auto expired = uploads_.expire();
    if (!expired)
      services_.log(LogLevel::kError, "expiry of uploads", {{"error", expired.error().message()}});
    else if (*expired > 0)
      services_.log(LogLevel::kInfo, "uploads expired", {{"count", std::to_string(*expired)}});
  }

  const Services& services_;
  Uploads& uploads_;
  Metrics& metrics_;
  std::optional<std::int64_t> next_expiry_ms_;
};

// What everything else stands on. Opened once, in place: services refer to its members.
struct Foundation {
  explicit Foundation(const Config& config)
      : simulated(config.fleet.simulation == Simulation::kOn),
        clock(simulated ? static_cast<const Clock&>(simulated_clock) : system_clock),
        log(make_log(config.log.level)) {}

  Result<void> open(const Config& config, Metrics& metrics) {
    tls = TRY(read_tls(disk, config.tls));
    keys = TRY(read_keys(disk, config.keys));
    TRY_VOID(complete_keys(disk, config, keys, log));
    const std::string& data = config.data.directory;
    rocksdb = TRY(RocksDbStore::open(data + "/" + kStoreDir));
    store = std::make_unique<ObservedStore>(*rocksdb, commit_observer(metrics));
    payloads = TRY(DirectoryPayloadStore::open(disk, data + "/" + kPayloadsDir));
    events = TRY(EventSequence::open(*store));
    check_ins =
        TRY(CheckIns::open(*store, static_cast<UnixSeconds>(config.fleet.silent_hours) * 3600,
                           [&metrics](std::size_t count) { metrics.silent_cars(count); }));
    simulated_clock.advance(TRY(stored_clock_shift(*store, config.fleet.simulation)));
    return {};
  }

  RealDisk disk;
  SystemClock system_clock;
  ShiftedClock simulated_clock{system_clock};
  bool simulated;
  const Clock& clock;  // one of the two above
  Log log;
  TlsTexts tls;
  OnlineKeys keys;
  std::unique_ptr<RocksDbStore> rocksdb;
  std::unique_ptr<ObservedStore> store;
  std::unique_ptr<DirectoryPayloadStore> payloads;
  std::unique_ptr<EventSequence> events;
  std::unique_ptr<CheckIns> check_ins;
};

struct BackgroundTasks {
  BackgroundTask payload_worker;
  BackgroundTask sweeper;
  BackgroundTask eraser;
};

Services make_services(const Config& config, Foundation& base, BackgroundTasks& tasks) {
  return {.store = *base.store,
          .payloads = *base.payloads,
          .disk = base.disk,
          .clock = base.clock,
          .keys = base.keys,
          .vehicle_authority = base.tls.vehicle_authority,
          .data_dir = config.data.directory,
          .public_base_url = {},  // known once the port is
          .poll_seconds = config.fleet.poll_seconds,
          .delta_bases = config.payload_jobs.delta_bases,
          .simulation = config.fleet.simulation,
          .vehicle_certificate_seconds =
              static_cast<UnixSeconds>(config.fleet.certificate_days) * kDaySeconds,
          .events = base.events.get(),
          .check_ins = base.check_ins.get(),
          .log = base.log,
          .wake_payload_worker = [&tasks] { tasks.payload_worker.wake(); },
          .wake_sweeper = [&tasks] { tasks.sweeper.wake(); },
          .wake_eraser = [&tasks] { tasks.eraser.wake(); },
          .owner_leaves = owner_leaves};
}

// What the last process may have left half done.
Result<void> pick_up(const Services& services, Uploads& uploads, const Config& config,
                     OnlineKeys& keys) {
  if (keys.next.contains("licence")) TRY_VOID(begin_licence_key_walk(services));
  if (!keys.next.empty()) TRY_VOID(promote_next_keys(services, config.keys.directory, keys));
  TRY_VOID(uploads.recover());
  TRY_VOID(requeue_interrupted_jobs(services));
  return stage_all_waiting_orders(services);
}

Result<std::unique_ptr<Delivery>> open_delivery(const Config::Webhooks& webhooks,
                                                const Services& services, Metrics& metrics) {
  const auto ms = [](std::uint64_t seconds) { return static_cast<std::int64_t>(1000 * seconds); };
  DeliveryOptions options{.ca_file = webhooks.ca_file,
                          .timeout_ms = ms(webhooks.timeout_seconds),
                          .attempts_max = webhooks.attempts_max,
                          .backoff_ms_max = ms(webhooks.backoff_seconds_max)};
  return Delivery::open(services, std::move(options), [&metrics](DeliveryResult result) {
    switch (result) {
      case DeliveryResult::kDelivered: metrics.webhook(WebhookResult::kDelivered); break;
      case DeliveryResult::kFailed: metrics.webhook(WebhookResult::kFailed); break;
      case DeliveryResult::kDead: metrics.webhook(WebhookResult::kDead); break;
    }
  });
}

struct StopAtEnd {
  std::vector<BackgroundTask*> tasks;
  ~StopAtEnd() {
    for (BackgroundTask* task : tasks) task->stop();
  }
};

milliseconds erase_accounts(const Services& services) {
  const Result<std::size_t> erased = continue_erasures(services);
  if (erased) return kSleepMax;
  services.log(LogLevel::kError, "erasing accounts", {{"error", erased.error().message()}});
  return kSleepAfterFailure;
}

OidcOptions oidc_options(const Config::Oidc& oidc, const Log& log) {
  OidcOptions options{
      .issuer = oidc.issuer,
      .audience = oidc.audience,
      .role_claim = oidc.role_claim,
      .roles = {},
      .default_role = oidc.default_role,
      .unknown_subjects =
          oidc.make_accounts ? UnknownSubjects::kMakeAccount : UnknownSubjects::kRefuse,
      .skew_seconds = oidc.skew_seconds,
      .on_odd_key = [log](const std::string& which) {
        log(LogLevel::kWarning, "identity provider's key left out", {{"key", which}});
      }};
  for (const auto& [value, role] :
       {std::pair{oidc.operator_value, "operator"}, std::pair{oidc.partner_value, "partner"},
        std::pair{oidc.owner_value, "owner"}})
    if (!value.empty()) options.roles.emplace(value, role);
  return options;
}

// Null where none is configured. A provider that does not answer now may do so later; a file that
// cannot be read is a mistake.
Result<std::unique_ptr<OidcVerifier>> open_oidc(const Config::Oidc& oidc, Foundation& base) {
  if (oidc.issuer.empty()) return nullptr;
  const bool file = !oidc.keys_file.empty();
  auto verifier = std::make_unique<OidcVerifier>(
      oidc_options(oidc, base.log),
      file ? keys_from_file(base.disk, oidc.keys_file) : keys_from_url(oidc.keys_url, oidc.ca_file),
      base.clock);
  if (const Result<void> loaded = verifier->load(); !loaded) {
    if (file) return fail(loaded.error());
    base.log(LogLevel::kWarning, "keys of the identity provider",
             {{"error", loaded.error().message()}});
  }
  return verifier;
}

void warn_of_simulation(const Services& services) {
  services.log(LogLevel::kWarning,
               "SIMULATION MODE: operators can move this server's clock; never use it with real "
               "cars or real money",
               {{"now", format_utc(services.clock.now())}});
}

sigset_t block_stop_signals() {
  ::signal(SIGPIPE, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

int wait_for_stop(const sigset_t& signals) {
  int signal = 0;
  while (::sigwait(&signals, &signal) != 0) {
  }
  return signal;
}

std::string base_url(const Config& config, std::uint16_t port) {
  if (!config.listen.public_base_url.empty()) return config.listen.public_base_url;
  const bool six = config.listen.address.find(':') != std::string::npos;
  return fmt::format("https://{}{}{}:{}", six ? "[" : "", config.listen.address, six ? "]" : "",
                     port);
}

}  // namespace

Result<void> check_files(const Config& config) {
  RealDisk disk;
  TRY(read_tls(disk, config.tls));
  const OnlineKeys keys = TRY(read_keys(disk, config.keys));
  TRY_VOID(check_audit_key(disk, config, keys));
  const FileStatus data = TRY(disk.status(config.data.directory));
  if (data.kind != FileStatus::Kind::kDirectory)
    return fail(ErrorCode::kInvalidArgument, "{} is not a directory", config.data.directory);
  return {};
}

Result<std::string> make_next_key(const Config& config, const std::string& name) {
  RealDisk disk;
  const std::string passphrase = TRY(read_passphrase(disk, config.keys.passphrase_file));
  const auto key = TRY(create_next_key(disk, config.keys.directory, passphrase, name));
  return manifest::to_wire(manifest::PublicKey::of(*key).to_json());
}

Result<void> serve(const Config& config, const ServeOptions& options) {
  const sigset_t stop_signals = block_stop_signals();
  Metrics metrics;
  Foundation base(config);
  TRY_VOID(base.open(config, metrics));
  BackgroundTasks tasks;
  Services services = make_services(config, base, tasks);
  const std::unique_ptr<OidcVerifier> oidc = TRY(open_oidc(config.oidc, base));
  services.oidc = oidc.get();
  services.image_available = [&services](std::string_view image) {
    const Result<void> staged = stage_waiting_orders(services, image);
    if (!staged)
      services.log(LogLevel::kError, "staging orders", {{"error", staged.error().message()}});
    if (const Result<void> walk = begin_licence_key_walk_for(services, image); !walk)
      services.log(LogLevel::kError, "licence keys", {{"error", walk.error().message()}});
  };
  const std::unique_ptr<Delivery> delivery = TRY(open_delivery(config.webhooks, services, metrics));
  services.wake_outbox = [&delivery] { delivery->wake(); };
  base.events->on_landing(services.wake_outbox);
  Uploads uploads(
      services,
      {.free_bytes_min = config.uploads.free_bytes_min,
       .abandoned_seconds = static_cast<UnixSeconds>(config.uploads.abandoned_days) * kDaySeconds});
  TRY_VOID(pick_up(services, uploads, config, base.keys));

  std::atomic<bool> accepting{false};
  WritePace write_pace(services, config.fleet.writes_per_minute);
  Router router;
  router.guard_writes([&write_pace](const Request& request) { return write_pace.refuse(request); });
  add_operations_routes(router, services, metrics, accepting);
  add_all_routes(router, services, uploads);
  if (base.simulated) add_simulation_routes(router, services, base.simulated_clock);

  const auto https = TRY(HttpsServer::listen(https_options(config, base.tls), router, base.clock,
                                             https_observer(metrics, base.log)));
  services.public_base_url = base_url(config, https->port());
  if (base.simulated) warn_of_simulation(services);
  https->serve();
  delivery->start();
  const PayloadLimits limits{.memory_bytes_max = config.payload_jobs.memory_bytes_max,
                             .free_bytes_min = config.uploads.free_bytes_min};
  tasks.payload_worker.start(
      "payload-worker", config.payload_jobs.nice,
      [&](const std::stop_token& stop) { return work_off_job(services, limits, metrics, stop); });
  Sweeper sweeps(services, uploads, metrics);
  tasks.sweeper.start("sweeper", 0, [&](const std::stop_token& stop) { return sweeps.step(stop); });
  tasks.eraser.start("eraser", 10,
                     [&](const std::stop_token&) { return erase_accounts(services); });
  // Also on the way out after an error: their threads use what was declared after them.
  const StopAtEnd stop_at_end{{&tasks.payload_worker, &tasks.sweeper, &tasks.eraser}};
  accepting = true;
  if (!options.port_file.empty())
    TRY_VOID(
        replace_file(base.disk, options.port_file, as_bytes(fmt::format("{}\n", https->port()))));
  services.log(LogLevel::kInfo, "serving",
               {{"address", config.listen.address},
                {"port", std::to_string(https->port())},
                {"url", services.public_base_url},
                {"data", services.data_dir}});

  // Until somebody says stop. Requests in flight first: they may still need the rest, but not the
  // payload that is being made, which takes the processors from them.
  const int signal = wait_for_stop(stop_signals);
  accepting = false;
  tasks.payload_worker.ask_to_stop();
  services.log(LogLevel::kInfo, "stopping", {{"signal", std::to_string(signal)}});
  https->stop(milliseconds(1000 * config.http.shutdown_seconds));
  services.log(LogLevel::kInfo, "requests finished", {});
  return {};
}

}  // namespace layby::server
