// The primary's side of secondaries (docs/secondaries.md): who they are, and what the agent asks of
// them. A secondary that lies or does not answer harms nobody but itself.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/layout.h"
#include "agent/record.h"
#include "agent/secondary/ecu_state.h"
#include "agent/secondary/message.h"
#include "base/disk.h"
#include "manifest/server_time.h"

namespace layby::agent {

// The seam: one question to the ECU at an address, and its answer. Implementations: Unix sockets
// (secondary_link.h), and the simulated one of the tests.
class SecondaryLink {
 public:
  virtual ~SecondaryLink() = default;
  // kUnavailable or kTimeout where nobody answers; errors of messages that are none.
  virtual Result<secondary::Message> ask(const std::string& address,
                                         const secondary::Message& question,
                                         std::int64_t within_ms) = 0;
};

// An ECU of this car, as it was when the car was paired.
struct PairedEcu {
  std::string address;
  manifest::EcuSerial serial;
  manifest::HardwareId hardware;
  crypto::Ed25519PublicKey key{};
};

struct EcuList {
  std::vector<std::string> addresses;  // as provisioned
  std::vector<PairedEcu> paired{};     // who was there when the car was paired
};
// kInvalidArgument for an address that stands twice, or too many.
Result<void> write_ecu_list(Disk& disk, const Layout& layout, const EcuList& list);
// Empty where the car was provisioned without.
Result<EcuList> read_ecu_list(Disk& disk, const Layout& layout);

// Asks who is at each address, and has each sign a report to show that it holds its key.
// kUnavailable if one does not answer, kAlreadyExists for a serial that is met twice,
// kBadSignature.
Result<std::vector<PairedEcu>> meet_ecus(SecondaryLink& link, const EcuList& list);

// A file of the primary's trusted metadata, as received; empty: there is none of this name.
using MetadataSource = std::function<Result<std::optional<Bytes>>(const secondary::WantBody& want)>;

// Whether an ECU may be switched at this moment. It is asked before each one that is, as the ones
// before it may have taken minutes; its error is the answer of whoever asked for the switch.
using MaySwitch = std::function<Result<void>()>;

class Secondaries {
 public:
  // Without a link nobody is asked anything, and all that needs it is kUnavailable.
  Secondaries(EcuList list, SecondaryLink* link) : list_(std::move(list)), link_(link) {}

  bool is_empty() const { return list_.paired.empty(); }
  const std::vector<PairedEcu>& paired() const { return list_.paired; }

  // One nonce of each that answers.
  std::vector<manifest::TimeNonce> ask_for_nonces();
  // Roots, time and metadata to each; what each says to it is noted in `record.ecus`.
  void hand_on(const secondary::TimeBody& time, const MetadataSource& source, Record& record,
               UnixSeconds now);
  // Asks each for its status and notes it in `record.ecus`.
  void look(Record& record, UnixSeconds now);
  // A trial that no order knows of is taken back, once it may.
  void end_orphan_trials(const Record& record, const MaySwitch& may_switch);
  // Signed reports of those that answer, by serial.
  std::map<manifest::EcuSerial, Bytes> reports();

  // kWrongEcu, with the serials, where the car has not all ECUs of the order any more: then nothing
  // of it is staged, activated or checked, while `keep` and `revert` ask those that are left.
  Result<void> check_all_there(const OrderRecord& order) const;
  // An order's images, on every ECU that each is for. Each may be called again after a power cut.
  // kUnavailable where an ECU does not answer; else its own error.
  Result<void> stage(const manifest::EcuSerial& serial, const ImageProgress& image,
                     const ReadAt& content);
  Result<void> activate(const OrderRecord& order, const MaySwitch& may_switch);
  // All pass their check, and can still go both ways. One that has started anew is switched again.
  Result<void> check(const OrderRecord& order, const MaySwitch& may_switch);
  Result<void> keep(const OrderRecord& order, const MaySwitch& may_switch);
  // Asks all of them, whatever one says.
  Result<void> revert(const OrderRecord& order, const MaySwitch& may_switch);
  // None has an image of the order on trial.
  bool is_undone(const OrderRecord& order);

 private:
  const PairedEcu* find(const manifest::EcuSerial& serial) const;
  Result<Bytes> ask(const PairedEcu& ecu, const secondary::Message& question,
                    std::int64_t within_ms);
  Result<Bytes> ask(const PairedEcu& ecu, const secondary::Message& question);
  Result<void> command(const PairedEcu& ecu, secondary::MessageType type,
                       const crypto::Digest256& sha256);
  Result<secondary::EcuStatus> status(const PairedEcu& ecu);
  Result<void> hand_metadata(const PairedEcu& ecu, secondary::LookFor look_for,
                             const MetadataSource& source);
  Result<void> hand_on_to(const PairedEcu& ecu, const secondary::TimeBody& time,
                          const MetadataSource& source);
  Result<void> activate_one(const PairedEcu& ecu, const crypto::Digest256& sha256,
                            const MaySwitch& may_switch);
  Result<void> check_one(const PairedEcu& ecu, const crypto::Digest256& sha256,
                         const MaySwitch& may_switch);
  Result<void> keep_one(const PairedEcu& ecu, const crypto::Digest256& sha256,
                        const MaySwitch& may_switch);
  using Step = std::function<Result<void>(const PairedEcu&, const crypto::Digest256&)>;
  Result<void> for_each(const OrderRecord& order, const Step& step) const;

  EcuList list_;
  SecondaryLink* link_;
};

}  // namespace layby::agent
