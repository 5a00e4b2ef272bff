// The shop under load: what a sweep costs while very many orders wait and none, some or many of
// them are due, and orders per second, durable, beside bare synced writes into RocksDB in the
// same run.
//
//   shop_bench [--waiting-orders=N] [Google Benchmark's own flags]
//
// N is 100 000 unless told otherwise; `--waiting-orders=10000000 --benchmark_filter=sweep` is the
// size of a large fleet. RocksDB lies in a directory under $TMPDIR, or /tmp, that is
// removed at the end.
#include <benchmark/benchmark.h>
#include <rocksdb/db.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>

#include "base/time_text.h"
#include "crypto/initialize.h"
#include "manifest/image_entry.h"
#include "server/director/online_keys.h"
#include "server/fleet/account.h"
#include "server/fleet/car.h"
#include "server/fleet/deadline.h"
#include "server/fleet/event_sequence.h"
#include "server/payloads/directory_payload_store.h"
#include "server/release/image.h"
#include "server/release/release_keys.h"
#include "server/shop/ordering.h"
#include "server/shop/sweep.h"
#include "server/store/rocksdb_store.h"

namespace layby::benches {
namespace {

using namespace layby::server;

std::size_t waiting_orders = 100'000;
constexpr std::size_t kCars = 200'000;  // more than one run orders for
constexpr std::string_view kImage = "functions/adaptive-cruise/1.0.pkg";

template <typename T>
T must(Result<T> result) {
  if (result) return std::move(*result);
  std::cerr << result.error().message() << "\n";
  std::exit(1);
}
void must(const Result<void>& result) {
  if (result) return;
  std::cerr << result.error().message() << "\n";
  std::exit(1);
}

manifest::Vin vin_of(std::size_t n) {
  return must(manifest::Vin::parse(fmt::format("WVWZZZ1JZ{:08}", n)));
}

class Directory {
 public:
  Directory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "layby-bench-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) std::exit(1);
    path_ = pattern;
  }
  ~Directory() { std::filesystem::remove_all(path_); }
  std::string operator/(const char* name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// A server's handlers over RocksDB, an owner with kCars cars, one product.
class Shop {
 public:
  Shop()
      : store(must(RocksDbStore::open(directory / "store"))),
        payloads(must(DirectoryPayloadStore::open(disk, directory / "payloads"))),
        services{.store = *store,
                 .payloads = *payloads,
                 .disk = disk,
                 .clock = clock,
                 .keys = keys,
                 .vehicle_authority = authority,
                 .data_dir = directory / "",
                 .public_base_url = "https://localhost"} {
    events = must(EventSequence::open(*store));
    services.events = events.get();
    const NewAccount owner = must(commit_with_retry(*store, [&](Change& change) {
      return create_account(change, {.name = "owner", .role = Role::kOwner, .email = {}},
                            clock.now());
    }));
    token = owner.token;
    add_product();
    for (std::size_t n = 0; n < kCars; n += 10'000) add_cars(n, owner.account.id);
  }

  Request order_request(std::size_t car) const {
    Request request;
    request.method = Method::kPost;
    request.path = "/v1/orders";
    request.headers = {{"authorization", "Bearer " + token},
                       {"idempotency-key", fmt::format("bench-{}", car)}};
    request.body = fmt::format(R"({{"kind":"function","product":"adaptive-cruise","vin":"{}"}})",
                               vin_of(car).text());
    return request;
  }

  Directory directory;
  RealDisk disk;
  ManualClock clock{1'795'327'200};
  OnlineKeys keys = generate_online_keys();
  crypto::TlsIdentity authority;
  std::unique_ptr<RocksDbStore> store;
  std::unique_ptr<DirectoryPayloadStore> payloads;
  std::unique_ptr<EventSequence> events;
  Services services;
  std::string token;
  std::atomic<std::size_t> next_car{0};

 private:
  void add_product() {
    const manifest::ImageName name = must(manifest::ImageName::parse(kImage));
    manifest::ImageEntry entry{.name = name,
                               .length = 1000,
                               .sha256 = crypto::sha256(as_bytes(kImage)),
                               .sha512 = std::nullopt,
                               .hardware_ids = {must(manifest::HardwareId::parse("hu-4"))},
                               .facts = {.kind = name.kind(),
                                         .slot = name.slot(),
                                         .version = "1.0",
                                         .release_counter = 1,
                                         .duration_seconds = 60,
                                         .battery_percent_min = 30,
                                         .conditions = {},
                                         .licence_key = manifest::PublicKey::of(*keys.licence)},
                               .must_match = {}};
    const Image image{.entry = entry,
                      .target = manifest::make_image_target(entry),
                      .listing = Listing::kListed,
                      .published = 1};
    const manifest::Payload payload{.base = std::nullopt,
                                    .sha256 = entry.sha256,
                                    .length = 900,
                                    .head_sha256 = entry.sha256,
                                    .head_length = 100};
    must(store->commit(
        {.expectations = {},
         .writes = {{image_key(kImage), encode_image(image)},
                    {payload_key(entry.sha256, std::nullopt), encode_payload(payload, 1)},
                    {product_key("adaptive-cruise"),
                     R"({"currency":"EUR","image":"functions/adaptive-cruise/1.0.pkg",)"
                     R"("price_cents":49900,"term":{"kind":"unlimited"},"title":{"en":"x"}})"}}}));
  }

  void add_cars(std::size_t first, const std::string& owner) {
    Batch batch;
    for (std::size_t n = first; n < first + 10'000; ++n) {
      const manifest::EcuSerial serial = must(manifest::EcuSerial::parse("HU-1"));
      const Car car{.vin = vin_of(n),
                    .model = "aurora",
                    .model_year = 2026,
                    .country = "DE",
                    .time_zone = "Europe/Berlin",
                    .hardware = {"radar-front"},
                    .ecus = {{.serial = serial,
                              .hardware_id = must(manifest::HardwareId::parse("hu-4")),
                              .public_key = crypto::Ed25519PublicKey{}}},
                    .registered_at = clock.now(),
                    .pairing = Pairing{.owner = owner,
                                       .primary = serial,
                                       .certificate = {},
                                       .seal_key = {},
                                       .paired_at = clock.now()}};
      batch.writes.push_back({car_key(car.vin), encode_car(car)});
    }
    must(store->commit(batch));
  }
};

Shop& shop() {
  static Shop the_shop;
  return the_shop;
}

// Entries of orders that are due in ten years: as many as wait, and none of them is met.
void fill_deadlines() {
  static std::size_t there = 0;
  const UnixSeconds from = shop().clock.now() + 3650 * kDaySeconds;
  while (there < waiting_orders) {
    Batch batch;
    for (std::size_t i = 0; i < 10'000 && there < waiting_orders; ++i, ++there) {
      batch.writes.push_back(
          {deadline_key({.at = from + static_cast<UnixSeconds>(there % (27 * kDaySeconds)),
                         .kind = DeadlineKind::kOrder,
                         .subject = vin_of(there).text(),
                         .id = manifest::OrderId::generate(shop().clock.now()).text()}),
           ""});
    }
    must(shop().store->commit(batch));
  }
}

void sweep_with_nothing_due(benchmark::State& state) {
  fill_deadlines();
  for (auto _ : state) {
    if (!must(sweep_due(shop().services, shop().clock.now()))) std::exit(1);
  }
  state.counters["waiting"] = static_cast<double>(waiting_orders);
}

// What is due is the reminder of 7 days before the window's end: a commit for each order.
void sweep_with_some_due(benchmark::State& state) {
  fill_deadlines();
  Shop& here = shop();
  const auto due = static_cast<std::size_t>(state.range(0));
  // What other benches ordered is out of the way first.
  here.clock.advance(42 * kDaySeconds);
  (void)must(sweep_due(here.services, here.clock.now()));
  for (auto _ : state) {
    state.PauseTiming();
    for (std::size_t n = 0; n < due; ++n) {
      if (post_order(here.services, here.order_request(here.next_car++)).status != 201)
        std::exit(1);
    }
    here.clock.advance(22 * kDaySeconds);
    state.ResumeTiming();
    (void)must(sweep_due(here.services, here.clock.now()));
    state.PauseTiming();
    here.clock.advance(14 * kDaySeconds);  // their windows end, and answers are forgotten
    (void)must(sweep_due(here.services, here.clock.now()));
    state.ResumeTiming();
  }
  state.counters["waiting"] = static_cast<double>(waiting_orders);
  state.counters["due"] = static_cast<double>(due);
  state.counters["per_due"] =
      benchmark::Counter(static_cast<double>(due) * static_cast<double>(state.iterations()),
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

// One order: 201 means that order, index entries, events, messages, audit and answer are on disk.
void durable_orders(benchmark::State& state) {
  Shop& here = shop();
  for (auto _ : state) {
    const std::size_t car = here.next_car++;
    if (car >= kCars) {
      state.SkipWithError("more orders than cars");
      break;
    }
    const Response response = post_order(here.services, here.order_request(car));
    if (response.status != 201) {
      state.SkipWithError(std::get<std::string>(response.body).c_str());
      break;
    }
  }
  state.SetItemsProcessed(state.iterations());
}

// RocksDB alone, on the same disk: one synced write of about what an order writes.
class BareRocksDb {
 public:
  BareRocksDb() {
    rocksdb::Options options;
    options.create_if_missing = true;
    rocksdb::DB* opened = nullptr;
    const rocksdb::Status status = rocksdb::DB::Open(options, directory_ / "bare", &opened);
    db_.reset(opened);
    if (status.ok()) return;
    std::cerr << status.ToString() << "\n";
    std::exit(1);
  }
  bool put(const std::string& key, const std::string& value) {
    rocksdb::WriteOptions options;
    options.sync = true;
    return db_->Put(options, key, value).ok();
  }

 private:
  Directory directory_;
  std::unique_ptr<rocksdb::DB> db_;
};

void bare_synced_writes(benchmark::State& state) {
  static BareRocksDb database;
  static std::atomic<std::size_t> next{0};
  const std::string value(4000, 'x');  // about what one order writes
  for (auto _ : state) {
    if (database.put(fmt::format("bench/{:020}", next++), value)) continue;
    state.SkipWithError("RocksDB refused a write");
    break;
  }
  state.SetItemsProcessed(state.iterations());
}

BENCHMARK(bare_synced_writes)->Threads(1)->Threads(8)->UseRealTime();
BENCHMARK(durable_orders)->Threads(1)->Threads(8)->UseRealTime();
BENCHMARK(sweep_with_nothing_due)->Unit(benchmark::kMicrosecond);
BENCHMARK(sweep_with_some_due)
    ->Arg(1)
    ->Arg(100)
    ->Arg(1'000)
    ->Iterations(2)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace

void make_shop() {
  shop();
}

}  // namespace layby::benches

int main(int argc, char** argv) {
  constexpr std::string_view kWaiting = "--waiting-orders=";
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument.substr(0, kWaiting.size()) != kWaiting) continue;
    const std::string_view number = argument.substr(kWaiting.size());
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(),
                                              layby::benches::waiting_orders);
    if (error != std::errc{} || end != number.data() + number.size() ||
        layby::benches::waiting_orders == 0) {
      std::cerr << "--waiting-orders=N, at least 1\n";
      return 1;
    }
    std::rotate(argv + i, argv + i + 1, argv + argc);
    --argc;
    --i;
  }
  layby::crypto::initialize();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  layby::benches::make_shop();  // before anything is measured
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
