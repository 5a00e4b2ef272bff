// Looking for news: signed time, the Director's metadata for this car, the Image repository's with
// the delegated roles that speak of this car's images, and what all say together. Trusted files are
// kept on the disk as they are accepted.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/car_identity.h"
#include "agent/delegated_files.h"
#include "agent/journal.h"
#include "agent/layout.h"
#include "agent/secondaries.h"
#include "agent/transport.h"
#include "agent/trusted_time.h"
#include "base/disk.h"
#include "manifest/director.h"
#include "manifest/repository.h"
#include "manifest/target_search.h"

namespace layby::agent {

class News {
 public:
  // Loads what is trusted. kNotFound without a root. All must outlive it.
  static Result<News> open(Disk& disk, Transport& transport, const Layout& layout,
                           const CarIdentity& identity, Secondaries& secondaries);

  // Asked between two requests of a look: true ends it with kCancelled.
  void stop_when(std::function<bool()> interrupted) { interrupted_ = std::move(interrupted); }

  // One look, a handful of requests. Takes signed time into `time` and the journal's record, which
  // the caller saves, also after an error. `retry_after_seconds` is set where the server asked for
  // patience. The time is asked for on behalf of the secondaries that gave a nonce last
  // (Secondaries::ask_for_nonces), too.
  Result<manifest::VerifiedPlan> poll(TrustedTime& time, Record& record,
                                      std::optional<std::int64_t>& retry_after_seconds);

  // The last look ended because the server does not have a document that a verified one names.
  bool is_incomplete() const { return is_incomplete_; }

  // After a look that went well: hands time and metadata on to the secondaries, as they came, over
  // as many steps as it takes; secondaries.h. What they say is noted in `record.ecus`.
  void begin_handing_on();
  bool is_handing_on() const { return is_handing_on_; }
  void hand_on(Record& record, UnixSeconds now, const MaySwitch& may_switch);

  // The same look at an offline package, which the transport answers from. The package's time moves
  // ours forward or not at all. Whole or not at all: nothing is kept on the disk before everything
  // verifies and `check` agrees; on an error drop this object, `time` and `record`.
  Result<manifest::VerifiedPlan> take_package(
      TrustedTime& time, Record& record,
      const std::function<Result<void>(const manifest::VerifiedPlan&)>& check);

 private:
  News(Disk& disk, Transport& transport, const Layout& layout, const CarIdentity& identity,
       Secondaries& secondaries, manifest::TrustedRepository director,
       manifest::TrustedRepository image)
      : disk_(&disk),
        transport_(&transport),
        layout_(&layout),
        identity_(&identity),
        secondaries_(&secondaries),
        delegated_(disk, layout.delegated_trust()),
        director_(std::move(director)),
        image_(std::move(image)) {}

  struct Source {
    manifest::TrustedRepository& repository;
    std::string url;        // of its metadata directory
    std::string directory;  // where its trusted files lie
    std::string& etag;      // of the trusted timestamp; empty if it is not known
  };
  Result<void> reload(Record& record);
  Source director(Record& record);
  Result<void> fetch_time(TrustedTime& time, Record& record);
  Result<UnixSeconds> fetch_package_time(TrustedTime& time, Record& record);
  Result<void> with_newer_roots(Record& record, const std::function<Result<void>()>& attempt);
  Result<manifest::VerifiedPlan> look(UnixSeconds now, Record& record);
  manifest::CarFacts car_facts(const Record& record) const;
  Result<void> look_for_images(UnixSeconds now, Record& record, const manifest::CarFacts& car);
  Result<void> search(const Source& source, const manifest::AssignedTarget& image, UnixSeconds now,
                      manifest::VerifiedRoles& roles);
  void drop_other_roles();
  enum class Until { kRoots, kTargets };
  Result<void> refresh(const Source& source, UnixSeconds now, Until until);
  template <typename Walk>
  Result<void> take_one(const Source& source, Walk& walk, const manifest::MetadataRequest& request);
  template <typename Walk>
  Result<void> fetch_one(const Source& source, Walk& walk,
                         const manifest::MetadataRequest& request);
  Result<HttpResponse> get(HttpRequest request);
  Result<std::optional<Bytes>> file_for_ecus(const secondary::WantBody& want);
  Result<std::optional<Bytes>> old_root(const std::string& path);
  std::optional<Bytes> delegated_file(const std::string& file) const;
  Result<void> persist(const Source& source, std::vector<manifest::StoredChange> changes);
  Result<void> store(const std::string& directory, const manifest::StoredChange& change);

  Disk* disk_;
  Transport* transport_;
  const Layout* layout_;
  const CarIdentity* identity_;
  Secondaries* secondaries_;
  DelegatedFiles delegated_;
  manifest::TrustedRepository director_;
  manifest::TrustedRepository image_;
  std::function<bool()> interrupted_;
  std::optional<std::int64_t> retry_after_seconds_;
  bool is_incomplete_ = false;
  struct Held {
    std::string directory;
    manifest::StoredChange change;
  };
  std::optional<std::vector<Held>> held_;  // set: what is accepted waits here for the whole
  secondary::TimeBody time_;               // the last signed one, and whom it answers
  bool is_handing_on_ = false;
  // Of one look, for all ECUs together: what they have the server asked for.
  struct OldRoots {
    std::map<std::string, std::optional<Bytes>> answers{};  // by path; empty: there is none
    std::uint64_t bytes = 0;
    bool has_failed = false;
  };
  OldRoots old_roots_;
  // Delegated ones that this look needed so far; nothing where the Director names nothing.
  std::optional<std::set<std::string>> roles_;
  bool is_ahead_of_disk_ = false;  // something was accepted that could not be kept
};

}  // namespace layby::agent
