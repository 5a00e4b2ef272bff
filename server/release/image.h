// What the server knows of one image of the Image repository, and how it can travel. Facts for the
// other rooms: everything here reads, and only publishing (image_repository.h) and the payload jobs
// (payload_jobs.h) write.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "manifest/director.h"
#include "manifest/image_entry.h"
#include "server/store/change.h"
#include "server/store/store.h"

namespace layby::server {

// A withdrawn image is one that later targets no longer name, or whose delegated role cars no
// longer believe: no car is sent there any more, but cars may still have it, so it stays a base for
// deltas, and its name and counter stay used up.
enum class Listing { kListed, kWithdrawn };

struct Image {
  manifest::ImageEntry entry;
  manifest::Target target;  // as signed, for Director metadata
  Listing listing = Listing::kListed;
  manifest::Version published =
      1;  // version of the targets, of whichever role, that named it first
};

// How a caller reads: straight from a store, or through a Change, which then expects what was read.
// What they refer to must outlive them.
using ReadKey = std::function<Result<std::optional<std::string>>(std::string_view key)>;
using ScanKeys = std::function<Result<std::vector<KeyValue>>(
    std::string_view begin, std::string_view end, std::size_t limit)>;
ReadKey reader(const Store& store);
ReadKey reader(Change& change);
ScanKeys scanner(const Store& store);
ScanKeys scanner(Change& change);

std::string encode_image(const Image& image);
// kCorrupt for what encode_image did not write.
Result<Image> decode_image(std::string_view name, std::string_view record);

// Withdrawn images too. Nothing if no targets ever named it.
Result<std::optional<Image>> image(const Store& store, std::string_view name);
Result<std::optional<Image>> image(const ReadKey& read, std::string_view name);

// The listed image with the highest release counter in this slot for this hardware.
Result<std::optional<Image>> newest_image(const Store& store, const manifest::Slot& slot,
                                          const manifest::HardwareId& hardware);

// Up to `limit` releases below `counter`, newest first, withdrawn ones included.
Result<std::vector<Image>> earlier_releases(const ReadKey& read, const ScanKeys& scan,
                                            const manifest::Slot& slot,
                                            const manifest::HardwareId& hardware,
                                            std::uint64_t below_counter, std::size_t limit);

std::string encode_payload(const manifest::Payload& payload, std::uint64_t cpu_ms);
Result<manifest::Payload> decode_payload(std::string_view record);

// The payloads that can be downloaded now: deltas, the whole image last. Deltas are made before the
// whole image, so once that is there, this list does not change any more. A delta that is no
// smaller than the whole image is left out.
Result<std::vector<manifest::Payload>> payloads_of(const ScanKeys& scan,
                                                   const crypto::Digest256& image);
Result<std::vector<manifest::Payload>> payloads_of(const Store& store, const Image& image);

// Whether cars can be sent to it: listed, and its whole-image payload is published.
enum class Availability { kAvailable, kNoPayloadYet, kWithdrawn, kUnknown };
std::string_view to_string(Availability availability);
Result<Availability> availability(const Store& store, std::string_view name);

}  // namespace layby::server
