// What trust costs: refreshes, staging a car, plans, licences and reports, each also in units of
// one raw Ed25519 signature or verification, measured right beside it. The unit travels between
// machines where nanoseconds do not: `verifies` 1.3 means 30 % on top of one bare verification.
#include <benchmark/benchmark.h>

#include <ctime>

#include "base/assert.h"
#include "crypto/initialize.h"
#include "crypto/sealed_box.h"
#include "manifest/director.h"
#include "manifest/licence.h"
#include "manifest/metadata_json.h"
#include "manifest/report.h"
#include "manifest/repository.h"

namespace layby::benches {
namespace {

using namespace manifest;

constexpr UnixSeconds kNow = 1'800'000'000;
constexpr UnixSeconds kExpires = kNow + 30 * kDaySeconds;
constexpr int kRawOperations = 500;

// CPU time of this thread: a busy machine must not bend the ratios.
double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

const crypto::MemorySigner& key() {
  static const auto signer = crypto::MemorySigner::generate();
  return *signer;
}

// Of a message as long as a Director's targets with one image.
const Bytes& message() {
  static const Bytes bytes(1200, 'm');
  return bytes;
}

double raw_sign_seconds() {
  const double start = cpu_seconds();
  for (int i = 0; i < kRawOperations; ++i) benchmark::DoNotOptimize(*key().sign(message()));
  return (cpu_seconds() - start) / kRawOperations;
}

double raw_verify_seconds() {
  const auto signature = *key().sign(message());
  const double start = cpu_seconds();
  for (int i = 0; i < kRawOperations; ++i)
    LAYBY_ASSERT(crypto::verify_ed25519(key().public_key(), message(), signature));
  return (cpu_seconds() - start) / kRawOperations;
}

// Runs `work` for the benchmark and says how many raw operations its time is worth.
template <typename Work>
void measure(benchmark::State& state, const char* unit, double (*raw_seconds)(), Work work) {
  const double raw_before = raw_seconds();
  const double start = cpu_seconds();
  for ([[maybe_unused]] auto _ : state) work();
  const double each = (cpu_seconds() - start) / static_cast<double>(state.iterations());
  state.counters[unit] = each / ((raw_before + raw_seconds()) / 2);
}

ImageEntry image_entry(int number) {
  const ImageName name = *ImageName::parse(fmt::format("maps/R{}/1.1.61.tar", number));
  return {.name = name,
          .length = 10'000'000,
          .sha256 = crypto::sha256(as_bytes(name.text())),
          .sha512 = crypto::sha512(as_bytes(name.text())),
          .hardware_ids = {*HardwareId::parse("hu-4")},
          .facts = {.kind = ImageKind::kMap,
                    .slot = name.slot(),
                    .version = "1.1.61",
                    .release_counter = 2,
                    .duration_seconds = 120,
                    .battery_percent_min = 40,
                    .conditions = {},
                    .licence_key = std::nullopt},
          .must_match = {}};
}

struct Published {
  Bytes root, timestamp, snapshot, targets;
};

const crypto::Signer* const* signer_list() {
  static const crypto::Signer* const list[1] = {&key()};
  return list;
}
Signers signers() {
  return {signer_list(), 1};
}

Published publish(const Targets& targets) {
  Root root;
  root.expires = kExpires;
  for (const Role role : kRoles) root.add_key(role, PublicKey::from_ed25519(key().public_key()));
  Published made;
  made.root = *make_root(root, signers());
  made.targets = *make_targets(targets, signers());
  auto online =
      *make_online_roles(1, made.targets, {1, 1, kExpires, kExpires}, signers(), signers());
  made.snapshot = std::move(online.snapshot);
  made.timestamp = std::move(online.timestamp);
  return made;
}

Targets image_targets(int images) {
  Targets targets;
  targets.expires = kExpires;
  for (int i = 0; i < images; ++i)
    targets.targets[image_entry(i).name.text()] = make_image_target(image_entry(i));
  return targets;
}

// Three regions of one order, each whole or as a delta.
DirectorContent director_content() {
  DirectorContent content{.version = 1,
                          .expires = kExpires,
                          .vin = *Vin::parse("WVWZZZ1JZXW000017"),
                          .orders = {{OrderId::generate(kNow), OrderAction::kInstall, {}, {}}},
                          .images = {}};
  const Payload whole{std::nullopt, crypto::sha256(message()), 9'000'000, crypto::sha256(message()),
                      800};
  Payload delta = whole;
  delta.base = crypto::sha256(message());
  for (int i = 0; i < 3; ++i) {
    const ImageEntry entry = image_entry(i);
    content.orders[0].images.push_back(entry.name.text());
    content.images.push_back({entry.name.text(),
                              make_image_target(entry),
                              {{*EcuSerial::parse("HU-1"), entry.hardware_ids[0]}},
                              {delta, whole}});
  }
  return content;
}

void refresh(TrustedRepository& client, const Published& published) {
  Refresh refresh(client, kNow);
  LAYBY_ASSERT(refresh.give_absent());
  LAYBY_ASSERT(refresh.give(published.timestamp));
  if (!refresh.complete()) LAYBY_ASSERT(refresh.give(published.snapshot));
  if (!refresh.complete()) LAYBY_ASSERT(refresh.give(published.targets));
  LAYBY_ASSERT(refresh.complete());
}

TrustedRepository refreshed(const Published& published) {
  TrustedRepository client = *TrustedRepository::load({published.root, {}, {}, {}});
  refresh(client, published);
  return client;
}

void raw_sign(benchmark::State& state) {
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(*key().sign(message()));
}
BENCHMARK(raw_sign);

void raw_verify(benchmark::State& state) {
  const auto signature = *key().sign(message());
  for ([[maybe_unused]] auto _ : state)
    LAYBY_ASSERT(crypto::verify_ed25519(key().public_key(), message(), signature));
}
BENCHMARK(raw_verify);

// A poll with nothing new, as the car sees it: one signature to check.
void refresh_nothing_new(benchmark::State& state) {
  const Published published = publish(image_targets(static_cast<int>(state.range(0))));
  TrustedRepository client = refreshed(published);
  measure(state, "verifies", raw_verify_seconds, [&] { refresh(client, published); });
}
BENCHMARK(refresh_nothing_new)->Arg(10)->Arg(1000);

// A car that knows the root only: four signatures.
void refresh_first(benchmark::State& state) {
  const Published published = publish(image_targets(static_cast<int>(state.range(0))));
  measure(state, "verifies", raw_verify_seconds,
          [&] { benchmark::DoNotOptimize(refreshed(published)); });
}
BENCHMARK(refresh_first)->Arg(10)->Arg(1000);

// What a server does when a car's orders change: targets, snapshot and timestamp of one VIN.
void stage_one_car(benchmark::State& state) {
  const DirectorContent content = director_content();
  measure(state, "signs", raw_sign_seconds, [&] {
    const Bytes targets = *make_targets(make_director_targets(content), signers());
    benchmark::DoNotOptimize(
        *make_online_roles(1, targets, {1, 1, kExpires, kExpires}, signers(), signers()));
  });
}
BENCHMARK(stage_one_car);

EcuSerial ecu_serial(std::int64_t number) {
  return *EcuSerial::parse(fmt::format("ECU-{}", number));
}

// Both repositories refreshed: do they stand behind these orders? Each image is for as many ECUs.
void verify_a_plan(benchmark::State& state) {
  DirectorContent content = director_content();
  CarFacts car{.vin = content.vin, .ecus = {}, .release_counters = {}};
  for (std::int64_t i = 0; i < state.range(0); ++i)
    car.ecus.emplace(ecu_serial(i), *HardwareId::parse("hu-4"));
  for (AssignedImage& image : content.images) image.ecus = car.ecus;
  const TrustedRepository director = refreshed(publish(make_director_targets(content)));
  const TrustedRepository image = refreshed(publish(image_targets(1000)));
  measure(state, "verifies", raw_verify_seconds,
          [&] { benchmark::DoNotOptimize(*verify_plan(director, image, car, kNow)); });
}
BENCHMARK(verify_a_plan)->ArgName("ecus")->Arg(1)->Arg(10);

void licence_make(benchmark::State& state) {
  const auto car = crypto::generate_seal_keys();
  const Licence licence{.vin = *Vin::parse("WVWZZZ1JZXW000017"),
                        .function = *FunctionId::parse("f"),
                        .order = OrderId::generate(kNow),
                        .counter = 1,
                        .state = LicenceState::kActive,
                        .issued = kNow,
                        .until = std::nullopt};
  measure(state, "signs", raw_sign_seconds,
          [&] { benchmark::DoNotOptimize(*make_licence(licence, key(), car.public_key)); });
}
BENCHMARK(licence_make);

// What a server does with a car's word: the primary's signature, and one for each ECU.
void manifest_verify(benchmark::State& state) {
  KnownCar known{*Vin::parse("WVWZZZ1JZXW000017"), ecu_serial(0), {}, {}};
  std::map<EcuSerial, Bytes> reports;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    const EcuReport report{.ecu = ecu_serial(i),
                           .counter = 2,
                           .time = kNow,
                           .agent = "bench",
                           .installed = {},
                           .functions = {},
                           .attack = {},
                           .orders = {}};
    reports.emplace(report.ecu, *make_ecu_report(report, key()));
    known.ecus.emplace(report.ecu, KnownEcu{PublicKey::from_ed25519(key().public_key()), 1});
  }
  const Bytes bytes = *make_vehicle_manifest(known.vin, known.primary, reports, key());
  measure(state, "verifies", raw_verify_seconds,
          [&] { benchmark::DoNotOptimize(*verify_vehicle_manifest(bytes, known)); });
}
BENCHMARK(manifest_verify)->ArgName("ecus")->Arg(1)->Arg(2)->Arg(10);

}  // namespace
}  // namespace layby::benches

int main(int argc, char** argv) {
  layby::crypto::initialize();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
