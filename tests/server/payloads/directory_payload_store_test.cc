#include "server/payloads/directory_payload_store.h"

#include <catch2/catch.hpp>

#include "tests/temp_dir.h"

using namespace layby;
using server::DirectoryPayloadStore;

namespace {

struct Fixture {
  tests::TempDir dir;
  RealDisk disk;
  std::unique_ptr<DirectoryPayloadStore> store =
      std::move(*DirectoryPayloadStore::open(disk, dir / "payloads"));

  std::string incoming(const std::string& name, const std::string& bytes) {
    const std::string path = store->incoming_dir() + "/" + name;
    REQUIRE(replace_file(disk, path, as_bytes(bytes)));
    return path;
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "payload directory: takes over what has the digest, under its name") {
  const crypto::Digest256 name = crypto::sha256(as_bytes("payload"));
  CHECK(store->open(name).error().code() == ErrorCode::kNotFound);
  CHECK(store->local_path(name).error().code() == ErrorCode::kNotFound);

  const std::string path = incoming("x", "payload");
  REQUIRE(store->adopt(path, name));
  CHECK_FALSE(disk.status(path));
  const std::string local = *store->local_path(name);
  const std::string hex = to_hex(name);
  CHECK(local == dir / ("payloads/" + hex.substr(0, 2) + "/" + hex.substr(2, 2) + "/" + hex));
  const auto opened = store->open(name);
  REQUIRE(opened);
  Bytes bytes((*opened)->size());
  REQUIRE((*opened)->read_at(0, bytes));
  CHECK(as_text(bytes) == "payload");

  const std::string again = incoming("y", "payload");
  REQUIRE(store->adopt(again, name));
  CHECK_FALSE(disk.status(again));
}

TEST_CASE_METHOD(Fixture, "payload directory: refuses bytes with another digest and leaves them") {
  const crypto::Digest256 name = crypto::sha256(as_bytes("payload"));
  const std::string path = incoming("x", "other bytes");
  CHECK(store->adopt(path, name).error().code() == ErrorCode::kWrongImage);
  CHECK(disk.status(path));
  CHECK_FALSE(store->local_path(name));
  CHECK(store->adopt(dir / "absent", name).error().code() == ErrorCode::kNotFound);
  CHECK_FALSE(disk.status(dir / "absent"));
}
