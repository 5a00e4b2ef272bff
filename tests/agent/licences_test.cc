#include "agent/licences.h"

#include <catch2/catch.hpp>

#include "manifest/json_value.h"
#include "tests/agent/world.h"

using namespace layby;
using namespace layby::agent;
using namespace layby::tests;
using Worth = LicenceVerdict::State;

namespace {

// A car with one installed function, and licences made by hand.
struct Bench {
  MemoryDisk disk;
  Layout layout{"/car"};
  CarIdentity identity{.vin = manifest::Vin::parse(kVin).value(),
                       .ecu = manifest::EcuSerial::parse(kEcu).value(),
                       .hardware = manifest::HardwareId::parse(kHardware).value(),
                       .server_url = ""};
  crypto::SealKeyPair seal = crypto::generate_seal_keys();
  std::unique_ptr<crypto::MemorySigner> key = crypto::MemorySigner::generate();
  manifest::FunctionId function = manifest::FunctionId::parse("heated-seats").value();
  Licences licences{disk, layout, identity, seal.secret_key};
  Record record;

  Bench() {
    REQUIRE(disk.make_dirs("/car"));
    record.functions[function].licence_key =
        manifest::to_canonical(manifest::PublicKey::from_ed25519(key->public_key()).to_json())
            .value();
  }
  Bytes make(std::uint64_t counter, std::optional<UnixSeconds> until,
             manifest::LicenceState state = manifest::LicenceState::kActive,
             const char* vin = kVin) {
    return manifest::make_licence({.vin = manifest::Vin::parse(vin).value(),
                                   .function = function,
                                   .order = manifest::OrderId::generate(kStart),
                                   .counter = counter,
                                   .state = state,
                                   .issued = kStart,
                                   .until = until},
                                  *key, seal.public_key)
        .value();
  }
  void keep(const Bytes& sealed) {
    const auto opened = licences.open(sealed, function, record.functions[function].licence_key,
                                      &record.functions[function]);
    REQUIRE(opened.has_value());
    REQUIRE(licences.store(function, sealed));
    record.functions[function].newest = opened->mark();
  }
};

}  // namespace

TEST_CASE("a licence is active until its term is over, without a connection (P1.9)") {
  Bench bench;
  bench.keep(bench.make(1, kStart + 100));
  CHECK(bench.licences.judge(bench.function, bench.record, kStart).state == Worth::kActive);
  CHECK(bench.licences.judge(bench.function, bench.record, kStart + 100).state == Worth::kExpired);
  bench.keep(bench.make(2, kStart + 200));
  CHECK(bench.licences.judge(bench.function, bench.record, kStart + 100).state == Worth::kActive);
  bench.keep(bench.make(3, std::nullopt, manifest::LicenceState::kRevoked));
  CHECK(bench.licences.judge(bench.function, bench.record, kStart).state == Worth::kRevoked);
}

TEST_CASE("an older licence is refused, the same one is not") {
  Bench bench;
  const Bytes first = bench.make(5, std::nullopt);
  bench.keep(first);
  bench.keep(first);
  const auto open = [&](const Bytes& sealed) {
    return bench.licences.open(sealed, bench.function,
                               bench.record.functions[bench.function].licence_key,
                               &bench.record.functions[bench.function]);
  };
  CHECK(open(bench.make(4, std::nullopt)).error().code() == ErrorCode::kLicenceRefused);
  CHECK(open(bench.make(5, kStart + 9)).error().code() == ErrorCode::kLicenceRefused);
  CHECK(open(bench.make(6, std::nullopt)).has_value());
}

TEST_CASE("another car's licence does nothing here, and it is said why (P1.3)") {
  Bench ours, theirs;
  REQUIRE(ours.licences.store(ours.function, theirs.make(1, std::nullopt)));
  const LicenceVerdict installed = ours.licences.judge(ours.function, ours.record, kStart);
  CHECK(installed.state == Worth::kRefused);
  CHECK(!installed.reason.empty());
  const auto all =
      ours.licences.judge_all(Record{}, kStart);  // where the function is not installed
  REQUIRE(all.size() == 1);
  CHECK(all.begin()->second.state == Worth::kRefused);
  CHECK(all.begin()->second.reason.find("another car") != std::string::npos);
}

TEST_CASE("a licence for another VIN under our own seal is refused (P1.3)") {
  Bench bench;
  const Bytes sealed =
      bench.make(1, std::nullopt, manifest::LicenceState::kActive, "WVWZZZ1JZXW000025");
  REQUIRE(bench.licences.store(bench.function, sealed));
  CHECK(bench.licences.judge(bench.function, bench.record, kStart).state == Worth::kRefused);
}

TEST_CASE("a licence file that is gone or damaged is refused with a reason") {
  Bench bench;
  bench.keep(bench.make(1, std::nullopt));
  REQUIRE(replace_file(bench.disk, bench.layout.licence(bench.function), as_bytes("x")));
  CHECK(bench.licences.judge(bench.function, bench.record, kStart).state == Worth::kRefused);
  REQUIRE(bench.disk.remove(bench.layout.licence(bench.function)));
  CHECK(bench.licences.judge(bench.function, bench.record, kStart).state == Worth::kRefused);
}
