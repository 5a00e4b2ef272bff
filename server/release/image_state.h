// What the Image repository publishes now, as the store has it.
#pragma once

#include <map>
#include <string>

#include "manifest/repository.h"
#include "server/release/cached_document.h"
#include "server/store/change.h"

namespace layby::server {

struct DelegatedState {
  manifest::Version version = 1;
  UnixSeconds expires = 0;
  bool is_believed = false;  // some delegation led clients to it when something was published last
};

struct ImageState {
  manifest::Version root = 0;
  manifest::Version targets = 0;
  manifest::Version snapshot = 0;
  manifest::Version timestamp = 0;
  UnixSeconds snapshot_expires = 0;
  UnixSeconds targets_expires = 0;
  std::map<std::string, DelegatedState> delegated;  // every role that was ever published
};

// kUnavailable before there is a repository.
Result<ImageState> load_image_state(Change& change);
void save_image_state(Change& change, const ImageState& state);

// kCorrupt if there is none.
Result<std::string> stored_document(Change& change, const std::string& key);
Result<CachedDocument> load_timestamp(Change& change);

// All documents that are published, the delegated ones too.
Result<manifest::StoredRoles> load_present(Change& change, const ImageState& state);

// What the present snapshot lists.
Result<std::map<std::string, manifest::FileEntry>> present_files(Change& change,
                                                                 const ImageState& state);

}  // namespace layby::server
