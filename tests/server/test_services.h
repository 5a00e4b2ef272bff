// Services for tests of handlers: a real store and payloads in a directory of its own, new keys,
// and a clock that stands still until the test moves it. No sockets.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/disk.h"
#include "server/director/online_keys.h"
#include "server/payloads/directory_payload_store.h"
#include "server/services.h"
#include "server/store/rocksdb_store.h"
#include "tests/temp_dir.h"

namespace layby::tests {

class TestServices {
 public:
  TestServices();

  TempDir dir;
  RealDisk disk;
  ManualClock clock;  // begins at 2026-11-22T06:00:00Z
  std::unique_ptr<server::RocksDbStore> store;
  std::unique_ptr<server::DirectoryPayloadStore> payloads;
  server::OnlineKeys keys;
  crypto::TlsIdentity vehicle_authority;
  server::Services services;  // refers to the members above

  // Puts the bytes into the payload store, under their SHA-256, which it returns.
  crypto::Digest256 put_payload(const std::string& bytes);
};

}  // namespace layby::tests
