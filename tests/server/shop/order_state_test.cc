// The table of order states, seen from outside.
#include "server/shop/order_state.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>
#include <set>
#include <vector>

using namespace layby;
using namespace layby::server;

namespace {

std::string api_page() {
  std::ifstream file(std::string(LAYBY_SOURCE_DIR) + "/docs/api.md");
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string quoted(std::string_view name) {
  return "`" + std::string(name) + "`";
}

void append(std::string& list, std::string_view separator, const std::string& text) {
  if (!list.empty()) list += separator;
  list += text;
}

// A row of the table of moves, as docs/api.md prints it.
std::string moves_of(OrderPhase phase) {
  std::vector<std::pair<OrderPhase, std::string>> targets;  // in the order of the causes
  std::string refused;
  for (std::size_t c = 0; c < kOrderCauses; ++c) {
    const auto cause = static_cast<OrderCause>(c);
    const OrderStep step = order_step(phase, cause);
    const std::string name(to_string(cause));
    if (step.kind == OrderStep::Kind::kTooLate) append(refused, ", ", name + ": `too-late`");
    if (step.kind == OrderStep::Kind::kWrong) append(refused, ", ", name + ": `wrong-state`");
    if (step.kind != OrderStep::Kind::kMove) continue;
    const auto found = std::find_if(targets.begin(), targets.end(),
                                    [&](const auto& target) { return target.first == step.to; });
    if (found == targets.end())
      targets.emplace_back(step.to, name);
    else
      append(found->second, ", ", name);
  }
  std::string moves;
  for (const auto& [to, causes] : targets)
    append(moves, "; ", causes + " → " + quoted(to_string(to)));
  return "| " + quoted(to_string(phase)) + " | " + (moves.empty() ? "–" : moves) + " | " +
         (refused.empty() ? "–" : refused) + " |\n";
}

std::string entry_of(OrderPhase phase) {
  const OrderEntry& entry = order_entry(phase);
  const std::string message = entry.message ? quoted(to_string(*entry.message)) : "–";
  return "| " + quoted(to_string(phase)) + " | " + message + " | " +
         std::string(to_string(entry.money)) + " | " + std::string(to_string(entry.car)) + " |\n";
}

}  // namespace

TEST_CASE("docs/api.md prints the table of the life of an order as it is") {
  std::string moves = "| state | what moves it | what is refused |\n|---|---|---|\n";
  std::string entries = "| entering | message | money | the car |\n|---|---|---|---|\n";
  for (std::size_t p = 0; p < kOrderPhases; ++p) {
    moves += moves_of(static_cast<OrderPhase>(p));
    entries += entry_of(static_cast<OrderPhase>(p));
  }
  CHECK_THAT(api_page(), Catch::Contains(moves));
  CHECK_THAT(api_page(), Catch::Contains(entries));
}

TEST_CASE(
    "who may cause what: the owner, the vehicle and nobody else but the clock and ourselves") {
  for (std::size_t c = 0; c < kOrderCauses; ++c) {
    const auto cause = static_cast<OrderCause>(c);
    const bool reported = std::string(to_string(cause)).rfind("reported-", 0) == 0;
    CHECK((actor_of(cause) == OrderActor::kVehicle) == reported);
  }
}

TEST_CASE("every order state is reached from an order, and has its name in docs/api.md") {
  const std::string api = api_page();
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
       {OrderPhase::kDownloaded, OrderPhase::kActivating, OrderPhase::kActive}) {
    CHECK(order_step(phase, OrderCause::kOwnerCancels).kind == OrderStep::Kind::kTooLate);
    CHECK(order_step(phase, OrderCause::kWindowOver).kind == OrderStep::Kind::kStay);
    CHECK(order_step(phase, OrderCause::kConsentWithdrawn).kind == OrderStep::Kind::kStay);
  }
}
