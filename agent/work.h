// Walking the orders: what the Director lists becomes records, and each record moves through the
// transition table, one bounded step at a time.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "agent/download.h"
#include "agent/facts.h"
#include "agent/install.h"
#include "agent/journal.h"
#include "agent/network.h"
#include "agent/policy.h"
#include "agent/trusted_time.h"
#include "agent/vehicle.h"

namespace layby::agent {

// Installations of one order before it fails.
constexpr std::uint32_t kAttemptsMax = 3;
// A car that cannot be asked in the middle of an installation: how often it is asked again, and how
// long until that counts as a failure.
constexpr std::int64_t kVehicleRetrySeconds = 2;
constexpr std::int64_t kVehicleSilenceMsMax = 10 * 60 * 1000;

class Work {
 public:
  // All must outlive it.
  Work(const Clock& clock, const Layout& layout, Journal& journal, TrustedTime& time,
       Vehicle& vehicle, Licences& licences, Downloads& downloads, Installer& installer,
       const NetworkPolicy& network, const DataBudget& budget)
      : clock_(clock),
        layout_(layout),
        journal_(journal),
        time_(time),
        vehicle_(vehicle),
        licences_(licences),
        downloads_(downloads),
        installer_(installer),
        network_(network),
        budget_(budget) {}

  // Takes over what the Director lists: new orders, licences that came, orders that are gone.
  Result<void> merge(const manifest::VerifiedPlan& plan);

  enum class Did { kSomething, kNothing };

  // Tidies up after a start: counts a resumption for what was under way, deletes what is left over.
  Result<void> resume();
  // Before the other looks of a step.
  void begin_step() { next_due_ = 0; }
  // The car cannot be asked for anything now, and that is nobody's failure: deadlines begin anew.
  void hold();
  // Takes what is past the point of no return one step further. The switch itself waits while
  // somebody drives: after a power cut, or a long preparation, the car may not stand any more.
  Result<Did> advance_started(const Facts& facts);
  // Notes exit-and-lock, and begins the first order whose conditions all hold.
  Result<Did> look_at_car(const Facts& facts);
  // Switches functions off whose term is over, and on again where time was only guessed; tells the
  // car of a term that was renewed. All of it while it is parked and left (P1.9, P4.1).
  Result<Did> keep_terms(const Facts& facts);
  // Takes licences that came: renewals of what runs, what is to be switched off. Needs no network,
  // and waits for no download.
  Result<Did> take_licences();
  // Takes the first order that is on its way into the car one step further, as far as the
  // connection lets it (P2.2, P2.3).
  Result<Did> download(const Connection& connection);

  // From now on `download` brings these orders into the car, however they are to be delivered, and
  // leaves all others alone. Without it: those over the air, and a partner's wait for the partner.
  void serve_only(std::function<bool(const OrderRecord&)> serves) { serves_ = std::move(serves); }

  // kConditionsNotMet unless it is known that nobody drives the car.
  Result<void> check_stands() const;

  // Something in the record wavers with what the car says: it is saved, now or within a minute.
  Result<void> keep_soon();

  // Tries again to delete what a sick medium did not let go of.
  void tidy();

  // Wall clock seconds at which `download` or `look_at_car` should be called again; 0 for none.
  UnixSeconds next_due() const { return next_due_; }

