// Putting an order's images live, at one instant, and undoing it.
//
// Each function may be called again after a power cut at any point in it: it finds out from the
// disk what is done already. The caller saves the journal between them.
#pragma once

#include "agent/layout.h"
#include "agent/licences.h"
#include "agent/record.h"
#include "agent/secondaries.h"
#include "agent/vehicle.h"
#include "base/disk.h"

namespace layby::agent {

class Installer {
 public:
  // All must outlive it.
  Installer(Disk& disk, const Layout& layout, Vehicle& vehicle, Licences& licences,
            Secondaries& secondaries)
      : disk_(disk),
        layout_(layout),
        vehicle_(vehicle),
        licences_(licences),
        secondaries_(secondaries) {}

  // What can be known before it begins: kinds that do not mix, a licence that does not open.
  // Changes nothing.
  Result<void> check(const OrderRecord& order, const Record& record) const;
  // The licence of an installation is over at `now`: the Director issues it anew, and time may only
  // be guessed, so it is waited for and not refused.
  bool is_lapsed(const OrderRecord& order, const Record& record, UnixSeconds now) const;
  // Which function an order is about, where it is about one that this car knows.
  std::optional<manifest::FunctionId> function_in(const OrderRecord& order,
                                                  const Record& record) const;

  // kInstalling: puts what is to become live beside what is live, and reads it back from there.
  Result<void> prepare(const OrderRecord& order, Record& record);
  // After `prepare` failed: images whose bytes the disk does not hold any more, neither where they
  // came in nor where they were put, are marked as to be fetched again.
  void forget_damaged(OrderRecord& order, const Record& record) const;
  // kActivating: the switch. Maps: one rename. Software: boots the slot on trial. Function: the
  // car is told. Here and below `may_switch` is asked where secondaries are switched: each is a
  // switch by itself.
  Result<void> activate(const OrderRecord& order, const Record& record, UnixSeconds now,
                        const MaySwitch& may_switch);
  // As Secondaries has it.
  bool have_word(const OrderRecord& order);
  std::uint64_t visits_with_news() const;
  // kConfirming, of software of secondaries: every one has proved itself, and can still go back.
  // The caller writes down that now all of them keep it, before `confirm`.
  Result<void> check_set(const OrderRecord& order, const MaySwitch& may_switch);
  // kWrongEcu where an ECU of the order was taken out of the car: the others may keep what they
  // have.
  Result<void> check_all_there(const OrderRecord& order) const;
  // kConfirming: the proof. On success the record says what is live; the caller saves it together
  // with the order's end.
  Result<Event> confirm(const OrderRecord& order, Record& record, const MaySwitch& may_switch);
  // kRollingBack: as it was before `activate`.
  Result<void> roll_back(const OrderRecord& order, const Record& record, UnixSeconds now,
                         const MaySwitch& may_switch);

  // Takes the newer licence of a function that is on into the place of the older one, at once:
  // nothing is switched (P1.9). The caller saves the record.
  Result<void> renew(const OrderRecord& order, Record& record);
  // The function that an order without images speaks of runs in this car. kNotFound, where it is
  // not installed yet; errors of a licence as `check`.
  enum class Runs { kYes, kNo };
  Result<Runs> function_runs(const OrderRecord& order, const Record& record) const;

  // What lies on the disk is as before `activate`, whatever the car did of it; of software: what
  // runs and what would be booted.
  bool is_undone(const OrderRecord& order, const Record& record) const;

  // The bytes that a function's slot holds are those that were installed; kWrongImage.
  Result<void> check_function(const manifest::FunctionId& id, const Record& record) const;

  // Deletes what neither the record nor an order on its way needs: old regions, sets, packages.
  // What a sick medium does not let go of is no reason to keep a car from working: it is tried
  // again.
  enum class Swept { kAll, kSomeStayed };
  Swept sweep(const Record& record);

 private:
  manifest::ImageKind kind(const OrderRecord& order) const;
  bool is_here(const OrderRecord& order, std::size_t index, const Record& record) const;
  Result<void> prepare_map_set(const OrderRecord& order, const Record& record);
  Result<void> place_region(const OrderRecord& order, std::size_t index, const Record& record);
  Result<void> place_package(const OrderRecord& order, std::size_t index, const Record& record);
  Result<void> check_software(const OrderRecord& order, const Record& record);
  Result<void> keep_licence(const OrderRecord& order, Record& record);
  // Software of secondaries; install_ecus.cc.
  Result<void> check_ecu_images(const OrderRecord& order) const;
  std::string ecu_image_path(const OrderRecord& order, std::size_t index,
                             const Record& record) const;
  Result<void> stage_ecu_images(const OrderRecord& order, const Record& record);
  Result<void> stage_again(const OrderRecord& order, const Record& record,
                           const manifest::EcuSerial& serial, const crypto::Digest256& sha256);
  Result<void> keep_ecu_images(const OrderRecord& order, Record& record,
                               const MaySwitch& may_switch);
  Result<void> switch_map_set(std::uint64_t number);
  Result<void> switch_function(const OrderRecord& order, const Record& record, UnixSeconds now);

  Disk& disk_;
  const Layout& layout_;
  Vehicle& vehicle_;
  Licences& licences_;
  Secondaries& secondaries_;
};

// kWrongImage unless the bytes have this digest and length.
Result<void> check_image(const ReadAt& content, const ImageProgress& image,
                         const std::string& path);

}  // namespace layby::agent
