#include "agent/requirements.h"

#include <algorithm>
#include <set>

#include "agent/durations.h"
#include "base/assert.h"

namespace layby::agent {
namespace {

constexpr std::uint64_t kSecondsAPercent = 600;

int energy_percent(std::uint64_t seconds) {
  const auto row = std::find_if(
      kConditionTable.begin(), kConditionTable.end(),
      [](const ConditionRow& known) { return known.condition == Condition::kTractionBattery; });
  LAYBY_ASSERT(row != kConditionTable.end());
  const std::uint64_t used = (seconds + kSecondsAPercent - 1) / kSecondsAPercent;
  return static_cast<int>(std::min<std::uint64_t>(100, used + row->band / 1000));
}

std::int64_t rest_millivolts(std::uint64_t seconds) {
  if (seconds <= 600) return kLowVoltageMillivoltsMin;
  return kLowVoltageMillivoltsMin + (seconds <= 3600 ? 200 : 400);
}

}  // namespace

Requirements requirements_of(const OrderRecord& order, const Record& record) {
  const std::uint64_t seconds = 2 * shown_seconds(order, record);
  Requirements requirements;
  requirements.low_voltage_millivolts_min = rest_millivolts(seconds);
  // A licence that is switched on or off needs no more than the car's own threshold.
  if (!order.images.empty()) requirements.battery_percent_min = energy_percent(seconds);
  for (const ImageProgress& image : order.images) {
    requirements.battery_percent_min =
        std::max(requirements.battery_percent_min, static_cast<int>(image.battery_percent_min));
  }
  requirements.package = order.demands;
  return requirements;
}

void note_demands(OrderRecord& order) {
  std::set<std::string> known;
  order.demands.clear();
  for (const ImageProgress& image : order.images) {
    for (const manifest::PackageCondition& condition : image.conditions) {
      auto parsed = manifest::ConditionExpression::parse(condition.expression);
      LAYBY_ASSERT(parsed);  // an order with one that cannot be read was refused
      if (known.insert(parsed->text()).second)
        order.demands.push_back({std::move(*parsed), condition});
    }
  }
}

std::set<std::string> signals_of_packages(const Record& record) {
  std::set<std::string> names;
  for (const OrderRecord& order : record.orders)
    for (const PackageDemand& demand : order.demands)
      for (const manifest::SignalTest& test : demand.expression.tests()) names.insert(test.signal);
  return names;
}

std::vector<std::string> names_of(const std::vector<Reason>& reasons,
                                  const Requirements& requirements) {
  std::vector<std::string> out;
  for (const Reason& reason : reasons) {
    out.emplace_back(to_string(reason.condition));
    if (reason.condition == Condition::kPackage)
      out.back() += ": " + requirements.package[reason.demand].expression.text();
  }
  return out;
}

}  // namespace layby::agent