 private:
  void apply(OrderRecord& order, Event event);
  Result<void> move(OrderRecord& order, Event event);
  Result<void> note_waits(OrderRecord& order, std::vector<std::string> waits);
  Result<void> note_conditions(OrderRecord& order, std::vector<std::string> waits);
  Result<void> keep_conditions();
  Result<Did> look_at_order(OrderRecord& order, const Facts& facts, bool is_locked);
  bool waits_for_licence(const OrderRecord& order) const;
  Result<Did> begin(OrderRecord& order);
  bool have_word(const OrderRecord& order);
  Result<Did> activate(OrderRecord& order, const Facts& facts);
  // What keeps the car from being switched now.
  struct Hindrance {
    std::vector<std::string> waits{};  // names of conditions, or of Wait
    bool is_known = false;             // of one of them, and not only in doubt
    bool is_silent = false;            // the car says nothing
  };
  Hindrance hindrance(const OrderRecord& order, const Facts& facts) const;
  // Asks the car anew each time; `waits` says what kept it at the last one that was put off.
  MaySwitch may_switch(const OrderRecord& order, std::vector<std::string>& waits);
  Result<Did> wait_to_activate(OrderRecord& order, std::vector<std::string> waits);
  Result<Did> put_off(OrderRecord& order, std::vector<std::string> waits);
  Result<Did> switch_failed(OrderRecord& order, const Error& error, std::vector<std::string> waits);
  bool awaits_restart(const OrderRecord& order) const;
  UnixSeconds waited_seconds(Timing& timing);
  bool must_stand_still(OrderRecord& order, const Facts& facts);
  // Past the point of no return, and not stuck: nothing else begins beside it.
  OrderRecord* started_order() const;
  // What cannot be brought to its end, or taken back, is in the way of this order.
  bool waits_for_stuck(const OrderRecord& order) const;
  Result<Did> settle(OrderRecord& order, const DownloadOutcome& outcome);
  Result<Did> step_failed(OrderRecord& order, const Error& error);
  bool is_overdue(const OrderRecord& order) const;
  bool pauses(const OrderRecord& order);
  // What cannot be taken back yet, and what comes of it; work_undo.cc.
  Result<Did> retry_stuck(const Facts& facts);
  Result<Did> confirm(OrderRecord& order);
  Result<Did> retry_keep(OrderRecord& order);
  Result<Did> keep_failed(OrderRecord& order, const Error& error, std::vector<std::string> waits);
  Result<Did> roll_back(OrderRecord& order);
  Result<Did> undo_failed(OrderRecord& order, const Error& error);
  Result<Did> undone(OrderRecord& order);
  void count_undo_start(OrderRecord& order);
  bool is_blocked(const OrderRecord& order) const;
  Result<Did> take_licence(OrderRecord& order);
  Result<void> wait_for(OrderRecord& order, const Bar& bar);
  Result<bool> is_served(OrderRecord& order);
  void update(OrderRecord& order, const manifest::PlannedOrder& planned);
  void due_at(UnixSeconds time);
  void sweep();

  // The software slots; work_slots.cc.
  enum class Slots { kAgree, kLater, kNever };
  void adopt_slot(const BootSlots& slots);
  Result<BootSlots> slots_without_trial(BootSlots slots);
  Result<void> compare_slots();
  Result<void> look_at_slots();
  void look_at_slots_after_start();
  void count_trial_start(OrderRecord& order, const BootSlots& slots);
  Result<void> check_slots();
  Result<Slots> look_before_writing(OrderRecord& order);
  Result<void> check_switch(const OrderRecord& order);
  Result<void> note_boot_error(const OrderRecord& order);
  void disarm(const OrderRecord& order);

  const Clock& clock_;
  const Layout& layout_;
  Journal& journal_;
  TrustedTime& time_;
  Vehicle& vehicle_;
  Licences& licences_;
  Downloads& downloads_;
  Installer& installer_;
  const NetworkPolicy& network_;
  const DataBudget& budget_;
  std::function<bool(const OrderRecord&)> serves_;
  UnixSeconds next_due_ = 0;
  std::int64_t sweep_at_ms_ = 0;        // monotonic; 0: nothing is left over
  std::int64_t step_began_ms_ = 0;      // of the step that the car could not be asked for
  std::int64_t began_ms_ = 0;           // of the installation, in this run of the agent
  std::int64_t slots_at_ms_ = 0;        // monotonic; boot control is looked at again
  std::uint32_t slots_failures_ = 0;    // of these looks, in a row
  std::uint32_t slots_disagreed_ = 0;   // of those, in a row
  std::int64_t motion_known_ms_ = 0;    // when the car last said whether it is driven
  std::int64_t conditions_due_ms_ = 0;  // for the limit of `keep_conditions`
  bool conditions_kept_ = true;         // the journal has them
  // Monotonic; since when a trial of an order that waits to be activated may be armed.
  std::optional<std::int64_t> armed_ms_;
  UnixSeconds wait_seen_ = 0;  // trusted time at the last look at a switch that waits
  std::int64_t wait_seen_ms_ = 0;
  // Of orders whose ECUs lack the Director's word: Installer::visits_with_news when they were
  // asked.
  std::map<manifest::OrderId, std::uint64_t> wordless_;
  UnixSeconds locked_since_ = 0;  // the car stands left and locked; 0: it does not
  // Monotonic; of keep_terms, after a failure. For each by itself: one that fails for ever must not
  // keep the others on.
  std::map<manifest::FunctionId, std::int64_t> next_term_ms_;
};

}  // namespace layby::agent
