// The table of order states, seen from outside.
#include "server/shop/order_state.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>
#include <set>

using namespace layby;
using namespace layby::server;

TEST_CASE("every order state is reached from an order, and has its name in docs/api.md") {
  std::ifstream file(std::string(LAYBY_SOURCE_DIR) + "/docs/api.md");
  const std::string api{std::istreambuf_iterator<char>(file), {}};
  std::set<OrderPhase> reached{OrderPhase::kOrdered};
  for (std::size_t round = 0; round < kOrderPhases; ++round) {
    for (const OrderPhase from : std::set<OrderPhase>(reached)) {
      for (std::size_t cause = 0; cause < kOrderCauses; ++cause) {
        const OrderStep step = order_step(from, static_cast<OrderCause>(cause));
        if (step.kind == OrderStep::Kind::kMove) reached.insert(step.to);
      }
    }
  }
  CHECK(reached.size() == kOrderPhases);
  for (const OrderPhase phase : reached) {
    const std::string name(to_string(phase));
    CHECK(*parse_order_phase(name) == phase);
    CHECK_THAT(api, Catch::Contains("`" + name + "`"));
  }
  CHECK_FALSE(parse_order_phase("no-such-state"));
}

TEST_CASE("P4.4: what has been downloaded is cancelled by nobody") {
  for (const OrderPhase phase :
       {OrderPhase::kDownloaded, OrderPhase::kInstalling, OrderPhase::kActive}) {
    CHECK(order_step(phase, OrderCause::kOwnerCancels).kind == OrderStep::Kind::kTooLate);
    CHECK(order_step(phase, OrderCause::kWindowOver).kind == OrderStep::Kind::kStay);
    CHECK(order_step(phase, OrderCause::kConsentWithdrawn).kind == OrderStep::Kind::kStay);
  }
}
