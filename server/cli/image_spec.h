// What `layby image publish` is told about images, from the command line or from a file, and the
// bytes that they are.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/disk.h"
#include "manifest/image_entry.h"
#include "manifest/json.h"

namespace layby::cli {

using manifest::Json;

struct ImageSpec {
  std::string kind;  // "map", "function", "software"
  std::string id;    // the region or function; unused for software
  std::string path;  // a directory for a map, else a file
  std::string version;
  std::vector<std::string> hardware;  // software: exactly one
  std::string slot{};                 // empty: the one that the name says
  std::uint64_t release_counter = 0;
  std::map<std::string, std::string> notes;  // by language
  std::uint64_t duration_seconds = 0;
  std::string network{};  // any, not-roaming, unmetered; empty: any
  std::uint64_t battery_percent_min = 0;
  std::vector<manifest::PackageCondition> conditions{};
  // One more of them, as the command line gives it: "en=TEXT".
  std::string condition{};
  std::vector<std::string> condition_texts{};
};

// The file of `--images`: {"images":[{"kind","region"|"id","path","version","hardware":[…],
// "release_counter","duration_seconds","battery_percent_min","network","conditions",
// "notes","slot"},…]}; relative paths are from the file's directory. An unknown field is
// kBadFormat.
Result<std::vector<ImageSpec>> read_image_specs(Disk& disk, const std::string& file);

// An image that is ready to be uploaded: its bytes, and what will be signed about them.
struct PreparedImage {
  manifest::ImageEntry entry;
  std::unique_ptr<ReadAt> bytes;
};

// Opens and hashes. `licence_key` goes into functions and is needed for them.
Result<PreparedImage> prepare_image(Disk& disk, const ImageSpec& spec,
                                    const std::optional<manifest::PublicKey>& licence_key);

}  // namespace layby::cli
