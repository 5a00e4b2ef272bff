// The primary's side of secondaries (docs/secondaries.md): who they are, and what the agent asks of
// them. A secondary that lies or does not answer harms nobody but itself.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/layout.h"
#include "agent/record.h"
#include "agent/secondary/ecu_state.h"
#include "agent/secondary/message.h"
#include "base/clock.h"
#include "base/disk.h"
#include "manifest/report.h"
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

struct MetEcu {
  PairedEcu ecu;
  Bytes report;  // signed by it just now
};
// Asks who is at each address, and has each sign a report to show that it holds its key.
// kUnavailable if one does not answer, kAlreadyExists for a serial that is met twice,
// kBadSignature.
Result<std::vector<MetEcu>> meet_ecus(SecondaryLink& link, const EcuList& list);

// A file of the primary's trusted metadata, as received; empty: there is none of this name.
using MetadataSource = std::function<Result<std::optional<Bytes>>(const secondary::WantBody& want)>;

// Whether an ECU may be switched at this moment. It is asked before each one that is, as the ones
// before it may have taken minutes; its error is the answer of whoever asked for the switch.
using MaySwitch = std::function<Result<void>()>;

// What the ECUs have to say to the server: of each either its signed report, which a server will
// take, or why there is none.
struct EcuReports {
  std::map<manifest::EcuSerial, Bytes> reports{};
  manifest::SilentEcus silent{};
  bool has_fallen_silent = false;  // one of them answered until now
};

class Secondaries {
 public:
  // Without a link nobody is asked anything, and all that needs it is kUnavailable. `clock` must
  // outlive it.
  Secondaries(EcuList list, SecondaryLink* link, const Clock& clock)
      : list_(std::move(list)), link_(link), clock_(&clock) {}

  bool is_empty() const { return list_.paired.empty(); }
  const std::vector<PairedEcu>& paired() const { return list_.paired; }

  // Rounds ask every ECU, over as many steps of the agent as it takes. In all rounds of one step an
  // ECU is waited for for half a minute; one that let a question run out of time is not asked again
  // in rounds for a quarter of an hour or more, and comes last until it has taken all the news. So
  // none holds up the agent, or the others. What an order's step asks is not bounded so.
  enum class Round { kMore, kOver };  // kMore: to be called again in the next step
  void begin_step() { step_began_ms_ = clock_->monotonic_ms(); }

  // A nonce of each that answers. The round ends after two minutes, whoever was not asked yet:
  // nonces are good for five.
  Round ask_for_nonces();
  std::vector<manifest::TimeNonce> nonces() const;
  // Roots, time and metadata to each that gave a nonce in the last round of these; a trial that no
  // order knows of is taken back, where `may_switch` lets it. What each says to it is noted in
  // `record.ecus`. The round ends four minutes after the first nonce, whoever was not asked yet.
  Round hand_on(const secondary::TimeBody& time, const MetadataSource& source, Record& record,
                UnixSeconds now, const MaySwitch& may_switch);
  // Signed reports; what each says is noted in `record.ecus`.
  Round ask_for_reports(Record& record, UnixSeconds now);
  // What the last round of these has brought; it is brought once.
  EcuReports take_reports() { return std::exchange(reports_, {}); }
  bool has_fallen_silent() const { return reports_.has_fallen_silent; }

  // kWrongEcu, with the serials, where the car has not all ECUs of the order any more: then nothing
  // of it is staged, activated or checked, while `keep` and `revert` ask those that are left.
  Result<void> check_all_there(const OrderRecord& order) const;
  // Each ECU of the order would take its image now: it has the image already, or the Director's
  // word for it, by a time of its own. Who does not answer is no reason to wait: the steps find
  // that out.
  bool have_word(const OrderRecord& order);
  // Counts what brings words: an ECU that was visited with the news of a look.
  std::uint64_t visits_with_news() const { return visits_with_news_; }

