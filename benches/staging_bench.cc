// What it costs to stage metadata for cars, against the signatures in it alone; and what a poll
// with nothing new costs. Real RocksDB with synced commits, in a temporary directory.
#include <benchmark/benchmark.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/assert.h"
#include "crypto/initialize.h"
#include "manifest/image_entry.h"
#include "manifest/json_value.h"
#include "manifest/metadata_json.h"
#include "server/director/director_keys.h"
#include "server/director/director_metadata.h"
#include "server/director/routes.h"
#include "server/fleet/json_answer.h"
#include "server/payloads/directory_payload_store.h"
#include "server/release/first_documents.h"
#include "server/release/payload_worker.h"
#include "server/store/rocksdb_store.h"

namespace layby::server {
namespace {

using manifest::Json;

template <typename T>
T must(Result<T> result) {
  if (!result) std::fprintf(stderr, "%s\n", result.error().message().c_str());
  LAYBY_ASSERT(result.has_value());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

constexpr std::array kRegions = {"DE", "FR", "IT"};
constexpr int kCars = 20'000;
constexpr UnixSeconds kNow = 1'795'327'200;

std::string temporary_dir() {
  std::string pattern = (std::filesystem::temp_directory_path() / "layby-bench-XXXXXX").string();
  LAYBY_ASSERT(::mkdtemp(pattern.data()) != nullptr);
  return pattern;
}

manifest::Vin vin_of(int car) {
  return must(manifest::Vin::parse(fmt::format("WVWZZZ1JZXW{:06}", car)));
}

crypto::Digest256 fingerprint_of(int car) {
  return crypto::sha256(as_bytes(fmt::format("certificate {}", car)));
}

// A server's insides, with three map images published and cars that are paired.
class Fleet {
 public:
  Fleet() {
    must(seed_repositories(*store, keys, must(make_first_documents(offline, keys, 1, kNow)), kNow));
    publish_regions();
    for (int first = 0; first < kCars; first += 1000) add_cars(first, first + 1000);
    add_director_routes(router, services);
  }
  ~Fleet() { std::filesystem::remove_all(dir); }

  // As the shop would: other orders, and the cached timestamp gone.
  void change_orders(int car) {
    Json images = Json::array();
    for (const char* region : kRegions) images.push_back(fmt::format("maps/{}/1.tar", region));
    const Json order{{"id", manifest::OrderId::generate(kNow).text()},
                     {"action", "install"},
                     {"images", std::move(images)}};
    const std::string vin = vin_of(car).text();
    const Json desired{{"revision", 1}, {"orders", Json::array({order})}};
    must(store->commit(
        {{},
         {{desired_key(vin), to_stored(desired)}, {director_timestamp_key(vin), std::nullopt}}}));
  }

  std::string dir = temporary_dir();
  RealDisk disk;
  ManualClock clock{kNow};
  std::unique_ptr<RocksDbStore> store = must(RocksDbStore::open(dir + "/store"));
  std::unique_ptr<DirectoryPayloadStore> payloads =
      must(DirectoryPayloadStore::open(disk, dir + "/payloads"));
  OnlineKeys keys = generate_online_keys();
  OfflineKeys offline = generate_offline_keys(1);
  crypto::TlsIdentity no_authority;  // nothing here issues certificates
  Services services{.store = *store,
                    .payloads = *payloads,
                    .disk = disk,
                    .clock = clock,
                    .keys = keys,
                    .vehicle_authority = no_authority,
                    .data_dir = dir,
                    .public_base_url = "https://127.0.0.1:8443"};
  Router router;

 private:
  void publish_regions() {
    manifest::Targets targets;
    targets.version = 2;
    targets.expires = kNow + kImageTargetsLifeSeconds;
    for (const char* region : kRegions) {
      const std::string bytes = fmt::format("the region {}", region);
      const auto digest = crypto::sha256(as_bytes(bytes));
      const std::string path = payloads->incoming_dir() + "/" + region;
      must(replace_file(disk, path, as_bytes(bytes)));
      must(payloads->adopt(path, digest));
      const auto name = must(manifest::ImageName::parse(fmt::format("maps/{}/1.tar", region)));
      targets.targets[name.text()] =
          manifest::make_image_target({.name = name,
                                       .length = bytes.size(),
                                       .sha256 = digest,
                                       .sha512 = crypto::sha512(as_bytes(bytes)),
                                       .hardware_ids = {must(manifest::HardwareId::parse("hu-4"))},
                                       .facts = {.kind = name.kind(),
                                                 .slot = name.slot(),
                                                 .version = "1",
                                                 .conditions = {},
                                                 .licence_key = std::nullopt},
                                       .must_match = {}});
    }
    const std::array<const crypto::Signer*, 1> by{offline.image_targets.get()};
    must(publish_targets(services, must(manifest::make_targets(targets, by))));
    while (must(run_one_job(services, {})).job) continue;
  }

  void add_cars(int begin, int end) {
    Batch batch;
    const auto serial = must(manifest::EcuSerial::parse("HU-1"));
    const CarEcu ecu{serial, must(manifest::HardwareId::parse("hu-4")), std::nullopt};
    for (int i = begin; i < end; ++i) {
      const Car car{.vin = vin_of(i),
                    .model = "m1",
                    .model_year = 2026,
                    .country = "DE",
                    .hardware = {},
                    .ecus = {ecu},
                    .registered_at = kNow,
                    .pairing = Pairing{.owner = "acc_1",
                                       .primary = serial,
                                       .certificate = fingerprint_of(i),
                                       .seal_key = crypto::generate_seal_keys().public_key,
                                       .paired_at = kNow}};
      batch.writes.push_back({car_key(car.vin), encode_car(car)});
    }
    must(store->commit(batch));
  }
};

Fleet& fleet() {
  static Fleet the_fleet;
  return the_fleet;
}

std::atomic<int> next_car = 0;
int take_car() {
  return next_car.fetch_add(1) % kCars;
}

// The floor: one Ed25519 signature over as many bytes as a car's targets have.
void raw_signature(benchmark::State& state) {
  const Bytes message(static_cast<std::size_t>(state.range(0)), 'x');
  const auto& signer = *fleet().keys.director_targets;
  for (auto _ : state) benchmark::DoNotOptimize(signer.sign(message));
  state.counters["signatures/s"] =
      benchmark::Counter(static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

// Orders of a car change, its metadata is signed and stored: targets, snapshot and timestamp.
void stage_car(benchmark::State& state) {
  for (auto _ : state) {
    const int car = take_car();
    state.PauseTiming();
    fleet().change_orders(car);
    state.ResumeTiming();
    must(director_timestamp(fleet().services, vin_of(car)));
  }
  state.counters["cars/s"] =
      benchmark::Counter(static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
  state.counters["signatures/s"] =
      benchmark::Counter(3 * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

// The handler's share of a poll that ends in 304.
void poll_with_nothing_new(benchmark::State& state) {
  const int car = take_car();
  fleet().change_orders(car);
  Request request;
  request.path = "/v1/vehicle/director/timestamp.json";
  request.peer = PeerCertificate{vin_of(car).text(), fingerprint_of(car)};
  const Response first = fleet().router.handle(request);
  LAYBY_ASSERT(first.status == 200);
  request.headers["if-none-match"] = first.headers.at("ETag");
  for (auto _ : state) LAYBY_ASSERT(fleet().router.handle(request).status == 304);
  state.counters["polls/s"] =
      benchmark::Counter(static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

BENCHMARK(raw_signature)->Arg(200)->Arg(3000);
BENCHMARK(stage_car)->Threads(1)->Threads(16)->UseRealTime();
BENCHMARK(poll_with_nothing_new)->Threads(1)->Threads(2)->UseRealTime();

}  // namespace
}  // namespace layby::server

int main(int argc, char** argv) {
  layby::crypto::initialize();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
