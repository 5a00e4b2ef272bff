// The car's word to the server: one signed report at a time, the whole picture.
//
// A report's counter and bytes are durable before it is sent; the same bytes are sent until the
// server has acknowledged them, and only then a new one is made, if anything changed.
#pragma once

#include <optional>

#include "agent/car_identity.h"
#include "agent/journal.h"
#include "agent/layout.h"
#include "agent/licences.h"
#include "agent/secondaries.h"
#include "agent/transport.h"
#include "base/disk.h"
#include "manifest/report.h"

namespace layby::agent {

class Outbox {
 public:
  // All must outlive it.
  Outbox(Disk& disk, Transport& transport, const Layout& layout, const CarIdentity& identity,
         const CarKeys& keys, const Licences& licences, Secondaries& secondaries)
      : disk_(disk),
        transport_(transport),
        layout_(layout),
        identity_(identity),
        keys_(keys),
        licences_(licences),
        secondaries_(secondaries) {}

  // A report is made and not acknowledged yet.
  bool is_pending(const Record& record) const {
    return record.report_counter > record.report_acknowledged;
  }
  // Whether the picture differs from the one in the last report, and by whose doing: the car's own,
  // or only what its secondaries say.
  enum class Changed { kNo, kByEcus, kByCar };
  Result<Changed> changed(const Record& record, UnixSeconds now) const;

  // Makes the next report, with those of the secondaries that were asked last
  // (Secondaries::ask_for_reports), and saves the journal.
  Result<void> make(Journal& journal, UnixSeconds now);

  // Sends what is pending. On success it is acknowledged, and the journal is saved. kUnavailable:
  // try again later. kForbidden: the server will never take it; it is given up, and the next
  // report is made when something changes. kCorrupt (it does not lie on the disk as it was made)
  // and kConflict (the server has seen this counter on another report: our record is older than
  // what we said) give it up too, and a new one is due. After both the next one has no word of the
  // secondaries.
  Result<void> send(Journal& journal, std::optional<std::int64_t>& retry_after_seconds);

 private:
  // Without counter, time and progress: what tells whether there is anything new to say.
  Result<crypto::Digest256> content(const Record& record, UnixSeconds now) const;
  Result<Bytes> sign(const manifest::EcuReport& report, const EcuReports& others) const;
  Result<Bytes> sign_what_fits(manifest::EcuReport report, EcuReports others) const;
  Result<Bytes> read_pending(const Record& record) const;
  Result<void> give_up(Journal& journal);
  manifest::EcuReport picture(const Record& record, UnixSeconds now) const;

  Disk& disk_;
  Transport& transport_;
  const Layout& layout_;
  const CarIdentity& identity_;
  const CarKeys& keys_;
  const Licences& licences_;
  Secondaries& secondaries_;
  // The server took the last report not, perhaps for what an ECU says in it: the car's own word
  // gets through without.
  bool is_without_ecus_ = false;
};

}  // namespace layby::agent
