#include "agent/certificate_renewal.h"

#include <catch2/catch.hpp>

#include "agent/layout.h"
#include "crypto/certificate.h"
#include "tests/agent/world.h"

using namespace layby;
using namespace layby::agent;
using namespace layby::tests;

TEST_CASE("a try in a time that was years ahead does not put the next one off for years (P2.6)") {
  World world;
  const Layout layout(kState);
  const auto own =
      crypto::make_authority(kVin, {.not_before = kStart, .not_after = kStart + 100 * kDaySeconds});
  REQUIRE(own);
  REQUIRE(replace_file(world.disk, layout.certificate(), as_bytes(own->certificate_pem)));
  const CarIdentity identity = read_identity(world.disk, layout).value();
  CertificateRenewal renewal(world.disk, world.server, layout, identity);
  const UnixSeconds half = kStart + 50 * kDaySeconds, ahead = half + 3650 * kDaySeconds;
  CHECK(!renewal.is_due(half - 1));
  REQUIRE(renewal.is_due(half));
  CHECK(!renewal.renew(half));  // the fake server issues none
  CHECK(!renewal.is_due(half + 3600));
  REQUIRE(renewal.is_due(half + kDaySeconds));
  CHECK(!renewal.renew(ahead));
  CHECK(!renewal.is_due(ahead + 3600));
  CHECK(renewal.is_due(half + 3600));
}
