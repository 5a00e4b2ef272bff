// The encoder: from a base and a target it makes one payload, and proves it before it says so.
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>

#include "base/disk.h"
#include "base/limits.h"
#include "delta/payload.h"
#include "delta/profile.h"

namespace layby::delta {

constexpr std::uint64_t kEncoderMemoryBytes = 1536 * kMiB;

// How much is done to make it smaller.
enum class Effort {
  kThorough,
  kQuick,  // a coarse search for matches, and columns packed quickly
};

struct EncodeOptions {
  Profile profile = Profile::kSmall;
  Effort effort = Effort::kThorough;
  // Target bytes of a chunk: 1 KiB to kChunkTargetBytesMax. With a base, fewer cost payload bytes;
  // more cost the car memory. Not said: kChunkTargetBytesMax with a base, half of it for a full
  // image up to 32 GiB, which its history makes as small.
  std::optional<std::uint32_t> chunk_target_bytes{};
  // Threads that code chunks; 0: as many as there are cores, up to 8. Fewer where the memory does
  // not allow so many. The payload is the same, byte for byte, however many there are.
  unsigned threads = 0;
  // Bound of what the encoder holds in memory, whatever the sizes of the images: what it allocates,
  // and the pages of mapped images that it has in use. Where images do not fit they are mapped or
  // written to temporary files, and of a base too large for the full search a part is searched
  // fully and all of it by blocks: the payload depends on the bound then. kTooLarge below 136 MiB.
  std::uint64_t memory_bytes_max = kEncoderMemoryBytes;
  // For temporary files without names, where the images need them: up to seven times the size of an
  // image, streams seen through counted with their texts.
  std::string temporary_directory = "/var/tmp";
  // What they must leave free on their file system: kDiskFull, before any of the room is taken.
  std::uint64_t free_bytes_min = 0;
  // When stopped, the result is kCancelled. Looked at many times a second, except while a chunk is
  // coded or proved (about a second), and while suffixes of the base are sorted: about 12 s for
  // each 100 MB of them.
  std::stop_token stop;
};

struct EncodeReport {
  std::uint64_t head_bytes = 0;
  crypto::Digest256 head_sha256{};
  std::uint64_t payload_bytes = 0;
  crypto::Digest256 payload_sha256{};
  std::uint64_t target_bytes = 0;
  crypto::Digest256 target_sha256{};
  std::uint64_t base_bytes = 0;  // 0 without a base
  std::uint32_t chunk_count = 0;
  std::uint64_t copied_bytes = 0;   // target bytes that come from the base, differences included
  std::uint64_t changed_bytes = 0;  // of these, bytes that differ
  std::uint64_t new_bytes = 0;      // target bytes that the payload carries itself
  std::uint64_t copies = 0;
  // Compressed streams of the target that are seen through; those that could be, but are more than
  // a payload holds; copies left out because they would cost the car too much by reading texts.
  std::uint64_t streams = 0;
  std::uint64_t streams_left_out = 0;
  std::uint64_t copies_left_out = 0;
  // Why none is seen through although there are some; empty otherwise.
  std::string streams_given_up;
  // How matches were looked for: by blocks of the base, by all its suffixes, or by blocks and the
  // suffixes of regions that seemed worth it.
  enum class Search { kNone, kBlocks, kSuffixes, kRegions } search = Search::kNone;
};

// Writes the payload to `output`, which must be empty, from offset 0. `base` null makes a full
// image. What is a MappedFile is not copied. Before it returns success it has applied the payload
// as read back from `output` and compared every byte with `target`; kEncoderDefect if they differ.
// On failure `output` holds garbage; where the system gives less memory than allowed it is
// kTooLarge. Blocks until it is done.
Result<EncodeReport> encode(const ReadAt* base, const ReadAt& target, const EncodeOptions& options,
                            File& output);

}  // namespace layby::delta
