// The trusted metadata on the disk: `root.json`, `timestamp.json`, `snapshot.json`, `targets.json`
// and one file for each delegated role that was met, percent-encoded as one segment. Each holds
// exactly the bytes received. Only what the engine accepted gets here.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/disk.h"
#include "manifest/repository.h"

namespace layby::tuf {

class MetadataDirectory {
 public:
  // `disk` must outlive it.
  MetadataDirectory(Disk& disk, std::string path) : disk_(disk), path_(std::move(path)) {}

  // Checks that the file is a root that is signed by its own keys, and puts its bytes here; the
  // directory is made where it is missing.
  Result<void> initialize(const std::string& root_path);

  // What lies here of the four roles. kNotFound without a root. What cannot be read of the others
  // is not there.
  Result<manifest::StoredRoles> load();

  // Of a delegated role; nothing where there is none, or none that can be read.
  std::optional<Bytes> delegated(const std::string& role);

  Result<void> apply(const std::vector<manifest::StoredChange>& changes);

 private:
  std::string path_of(manifest::Role role) const;
  Result<std::string> path_of(const manifest::StoredChange& change) const;
  Disk& disk_;
  std::string path_;
};

}  // namespace layby::tuf
