// Limits of this system, with unit and reason. What is exceeded is named in the error (kTooLarge,
// kEndlessData). docs/formats.md lists them for people.
#pragma once

#include <cstddef>
#include <cstdint>

namespace layby {

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kMiB = 1024 * kKiB;
constexpr std::uint64_t kGiB = 1024 * kMiB;

// JSON documents: deep nesting exhausts the stack of a recursive reader.
constexpr std::size_t kJsonDepthMax = 64;

// Metadata, in bytes: generous for a fleet's repository, small for a car's memory.
constexpr std::uint64_t kRootBytesMax = 512 * kKiB;
constexpr std::uint64_t kTimestampBytesMax = 16 * kKiB;
constexpr std::uint64_t kSnapshotBytesMax = 2 * kMiB;
constexpr std::uint64_t kTargetsBytesMax = 5 * kMiB;

// Root versions that one refresh walks through; the next refresh goes on from there (TUF 5.3.3).
constexpr int kRootRotationsMax = 256;
// Signatures on one document: checking them costs time before anything is trusted.
constexpr std::size_t kSignaturesMax = 64;

// The text of an error: what it quotes may be as long as a document.
constexpr std::size_t kErrorBytesMax = 2 * kKiB;

// A licence or a vehicle manifest.
constexpr std::uint64_t kLicenceBytesMax = 4 * kKiB;
constexpr std::uint64_t kVehicleManifestBytesMax = 64 * kKiB;
// What an ECU besides the primary says of itself within a vehicle manifest: it has one slot and two
// texts.
constexpr std::uint64_t kSecondaryReportBytesMax = 4 * kKiB;

// Payloads.
constexpr std::uint64_t kImageBytesMax = 64 * kGiB;
constexpr std::uint32_t kChunkTargetBytesMax =
    4 * kMiB;  // a chunk of target bytes; bounds the applier's memory
constexpr std::uint32_t kChunkPayloadBytesMax =
    kChunkTargetBytesMax + 64 * kKiB;  // what does not compress is stored, with a little around it
constexpr std::uint32_t kPayloadChunksMax = 16 * 1024;    // an image of 64 GiB in chunks of 4 MiB
constexpr std::uint64_t kPayloadHeadBytesMax = 2 * kMiB;  // that many chunks' index, and tables
constexpr std::uint64_t kApplierBytesMax =
    20 * kMiB;  // what applying may hold at once, the caller's chunk included

// Entries of a region image: files and directories; bounds the index that the view holds.
constexpr std::size_t kRegionEntriesMax = 16 * 1024;

// Orders.
constexpr std::size_t kMapRegionsMax = 3;  // P3.1

}  // namespace layby