  // An order's images, on every ECU that each is for. Each may be called again after a power cut.
  // kUnavailable where an ECU does not answer; else its own error.
  Result<void> stage(const manifest::EcuSerial& serial, const ImageProgress& image,
                     const ReadAt& content);
  Result<void> activate(const OrderRecord& order, const MaySwitch& may_switch);
  // All pass their check, and can still go both ways. One that has started anew is switched again.
  Result<void> check(const OrderRecord& order, const MaySwitch& may_switch);
  // `again` brings an ECU its image once more, where that was damaged after it had passed.
  using Again = std::function<Result<void>(const manifest::EcuSerial&, const crypto::Digest256&)>;
  Result<void> keep(const OrderRecord& order, const MaySwitch& may_switch, const Again& again);
  // Asks all of them, whatever one says.
  Result<void> revert(const OrderRecord& order, const MaySwitch& may_switch);
  // None has an image of the order on trial.
  bool is_undone(const OrderRecord& order);

 private:
  // A round that is under way: who is still to be asked, the next one last.
  struct Visits {
    bool is_under_way = false;
    std::vector<const PairedEcu*> left{};
  };
  using Visit = std::function<void(const PairedEcu&)>;
  Round go_on(Visits& visits, const Visit& visit);
  std::vector<const PairedEcu*> in_turn() const;
  void forget_strangers(Record& record) const;
  EcuSeen& seen_in(Record& record, const PairedEcu& ecu) const;
  Result<secondary::EcuStatus> note_status(const PairedEcu& ecu, Record& record, UnixSeconds now);
  void take_report(const PairedEcu& ecu, Record& record, UnixSeconds now);
  Result<Bytes> report(const PairedEcu& ecu, Record& record, UnixSeconds now);
  static bool is_orphan_trial(const secondary::EcuStatus& said, const Record& record);
  void end_trial(const PairedEcu& ecu, const secondary::EcuStatus& said);

  const PairedEcu* find(const manifest::EcuSerial& serial) const;
  Result<secondary::Message> exchange(const PairedEcu& ecu, const secondary::Message& question,
                                      std::int64_t within_ms);
  void note_patience(const PairedEcu& ecu, const Result<secondary::Message>& said,
                     std::int64_t took_ms);
  Result<Bytes> ask(const PairedEcu& ecu, const secondary::Message& question,
                    std::int64_t within_ms);
  Result<Bytes> ask(const PairedEcu& ecu, const secondary::Message& question);
  Result<void> command(const PairedEcu& ecu, secondary::MessageType type,
                       const crypto::Digest256& sha256);
  Result<secondary::EcuStatus> status(const PairedEcu& ecu);
  Result<void> hand_metadata(const PairedEcu& ecu, secondary::LookFor look_for,
                             const MetadataSource& source);
  Result<void> give_news(const PairedEcu& ecu, const secondary::TimeBody& time,
                         const MetadataSource& source);
  Result<void> activate_one(const PairedEcu& ecu, const crypto::Digest256& sha256,
                            const MaySwitch& may_switch);
  Result<void> check_one(const PairedEcu& ecu, const crypto::Digest256& sha256,
                         const MaySwitch& may_switch);
  Result<void> keep_one(const PairedEcu& ecu, const crypto::Digest256& sha256,
                        const MaySwitch& may_switch);
  bool has_word(const PairedEcu& ecu, const crypto::Digest256& sha256);
  using Step = std::function<Result<void>(const PairedEcu&, const crypto::Digest256&)>;
  Result<void> for_each(const OrderRecord& order, const Step& step) const;

  EcuList list_;
  SecondaryLink* link_;
  const Clock* clock_;

  std::int64_t step_began_ms_ = 0;             // monotonic, as all times here
  std::optional<std::int64_t> visit_ends_ms_;  // set while a round asks
  struct Pause {
    std::int64_t until_ms = 0;
    std::uint32_t timeouts = 0;
  };
  std::map<manifest::EcuSerial, Pause> pauses_;
  Visits nonce_visits_, news_visits_, report_visits_;
  std::int64_t nonces_at_ms_ = 0;  // the first of them
  std::map<manifest::EcuSerial, manifest::TimeNonce> nonces_;
  EcuReports reports_;
  std::set<manifest::EcuSerial> refused_;  // the news of the last look
  std::uint64_t visits_with_news_ = 0;
};

}  // namespace layby::agent
