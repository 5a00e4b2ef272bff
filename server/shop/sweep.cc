#include "server/shop/sweep.h"

#include "server/fleet/check_in.h"
#include "server/fleet/deadline.h"
#include "server/release/release_keys.h"
#include "server/shop/order_change.h"
#include "server/shop/order_due.h"

namespace layby::server {

namespace {

constexpr std::size_t kScanBatch = 256;

constexpr int kStepsMax = 100'000;  // of one order, each a commit of its own

// Brings about what is due for an order, one thing after the other.
Result<void> settle_order(const Services& services, const Deadline& deadline,
                          const std::string& key) {
  const manifest::Vin vin = TRY(manifest::Vin::parse(deadline.subject));
  for (int n = 0; n < kStepsMax; ++n) {
    const Settled settled =
        TRY(commit_with_retry(services.store, [&](Change& change) -> Result<Settled> {
          CarAffairs affairs = TRY(CarAffairs::begin(services, change, vin, "system"));
          Order order = TRY(load_order(change, vin, deadline.id));
          return settle_next(affairs, order);
        }));
    if (settled == Settled::kNothing) break;
  }
  // An entry that is not the order's would be met again by each sweep.
  return commit_with_retry(services.store, [&](Change& change) -> Result<void> {
    if (!TRY(change.get(key))) return {};
    const Order order = TRY(load_order(change, vin, deadline.id));
    if (!order.indexed || *order.indexed != deadline.at) change.erase(key);
    return {};
  });
}

Result<void> forget(const Services& services, const std::string& key) {
  return commit_with_retry(services.store, [&](Change& change) -> Result<void> {
    if (const std::optional<std::string> what = TRY(change.get(key))) change.erase(*what);
    change.erase(key);
    return {};
  });
}

// An entry that nobody looks at would be met again by each sweep.
Result<void> settle_silence(const Services& services, const Deadline& deadline,
                            const std::string& key) {
  if (services.check_ins != nullptr) return services.check_ins->settle(services, deadline, key);
  return services.store.commit({.expectations = {}, .writes = {{key, std::nullopt}}});
}

Result<void> do_due(const Services& services, const std::string& key) {
  const Deadline deadline = TRY(parse_deadline(key));
  switch (deadline.kind) {
    case DeadlineKind::kOrder: return settle_order(services, deadline, key);
    case DeadlineKind::kForget: return forget(services, key);
    case DeadlineKind::kSilence: return settle_silence(services, deadline, key);
  }
  return {};
}

// `w/<image>/<order id>`: the value is the VIN.
Result<void> stage_one(const Services& services, const KeyValue& waiting) {
  const manifest::Vin vin = TRY(manifest::Vin::parse(waiting.value));
  const std::string id = waiting.key.substr(waiting.key.rfind('/') + 1);
  return commit_with_retry(services.store, [&](Change& change) -> Result<void> {
    if (!TRY(change.get(waiting.key))) return {};
    CarAffairs affairs = TRY(CarAffairs::begin(services, change, vin, "system"));
    Order order = TRY(load_order(change, vin, id));
    return stage_if_ready(affairs, order);
  });
}

Result<void> stage_prefix(const Services& services, const std::string& prefix) {
  std::string begin = prefix;
  while (true) {
    const std::vector<KeyValue> waiting =
        TRY(services.store.scan(begin, after_prefix(prefix), kScanBatch));
    for (const KeyValue& entry : waiting) {
      if (const Result<void> staged = stage_one(services, entry); !staged)
        services.log(LogLevel::kError, "order not staged",
                     {{"key", entry.key}, {"error", staged.error().message()}});
    }
    if (waiting.size() < kScanBatch) return {};
    begin = waiting.back().key + '\0';
  }
}

}  // namespace

Result<std::optional<UnixSeconds>> sweep_due(const Services& services, UnixSeconds now,
                                             std::size_t done_max, const std::stop_token& stop) {
  std::size_t done_count = 0;
  std::string begin(kDeadlinePrefix);
  const std::string end = deadlines_end(now);
  while (true) {
    const std::vector<KeyValue> due = TRY(services.store.scan(begin, end, kScanBatch));
    for (const KeyValue& entry : due) {
      // What fails does not count: it must not keep the rest out for ever.
      if (stop.stop_requested() || done_count >= done_max) return now;
      // One bad record must not keep all later ones from being done.
      const Result<void> done = do_due(services, entry.key);
      if (done)
        ++done_count;
      else
        services.log(LogLevel::kError, "deadline not kept",
                     {{"key", entry.key}, {"error", done.error().message()}});
    }
    if (due.size() < kScanBatch) break;
    begin = due.back().key + '\0';
  }
  const std::vector<KeyValue> next =
      TRY(services.store.scan(end, after_prefix(kDeadlinePrefix), 1));
  if (next.empty()) return std::nullopt;
  return TRY(parse_deadline(next.front().key)).at;
}

Result<void> stage_waiting_orders(const Services& services, std::string_view image) {
  return stage_prefix(services, order_waits_prefix(image));
}

Result<void> stage_all_waiting_orders(const Services& services) {
  return stage_prefix(services, "w/");
}

}  // namespace layby::server
