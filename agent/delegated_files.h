// Delegated roles of the Image repository, as received, on the disk of who looks for images: one
// file for each role that the last look needed. They are candidates only: the engine verifies each
// again whenever it meets it (manifest/target_search.h), so that a file that is old, damaged or
// gone costs a request and nothing else.
#pragma once

#include <optional>
#include <set>
#include <string>

#include "base/disk.h"
#include "manifest/metadata.h"

namespace layby::agent {

class DelegatedFiles {
 public:
  // `disk` must outlive it. The directory, which nothing else lies in, is made with the first file.
  DelegatedFiles(Disk& disk, std::string directory)
      : disk_(&disk), directory_(std::move(directory)) {}

  // Nothing where there is none, or none that can be read.
  std::optional<Bytes> read(const std::string& role) const;
  // A file that cannot be written is not there: the role is fetched again.
  void write(const std::string& role, ByteSpan bytes) const;
  // All others go, also what a power cut has left half written. What cannot be removed now is so at
  // a later look.
  void keep_only(const std::set<std::string>& roles) const;

  // After a look that failed: what it needed so far stays, and more only as far as a look may need.
  // So looks that name other roles each time fill no disk.
  void keep_within_bounds(const std::set<std::string>& roles) const;

  // kBadFormat for a name that is too long for a file.
  static Result<void> check_name(const std::string& role);

 private:
  Disk* disk_;
  std::string directory_;
};

}  // namespace layby::agent
