// Round trips over mutated real data: whatever becomes of a file between two releases, the payload
// makes the new one again, also when the work stops after any chunk and goes on in another process
// over what a power cut left (P4.7).
#include <rapidcheck/catch.h>

#include "base/limits.h"
#include "delta/applier.h"
#include "delta/encoder.h"
#include "tests/delta/memory_file.h"

namespace layby::delta::tests {
namespace {

// An executable, text in which lines repeat, numbers and coordinates, a database.
const std::vector<Bytes>& real_files() {
  static const std::vector<Bytes> files = [] {
    RealDisk disk;
    std::vector<Bytes> read;
    for (const char* path :
         {"/bin/true", LAYBY_SOURCE_DIR "/docs/openapi.yaml", LAYBY_SOURCE_DIR "/docs/formats.md",
          LAYBY_FIXTURES_DIR "/delta/map-sqlite.old", LAYBY_FIXTURES_DIR "/delta/node.old"}) {
      Bytes bytes = read_file(disk, path, 16 * kMiB).value();
      bytes.resize(std::min<std::size_t>(bytes.size(), 200'000));
      read.push_back(std::move(bytes));
    }
    return read;
  }();
  return files;
}

std::size_t below(std::size_t end) {
  return *rc::gen::inRange<std::size_t>(0, end);
}

// One of the things that happen to files.
void mutate(Bytes& bytes) {
  if (bytes.empty()) bytes.resize(1);
  const std::size_t at = below(bytes.size());
  const std::size_t count = std::min(below(3000) + 1, bytes.size() - at);
  const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(at);
  const auto end = begin + static_cast<std::ptrdiff_t>(count);
  switch (below(7)) {
    case 0: bytes.erase(begin, end); break;
    case 1: {  // a piece again, elsewhere
      const Bytes piece(begin, end);
      bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(below(bytes.size())), piece.begin(),
                   piece.end());
      break;
    }
    case 2: std::rotate(begin, end, bytes.end()); break;
    case 3: {  // words that moved by the same
      const auto shift = *rc::gen::arbitrary<std::int32_t>();
      for (std::size_t i = at; i + 4 <= at + count; i += 4) {
        const std::uint32_t word = load_u32(&bytes[i]) + static_cast<std::uint32_t>(shift);
        for (std::size_t k = 0; k < 4; ++k)
          bytes[i + k] = static_cast<std::uint8_t>(word >> (8 * k));
      }
      break;
    }
    case 4: {  // what nobody has seen before
      const auto fresh = *rc::gen::arbitrary<std::vector<std::uint8_t>>();
      bytes.insert(begin, fresh.begin(), fresh.end());
      break;
    }
    case 5: std::fill(begin, end, *rc::gen::arbitrary<std::uint8_t>()); break;
    case 6: bytes[at] ^= static_cast<std::uint8_t>(1u << below(8)); break;
  }
}

EncodeOptions any_options() {
  EncodeOptions options;
  options.profile = *rc::gen::element(Profile::kSmall, Profile::kFast);
  options.effort = *rc::gen::element(Effort::kThorough, Effort::kQuick);
  options.chunk_target_bytes = *rc::gen::inRange(1024u, 100'000u);
  options.threads = *rc::gen::inRange(1u, 3u);
  return options;
}

// The next chunk, by a process that knows nothing but the payload, the base and what lies there.
Result<void> apply_next(const MemoryFile& payload, const ReadAt* base, std::uint32_t index,
                        File& target) {
  Applier applier = TRY(Applier::open(TRY(read_head(payload)), base));
  const ChunkEntry& chunk = applier.head().chunk(index);
  return applier.apply_chunk(
      index, ByteSpan(payload.bytes).subspan(chunk.payload_offset, chunk.payload_bytes), target);
}

}  // namespace

TEST_CASE("any mutation of real files comes out again, cut at every chunk (P4.7)") {
  rc::prop("apply(diff(old, new), old) == new", [] {
    const Bytes& old = *rc::gen::elementOf(real_files());
    const MemoryFile base(old);
    MemoryFile fresh(old);
    for (std::size_t edits = below(12); edits > 0; --edits) mutate(fresh.bytes);
    MemoryFile payload;
    const ReadAt* from = *rc::gen::weightedElement<const ReadAt*>({{5, &base}, {1, nullptr}});
    const auto made = encode(from, fresh, any_options(), payload);
    RC_ASSERT(made.has_value());

    MemoryFile target;
    for (std::uint32_t i = 0; i < made->chunk_count; ++i) {
      const PayloadHead head = read_head(payload).value();
      // A write that a power cut tore: some of the chunk, or what was on the medium before.
      const std::size_t torn = below(head.chunk(i).target_bytes + 1);
      target.bytes.resize(head.chunk(i).target_offset + torn, 0xa5);
      RC_ASSERT(apply_next(payload, from, i, target).has_value());
      RC_ASSERT(check_chunk(head, i, target).has_value());
    }
    RC_ASSERT(target.bytes == fresh.bytes);
  });
}

}  // namespace layby::delta::tests
