#include "tests/server/test_services.h"

#include <catch2/catch.hpp>

namespace layby::tests {
namespace {

constexpr UnixSeconds kStart = 1'795'327'200;  // 2026-11-22T06:00:00Z

template <typename T>
T value_of(Result<T> result) {
  if (!result) FAIL(result.error().message());
  return std::move(*result);
}

}  // namespace

TestServices::TestServices()
    : clock(kStart),
      store(value_of(server::RocksDbStore::open(dir / "store"))),
      payloads(value_of(server::DirectoryPayloadStore::open(disk, dir / "payloads"))),
      keys(server::generate_online_keys()),
      vehicle_authority(value_of(crypto::make_authority(
          "Layby test vehicles", {kStart - kDaySeconds, kStart + 3650 * kDaySeconds}))),
      services{.store = *store,
               .payloads = *payloads,
               .disk = disk,
               .clock = clock,
               .keys = keys,
               .vehicle_authority = vehicle_authority,
               .data_dir = dir.path(),
               .public_base_url = "https://127.0.0.1:8443"} {}

crypto::Digest256 TestServices::put_payload(const std::string& bytes) {
  const crypto::Digest256 name = crypto::sha256(as_bytes(bytes));
  const std::string path = payloads->incoming_dir() + "/test-" + to_hex(name);
  REQUIRE(replace_file(disk, path, as_bytes(bytes)));
  REQUIRE(payloads->adopt(path, name));
  return name;
}

}  // namespace layby::tests
