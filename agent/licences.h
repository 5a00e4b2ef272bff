// The licences that the car holds: one sealed file a function, verified offline each time it is
// used (P1.3, P1.9). Another car's licence does nothing here, and `judge` says why.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/car_identity.h"
#include "agent/layout.h"
#include "agent/record.h"
#include "base/disk.h"
#include "manifest/licence.h"

namespace layby::agent {

struct LicenceVerdict {
  enum class State { kActive, kRevoked, kExpired, kRefused } state = State::kRefused;
  std::uint64_t counter = 0;
  std::optional<UnixSeconds> until;
  std::optional<UnixSeconds> ends;  // when it is off: `until` and the licence's grace
  std::string reason;               // why it is refused
};
std::string_view to_string(LicenceVerdict::State state);

class Licences {
 public:
  // All must outlive it.
  Licences(Disk& disk, const Layout& layout, const CarIdentity& identity,
           const crypto::SealSecretKey& seal_key)
      : disk_(disk), layout_(layout), identity_(identity), seal_key_(seal_key) {}

  // The licence that comes with a function's package, under the key that the package names.
  // A counter belongs to its key: what a stolen key has reached does not bind the one that a newer
  // release names, as TUF drops what replaced keys have signed (5.3.11). The way back is closed:
  // kLicenceRefused for another key than the function's that no newer release names. Else errors as
  // manifest::open_licence.
  Result<manifest::VerifiedLicence> open_for_package(ByteSpan sealed, const ImageProgress& image,
                                                     const Record& record) const;

  // An order without images does not name its function: the one that the licence opens for.
  // kNotFound where that is not known to this car yet; else errors as manifest::open_licence.
  struct Opened {
    manifest::FunctionId function;
    manifest::VerifiedLicence licence;
  };
  Result<Opened> open_for_installed(ByteSpan sealed, const Record& record) const;

  // Keeps it as the licence of its function; durable on return. Then it is the newest one in the
  // record, which the caller saves.
  Result<void> keep_for_package(ByteSpan sealed, const ImageProgress& image, Record& record);
  Result<manifest::FunctionId> keep_for_installed(ByteSpan sealed, Record& record);

  // What the kept licence of this function is worth at `now`.
  LicenceVerdict judge(const manifest::FunctionId& id, const Record& record, UnixSeconds now) const;

  // The same; a licence that is lost, unreadable or damaged is first put back from the order that
  // brought it, as long as the record has that.
  LicenceVerdict judge_or_restore(const manifest::FunctionId& id, const Record& record,
                                  UnixSeconds now);

  // A record that is older than the kept licences (the newer one was lost, or the power went
  // between the two) takes over their counters, and the key of one that came with a package: they
  // never go back.
  void catch_up(Record& record) const;

  // Of every function that is installed, or of which a licence lies in the directory.
  std::map<manifest::FunctionId, LicenceVerdict> judge_all(const Record& record,
                                                           UnixSeconds now) const;

 private:
  // A kept licence as it was opened last. The car asks for its verdict with each message of the
  // vehicle; the same bytes under the same key and mark are not opened and verified again.
  struct Known {
    Bytes sealed;
    std::string licence_key;
    manifest::LicenceMark newest;
    manifest::VerifiedLicence licence;
  };
  Result<manifest::VerifiedLicence> open(ByteSpan sealed, const manifest::FunctionId& id,
                                         const std::string& licence_key,
                                         const manifest::LicenceMark* newest) const;
  Result<manifest::VerifiedLicence> open_known(ByteSpan sealed, const manifest::FunctionId& id,
                                               const FunctionRecord& known) const;
  Result<void> store(const manifest::FunctionId& id, ByteSpan sealed);
  void catch_up_key(ByteSpan sealed, const manifest::FunctionId& id, Record& record) const;
  Result<manifest::VerifiedLicence> open_kept(Bytes sealed, const manifest::FunctionId& id,
                                              const FunctionRecord& known) const;

  Disk& disk_;
  const Layout& layout_;
  const CarIdentity& identity_;
  const crypto::SealSecretKey& seal_key_;
  mutable std::map<manifest::FunctionId, Known> known_;  // only a cache
};

}  // namespace layby::agent
