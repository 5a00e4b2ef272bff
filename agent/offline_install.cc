#include "agent/offline_install.h"

#include <algorithm>
#include <set>

#include "agent/car_identity.h"
#include "agent/data_budget.h"
#include "agent/download.h"
#include "agent/install.h"
#include "agent/layout.h"
#include "agent/licences.h"
#include "agent/news.h"
#include "agent/offline_transport.h"
#include "agent/secondaries.h"
#include "agent/work.h"
#include "manifest/offline_package.h"

namespace layby::agent {
namespace {

using manifest::OfflinePackage;

// In the workshop nothing is installed: nobody is asked for anything.
class NoVehicle final : public Vehicle {
 public:
  explicit NoVehicle(OfflineOptions::AskSlots ask_slots) : ask_slots_(std::move(ask_slots)) {}
  Result<std::optional<BootSlots>> boot_slots() override {
    return ask_slots_ ? ask_slots_() : std::optional<BootSlots>{};
  }
  const Facts& facts() override { return facts_; }
  Result<void> activate_function(const std::string&, const std::string&,
                                 const std::string&) override {
    return nobody();
  }
  Result<void> deactivate_function(const std::string&) override { return nobody(); }
  Result<void> boot_software(BootStep, const std::string&) override { return nobody(); }
  Result<void> check_software(const std::string&) override { return nobody(); }
  Result<void> reload_maps(const std::string&) override { return nobody(); }
  Result<void> show(const Screen&) override { return nobody(); }

 private:
  static Result<void> nobody() {
    return fail(ErrorCode::kUnavailable, "a package is taken without the vehicle");
  }
  Facts facts_;
  const OfflineOptions::AskSlots ask_slots_;
};

// Only what some order names belongs into a package.
Result<void> check_payloads_ordered(const OfflinePackage& package,
                                    const manifest::VerifiedPlan& plan) {
  std::set<crypto::Digest256> ordered;
  for (const manifest::PlannedOrder& order : plan.orders())
    for (const manifest::PlannedImage& image : order.images)
      for (const manifest::Payload& payload : image.payloads) ordered.insert(payload.sha256);
  for (const crypto::Digest256& payload : package.payloads())
    if (!ordered.contains(payload))
      return fail(ErrorCode::kBadFormat, "the package holds payload {}, which no order names",
                  to_hex(payload));
  return {};
}

bool has_one_of(const OfflinePackage& package, const std::vector<manifest::Payload>& payloads) {
  return std::ranges::any_of(
      payloads, [&](const auto& payload) { return package.has_payload(payload.sha256); });
}

// In the package, and of use to what the slot holds.
bool fits(const OfflinePackage& package, const manifest::Payload& payload,
          const ImageProgress& image, const Record& record) {
  if (!package.has_payload(payload.sha256)) return false;
  const auto slot = record.slots.find(image.slot);
  return !payload.base || (slot != record.slots.end() && slot->second.sha256 == *payload.base);
}

// An order whose bytes are not in the package is left as it is: it may come over the air.
bool serves(const OfflinePackage& package, const OrderRecord& order, const Record& record) {
  return std::ranges::all_of(order.images, [&](const ImageProgress& image) {
    return image.complete || std::ranges::any_of(image.payloads, [&](const auto& payload) {
             return fits(package, payload, image, record);
           });
  });
}

// It has something for the order, and not what this car needs.
bool misses(const OfflinePackage& package, const OrderRecord& order, const Record& record) {
  return !serves(package, order, record) &&
         std::ranges::any_of(order.images, [&](const ImageProgress& image) {
           return !image.complete && has_one_of(package, image.payloads);
         });
}

// What was begun over the air with a payload that the package lacks, or whose base is not there any
// more, begins anew with one that it has.
void choose_from(const OfflinePackage& package, OrderRecord& order, const Record& record) {
  order.next_try = 0;
  order.failures_in_row = 0;
  for (ImageProgress& image : order.images) {
    if (image.complete || !image.chosen || fits(package, *image.payload(), image, record)) continue;
    image.forget();
  }
}

// All that a run needs, put together as in Agent, but without a server and a vehicle.
struct Run {
  Run(Disk& disk, const Clock& clock, const OfflineOptions& options, const OfflinePackage& from,
      Layout where, CarIdentity who, CarKeys with, EcuList ecus, Journal kept)
      : package(from),
        layout(std::move(where)),
        identity(std::move(who)),
        keys(std::move(with)),
        journal(std::move(kept)),
        transport(package),
        time(clock, journal.record()),
        vehicle(options.ask_slots),
        licences(disk, layout, identity, keys.seal.secret_key),
        budget(time, 0),
        downloads(disk, transport, clock, layout, journal, budget, options.interrupted),
        secondaries(std::move(ecus), nullptr, clock),  // they are asked by the daemon
        installer(disk, layout, vehicle, licences, secondaries),
        work(clock, layout, journal, time, vehicle, licences, downloads, installer, network,
             budget) {
    downloads.take_only(
        [this](const manifest::Payload& payload) { return package.has_payload(payload.sha256); });
    work.serve_only(
        [this](const OrderRecord& order) { return serves(package, order, journal.record()); });
  }

