// One run of the client: metadata refreshed once, then targets fetched, as TUF 1.0.34, section 5
// says. The engine is manifest/repository.h; this is the disk and the network around it.
#pragma once

#include <chrono>
#include <string>

#include "base/clock.h"
#include "base/disk.h"
#include "manifest/repository.h"
#include "manifest/target_search.h"
#include "tuf/http_client.h"
#include "tuf/metadata_directory.h"

namespace layby::tuf {

class Session {
 public:
  // Loads what is trusted; makes no request. `disk` and `http` must outlive it. `start_time` is the
  // one time of this run (5.1).
  // `metadata_time` is what all requests for metadata together may take: kSlowRetrieval above it.
  // The caller holds the directory's lock (directory_lock.h), also when it asks for the time.
  static Result<Session> open(Disk& disk, HttpClient& http, const std::string& metadata_directory,
                              std::string metadata_url, UnixSeconds start_time,
                              std::chrono::milliseconds metadata_time);

  // What was accepted before an error stays accepted, and on the disk.
  Result<void> refresh();

  // After a refresh. Looks down the delegations as far as needed; makes no request for what is
  // there already. On an error the directory is as it was.
  Result<void> download(const std::string& target_name, const std::string& target_directory,
                        const std::string& target_base_url);

 private:
  Session(Disk& disk, HttpClient& http, MetadataDirectory metadata, std::string metadata_url,
          UnixSeconds start_time, std::chrono::milliseconds metadata_time,
          manifest::TrustedRepository repository);
  template <typename Walk>
  Result<void> fetch(Walk& walk, const manifest::MetadataRequest& request);
  Result<const manifest::Target*> find(const std::string& target_name);

  Disk& disk_;
  HttpClient& http_;
  MetadataDirectory metadata_;
  std::string metadata_url_;
  UnixSeconds start_time_;
  std::chrono::milliseconds metadata_time_left_;
  manifest::TrustedRepository repository_;
  manifest::VerifiedRoles roles_;  // of the one refresh that the session begins with
};

}  // namespace layby::tuf
