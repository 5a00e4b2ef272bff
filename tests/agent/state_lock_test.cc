#include "agent/state_lock.h"

#include <catch2/catch.hpp>

#include "tests/temp_dir.h"

using namespace layby;
using namespace layby::agent;
using namespace layby::tests;
using Holder = StateLock::Holder;

TEST_CASE("one agent a directory; who only looks does not stand in its way") {
  const TempDir dir;
  const std::string path = dir.path() + "/lock";
  CHECK(StateLock::look(path).value() == Holder::kNobody);
  {
    const auto lock = StateLock::take(path);
    REQUIRE(lock.has_value());
    CHECK(StateLock::look(path).value() == Holder::kAnAgent);
    const auto second = StateLock::take(path);
    REQUIRE(!second.has_value());
    CHECK(second.error().code() == ErrorCode::kConflict);
    CHECK(StateLock::look(path).value() == Holder::kAnAgent);
  }
  CHECK(StateLock::look(path).value() == Holder::kNobody);
  CHECK(StateLock::take(path).has_value());
}

TEST_CASE("a lock that cannot be tried is no running agent") {
  const TempDir dir;
  const auto lock = StateLock::take(dir.path() + "/absent/lock");
  REQUIRE(!lock.has_value());
  CHECK(lock.error().code() == ErrorCode::kIo);
}