  const OfflinePackage& package;
  const Layout layout;
  const CarIdentity identity;
  const CarKeys keys;
  Journal journal;
  OfflineTransport transport;
  TrustedTime time;
  NoVehicle vehicle;
  const NetworkPolicy network{};
  Licences licences;
  DataBudget budget;
  Downloads downloads;
  Secondaries secondaries;
  Installer installer;
  Work work;
};

Result<std::vector<manifest::OrderId>> take_orders(Run& run, const manifest::VerifiedPlan& plan) {
  std::vector<manifest::OrderId> taken;
  TRY_VOID(run.work.merge(plan));
  for (OrderRecord& order : run.journal.record().orders) {
    if (!serves(run.package, order, run.journal.record())) continue;
    choose_from(run.package, order, run.journal.record());
    taken.push_back(order.id);
  }
  TRY_VOID(run.journal.save());
  return taken;
}

Result<void> fetch_all(Run& run, const OfflineOptions& options) {
  for (;;) {
    if (options.interrupted && options.interrupted())
      return fail(ErrorCode::kCancelled, "interrupted; the same command goes on from here");
    run.work.begin_step();
    Work::Did did = TRY(run.work.take_licences());
    if (did == Work::Did::kNothing) did = TRY(run.work.download(Connection{}));
    if (options.progress) options.progress(run.journal.record());
    if (did == Work::Did::kNothing) return {};
  }
}

}  // namespace

bool OfflineOrder::is_taken() const {
  switch (state) {
    case State::kIdle:
    case State::kOffered:
    case State::kDownloading:
    case State::kFailed:
    case State::kRefused: return false;
    case State::kDownloaded:
    case State::kWaiting:
    case State::kInstalling:
    case State::kActivating:
    case State::kConfirming:
    case State::kRollingBack:
    case State::kActive:
    case State::kDeactivated: return true;
  }
  return false;
}

Result<std::vector<OfflineOrder>> install_offline(Disk& disk, const Clock& clock,
                                                  const OfflineOptions& options) {
  Layout layout(options.state_directory);
  CarIdentity identity = TRY(read_identity(disk, layout));
  CarKeys keys = TRY(read_keys(disk, layout));
  const auto archive = TRY(disk.open_read(options.package_path));
  const OfflinePackage package = TRY(OfflinePackage::open(*archive));
  Journal journal = TRY(Journal::open(disk, layout.directory()));
  EcuList ecus = TRY(read_ecu_list(disk, layout));
  Run run(disk, clock, options, package, std::move(layout), std::move(identity), std::move(keys),
          std::move(ecus), std::move(journal));
  News news = TRY(News::open(disk, run.transport, run.layout, run.identity, run.secondaries));
  // From here on bytes are compared with what is signed; nothing is kept before all of it holds.
  const auto plan = TRY(news.take_package(
      run.time, run.journal.record(), [&](const manifest::VerifiedPlan& verified) -> Result<void> {
        TRY_VOID(check_payloads_ordered(package, verified));
        return package.check_payloads();
      }));
  const std::vector<manifest::OrderId> taken = TRY(take_orders(run, plan));
  TRY_VOID(fetch_all(run, options));
  std::vector<OfflineOrder> orders;
  for (const manifest::OrderId& id : taken) {
    const OrderRecord& order = *run.journal.record().order(id);
    orders.push_back(
        {.id = id, .state = order.state, .error = order.error, .waiting_for = order.waiting_for});
  }
  for (const OrderRecord& order : run.journal.record().orders)
    if (misses(package, order, run.journal.record()))
      orders.push_back({.id = order.id,
                        .state = order.state,
                        .error = Error(ErrorCode::kWrongBase,
                                       "the package has nothing for what this car holds; a whole "
                                       "one has"),
                        .waiting_for = {}});
  return orders;
}

}  // namespace layby::agent
