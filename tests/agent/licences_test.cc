#include "agent/licences.h"

#include <catch2/catch.hpp>
#include <utility>

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
    REQUIRE(disk.make_dirs(layout.licences()));
    record.functions[function].licence_key = package(1).licence_key;
    record.functions[function].key_release = 1;
  }
  // Of this release, which names the key of the moment.
  ImageProgress package(std::uint64_t release) {
    ImageProgress image{.name = manifest::ImageName::parse("functions/heated-seats/1.pkg").value(),
                        .slot = manifest::Slot::function(function)};
    image.release_counter = release;
    image.licence_key =
        manifest::to_canonical(manifest::PublicKey::from_ed25519(key->public_key()).to_json())
            .value();
    return image;
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
  void keep(const Bytes& sealed) { REQUIRE(licences.keep_for_installed(sealed, record)); }
  void put_file(const Bytes& sealed) {
    REQUIRE(replace_file(disk, layout.licence(function), sealed));
  }
  ErrorCode refusal(const Bytes& sealed, const ImageProgress& image) {
    const auto opened = licences.open_for_package(sealed, image, record);
    REQUIRE(!opened);
    return opened.error().code();
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
    return bench.licences.open_for_installed(sealed, bench.record);
  };
  CHECK(open(bench.make(4, std::nullopt)).error().code() == ErrorCode::kLicenceRefused);
  CHECK(open(bench.make(5, kStart + 9)).error().code() == ErrorCode::kLicenceRefused);
  CHECK(open(bench.make(6, std::nullopt)).has_value());
}

TEST_CASE("a counter belongs to its key: what the old one has reached does not bind the next") {
  Bench bench;
  bench.keep(bench.make(7, std::nullopt));
  const Bytes of_thief = bench.make(1'000'000'000, std::nullopt);
  const Bytes later_of_thief = bench.make(2'000'000'000, std::nullopt);
  bench.keep(of_thief);
  bench.record.functions[bench.function].proven_counter = 1'000'000'000;
  const ImageProgress first = bench.package(1);
  CHECK(bench.refusal(bench.make(8, std::nullopt), first) == ErrorCode::kLicenceRefused);

  const auto stolen = std::exchange(bench.key, crypto::MemorySigner::generate());
  const ImageProgress second = bench.package(2);
  const Bytes honest = bench.make(8, kStart + 100);
  // Until the new one is kept, the function lives by the old one.
  CHECK(bench.licences.judge(bench.function, bench.record, kStart).state == Worth::kActive);
  CHECK(bench.refusal(of_thief, second) == ErrorCode::kBadSignature);
  REQUIRE(bench.licences.keep_for_package(honest, second, bench.record));
  CHECK(bench.licences.judge(bench.function, bench.record, kStart).counter == 8);
  CHECK(bench.record.functions[bench.function].proven_counter == 0);

  SECTION("of the new key an older licence is refused as ever") {
    CHECK(bench.refusal(bench.make(7, std::nullopt), second) == ErrorCode::kLicenceRefused);
    CHECK(bench.refusal(bench.make(7, std::nullopt), bench.package(3)) ==
          ErrorCode::kLicenceRefused);
    bench.keep(bench.make(9, std::nullopt));
  }
  SECTION("the old key is none any more, whichever package it comes with") {
    CHECK(bench.licences.open_for_installed(later_of_thief, bench.record).error().code() ==
          ErrorCode::kBadSignature);
    CHECK(bench.refusal(later_of_thief, first) == ErrorCode::kLicenceRefused);
    ImageProgress same_release = first;
    same_release.release_counter = 2;
    CHECK(bench.refusal(later_of_thief, same_release) == ErrorCode::kLicenceRefused);
  }
  SECTION("also after a restart") {
    const Record read = decode_record(encode_record(bench.record).value()).value();
    CHECK(bench.licences.open_for_package(later_of_thief, first, read).error().code() ==
          ErrorCode::kLicenceRefused);
  }
}

TEST_CASE("a power cut between the licence of a next key and the journal loses nothing (P4.7)") {
  Bench bench;
  bench.keep(bench.make(5, std::nullopt));
  bench.key = crypto::MemorySigner::generate();
  OrderRecord order{.id = manifest::OrderId::generate(kStart)};
  order.images.push_back(bench.package(2));
  order.licence = bench.make(3, std::nullopt);
  bench.record.orders.push_back(order);
  bench.put_file(order.licence);
  bench.licences.catch_up(bench.record);
  CHECK(bench.licences.judge(bench.function, bench.record, kStart).state == Worth::kActive);
  CHECK(bench.record.functions[bench.function].newest.counter == 3);
  CHECK(bench.record.functions[bench.function].key_release == 2);
}

TEST_CASE("another car's licence does nothing here, and it is said why (P1.3)") {
  Bench ours, theirs;
  ours.put_file(theirs.make(1, std::nullopt));
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
  bench.put_file(sealed);
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
