#include "delta/encoder.h"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "delta/alike.h"
#include "delta/applier.h"
#include "delta/borders.h"
#include "delta/chunk_coder.h"
#include "delta/chunk_plan.h"
#include "delta/elf_ranges.h"
#include "delta/matcher.h"
#include "delta/read_cost.h"
#include "delta/repeats.h"
#include "delta/seeds.h"
#include "delta/share_out.h"
#include "delta/stream_choice.h"

namespace layby::delta {
namespace {

constexpr std::uint32_t kChunkTargetBytesMin = 1 * kKiB;
constexpr std::size_t kLoadBytes = 1 * kMiB;
constexpr unsigned kThreadsMax = 8;
// What one thread needs for matching and for the entropy coder at its highest level.
constexpr std::uint64_t kThreadBytes = 128 * kMiB;
// Chunks for each thread that may be begun before the first that is not written: some take longer
// than others. In kThreadBytes.
constexpr std::size_t kChunksAheadMax = 3;

Result<void> check_not_stopped(const EncodeOptions& options) {
  if (options.stop.stop_requested())
    return fail(ErrorCode::kCancelled, "making the payload was stopped");
  return {};
}

Result<Bytes> load(const ReadAt& source, const EncodeOptions& options) {
  Bytes bytes(source.size());
  for (std::size_t at = 0; at < bytes.size(); at += kLoadBytes) {
    TRY_VOID(check_not_stopped(options));
    const std::size_t size = std::min(kLoadBytes, bytes.size() - at);
    TRY_VOID(source.read_at(at, MutableByteSpan(bytes).subspan(at, size)));
  }
  return bytes;
}

CoderId choose_coder(bool has_base, Profile profile) {
  switch (profile) {
    case Profile::kFast: return CoderId::kZstdColumns;
    case Profile::kSmall: break;
  }
  return has_base ? CoderId::kMixed : CoderId::kZstdColumns;
}

// What the images take, and what stands for them while matches are looked for.
std::uint64_t images_bytes(std::uint64_t base_bytes, std::uint64_t target_bytes,
                           const EncodeOptions& options) {
  const bool predicts = choose_coder(base_bytes > 0, options.profile) == CoderId::kMixed;
  return (base_bytes + target_bytes) * (predicts ? 2 : 1);
}

// The way to look for matches that the effort asks for and the memory allows. What it is decides
// about the payload's bytes, so it does not depend on the machine: memory is reckoned for one
// thread, and further ones get what is left.
Result<EncodeReport::Search> choose_search(std::uint64_t base_bytes, std::uint64_t target_bytes,
                                           const EncodeOptions& options) {
  const std::uint64_t always = images_bytes(base_bytes, target_bytes, options) + kThreadBytes;
  const std::uint64_t available =
      options.memory_bytes_max > always ? options.memory_bytes_max - always : 0;
  const std::uint64_t least = base_bytes == 0 ? 0 : block_seeds_bytes(base_bytes);
  if (options.memory_bytes_max < always || least > available)
    return fail(ErrorCode::kTooLarge,
                "making this payload needs {} bytes of memory, {} are allowed", always + least,
                options.memory_bytes_max);
  if (base_bytes == 0) return EncodeReport::Search::kNone;
  switch (options.effort) {
    case Effort::kQuick: return EncodeReport::Search::kBlocks;
    case Effort::kThorough: break;
  }
  const bool fits =
      base_bytes < (std::uint64_t{1} << 31) && suffix_seeds_bytes(base_bytes) <= available;
  return fits ? EncodeReport::Search::kSuffixes : EncodeReport::Search::kBlocks;
}

std::uint64_t seeds_bytes(EncodeReport::Search search, std::uint64_t base_bytes) {
  switch (search) {
    case EncodeReport::Search::kNone: return 0;
    case EncodeReport::Search::kBlocks: return block_seeds_bytes(base_bytes);
    case EncodeReport::Search::kSuffixes: return suffix_seeds_bytes(base_bytes);
  }
  return 0;
}

unsigned choose_threads(EncodeReport::Search search, std::uint64_t base_bytes,
                        std::uint64_t target_bytes, const EncodeOptions& options) {
  const unsigned wanted =
      options.threads > 0 ? options.threads : std::thread::hardware_concurrency();
  const std::uint64_t needed =
      images_bytes(base_bytes, target_bytes, options) + seeds_bytes(search, base_bytes);
  const std::uint64_t left =
      options.memory_bytes_max > needed ? options.memory_bytes_max - needed : 0;
  const auto fit = static_cast<unsigned>(std::min<std::uint64_t>(left / kThreadBytes, kThreadsMax));
  return std::clamp(wanted, 1u, std::max(fit, 1u));
}

std::unique_ptr<Seeds> make_seeds(EncodeReport::Search search, ByteSpan base) {
  switch (search) {
    case EncodeReport::Search::kNone: return nullptr;
    case EncodeReport::Search::kBlocks: return make_block_seeds(base);
    case EncodeReport::Search::kSuffixes: return make_suffix_seeds(base);
  }
  return nullptr;
}

// A chunk and what is counted about it.
struct MadeChunk {
  Bytes bytes;
  std::uint64_t copies = 0;
  std::uint64_t copied_bytes = 0;
  std::uint64_t changed_bytes = 0;
};

// What chunks are made from.
struct Material {
  BaseName base_name;
  Bytes target_image;  // only where its view is another
  // The views. Where there are no streams, the images.
  Bytes base;
  Bytes target;
  StreamTable streams;
  ViewLayout base_layout;
  ViewLayout target_layout;
  std::vector<ChunkSpan> chunks;
  CoderId coder = CoderId::kZstdColumns;
  AddressTable addresses;
  // For matching, where there are addresses: images that differ less.
  Bytes alike_base;
  Bytes alike_target;
  std::unique_ptr<Seeds> seeds;

  // Copies are found: what that took is no longer needed.
  void forget_matching() {
    seeds.reset();
    alike_base = Bytes();
    alike_target = Bytes();
  }

  ByteSpan made() const { return streams.empty() ? target : target_image; }
  ByteSpan match_base() const { return addresses.modules.empty() ? base : alike_base; }
  ByteSpan match_target() const { return addresses.modules.empty() ? target : alike_target; }
};

MadeChunk make_chunk(const Material& material, const ChunkSpan& span, const CopyList& copies,
                     const EncodeOptions& options) {
  MadeChunk chunk;
  chunk.copies = copies.size();
  for (const Copy& copy : copies) {
    chunk.copied_bytes += copy.bytes;
    if (copy.source != Copy::Source::kBase) continue;
    for (std::uint64_t i = 0; i < copy.bytes; ++i)
      chunk.changed_bytes +=
          material.base[copy.source_offset + i] != material.target[copy.target_offset + i];
  }
  chunk.bytes =
      encode_chunk(material.coder, {material.base, material.target, span.view_begin, span.view_end},
                   material.addresses, copies, options.effort);
  return chunk;
}

// Chunks come from several threads, in any order, and are written in their own: what is finished
// early waits here, and who is too far ahead waits too, so that the payload never stands in memory.
class ChunkWriter {
 public:
  ChunkWriter(ByteSpan target, const std::vector<ChunkSpan>& spans, std::size_t ahead_max,
              PayloadHeadBuilder& builder, File& output, EncodeReport& report)
      : target_(target),
        spans_(spans),
        ahead_max_(ahead_max),
        builder_(builder),
        output_(output),
        report_(report) {}

  // Waits until chunk `index` may be begun. False: nothing more is wanted.
  bool wait_for_turn(std::size_t index) {
    std::unique_lock lock(mutex_);
    turn_.wait(lock, [&] { return over_ || index < written_ + ahead_max_; });
    return !over_;
  }

  void put(std::size_t index, MadeChunk chunk) {
    const std::lock_guard lock(mutex_);
    waiting_.emplace(index, std::move(chunk));
    while (!over_ && !waiting_.empty() && waiting_.begin()->first == written_) {
      result_ = write(waiting_.begin()->second);
      over_ = !result_;
      waiting_.erase(waiting_.begin());
      ++written_;
    }
    turn_.notify_all();
  }

  // A chunk will never come: nobody may wait for it.
  void give_up() {
    const std::lock_guard lock(mutex_);
    over_ = true;
    turn_.notify_all();
  }

  // Once no thread is at work.
  const Result<void>& result() const { return result_; }

 private:
  Result<void> write(const MadeChunk& chunk) {
    const ChunkSpan& span = spans_[written_];
    const ByteSpan made = target_.subspan(span.target_begin, span.target_bytes());
    const std::uint64_t offset = builder_.add_chunk(
        static_cast<std::uint32_t>(made.size()), static_cast<std::uint32_t>(chunk.bytes.size()),
        crypto::blake2b_256(chunk.bytes), crypto::blake2b_256(made));
    report_.copies += chunk.copies;
    report_.copied_bytes += chunk.copied_bytes;
    report_.changed_bytes += chunk.changed_bytes;
    return output_.write_at(offset, chunk.bytes);
  }

  const ByteSpan target_;
  const std::vector<ChunkSpan>& spans_;
  const std::size_t ahead_max_;
  PayloadHeadBuilder& builder_;
  File& output_;
  EncodeReport& report_;

  std::mutex mutex_;  // guards what follows, and the three above
  std::condition_variable turn_;
  std::map<std::size_t, MadeChunk> waiting_;
  std::size_t written_ = 0;
  bool over_ = false;
  Result<void> result_;
};

// Many short copies cost the car a read each: the shortest are left out where they are too many.
void keep_within_budget(std::size_t chunk_bytes, CopyList& copies) {
  if (copies.size() <= copies_max(chunk_bytes)) return;
  std::erase_if(copies, [](const Copy& copy) { return copy.bytes < 2 * kCopyBytesFair; });
}

// The copies of each chunk.
Result<std::vector<CopyList>> find_copies(const Material& material, unsigned threads,
                                          const EncodeOptions& options) {
  std::vector<CopyList> chunks(material.chunks.size());
  if (material.seeds == nullptr) return chunks;
  share_out(chunks.size(), threads, [&](std::size_t i) {
    const ChunkSpan& span = material.chunks[i];
    chunks[i] = match(material.match_base(), material.match_target(), span.view_begin,
                      span.view_end, *material.seeds, options.stop);
    return !options.stop.stop_requested();
  });
  TRY_VOID(check_not_stopped(options));
  if (material.coder != CoderId::kMixed) return chunks;
  CopyList all;
  for (CopyList& copies : chunks) {
    all.insert(all.end(), copies.begin(), copies.end());
    copies.clear();
  }
  std::vector<std::uint64_t> ends;
  for (const ChunkSpan& span : material.chunks) ends.push_back(span.view_end);
  add_repeats({material.target, material.match_base(), material.match_target(),
               !material.addresses.modules.empty(), ends},
              all, options.stop);
  add_borders(material.target, ends, all, options.stop);
  std::size_t i = 0;
  for (const Copy& copy : all) {
    while (ends[i] <= copy.target_offset) ++i;
    chunks[i].push_back(copy);
  }
  for (i = 0; i < chunks.size(); ++i)
    keep_within_budget(material.chunks[i].view_bytes(), chunks[i]);
  TRY_VOID(check_not_stopped(options));
  return chunks;
}

// Counts what goes.
std::uint64_t leave_out_dear_copies(const Material& material, std::vector<CopyList>& chunks) {
  if (material.streams.empty()) return 0;
  const SeenViews views{material.streams, material.base_layout, material.target_layout};
  std::uint64_t gone = 0;
  for (std::size_t i = 0; i < chunks.size(); ++i)
    gone += keep_within_read_cost(views, material.chunks[i], chunks[i]);
  return gone;
}

// Chunks are coded apart from each other.
Result<void> make_chunks(const Material& material, const std::vector<CopyList>& copies,
                         unsigned threads, const EncodeOptions& options, ChunkWriter& writer) {
  share_out(copies.size(), threads, [&](std::size_t i) {
    if (!writer.wait_for_turn(i)) return false;
    if (options.stop.stop_requested()) {
      writer.give_up();
      return false;
    }
    writer.put(i, make_chunk(material, material.chunks[i], copies[i], options));
    return true;
  });
  TRY_VOID(check_not_stopped(options));
  return writer.result();
}

// Stands in for the target while the payload is applied for proof: what is written must be what the
// target has there already.
class ProofFile final : public File {
 public:
  explicit ProofFile(const ReadAt& target) : target_(target) {}

  std::uint64_t size() const override { return size_; }
  Result<void> read_at(std::uint64_t offset, MutableByteSpan out) const override {
    if (offset > size_ || out.size() > size_ - offset)
      return fail(ErrorCode::kIo, "the applier reads target bytes that it has not written");
    return target_.read_at(offset, out);
  }
  Result<void> write_at(std::uint64_t offset, ByteSpan bytes) override {
    Bytes expected(bytes.size());
    TRY_VOID(target_.read_at(offset, expected));
    if (!std::equal(bytes.begin(), bytes.end(), expected.begin()))
      return fail(ErrorCode::kCorrupt, "target bytes from {} on differ", offset);
    size_ = std::max(size_, offset + bytes.size());
    return {};
  }
  Result<void> truncate(std::uint64_t) override {
    return fail(ErrorCode::kIo, "the applier truncates the target");
  }
  Result<void> sync() override { return {}; }

 private:
  const ReadAt& target_;
  std::uint64_t size_ = 0;
};

Result<void> prove(const File& output, const ReadAt* base, const ReadAt& target,
                   const Material& material) {
  ProofFile proof(target);
  const Result<void> applied = apply_payload(output, base, proof);
  if (applied) return {};
  // No mistake: the applier will not take so much work upon it.
  if (!material.streams.empty() && applied.error().code() == ErrorCode::kBadPayload) return applied;
  return fail(ErrorCode::kEncoderDefect, "the payload does not make the target: {}",
              applied.error().message());
}

// Whether the encoder may see through compressed streams.
enum class Streams { kExpanded, kLeft };

// Without addresses a payload is larger, but it is one.
AddressTable find_addresses_that_fit(const ViewedImage& base, const ViewedImage& target) {
  AddressTable table = find_addresses(base, target);
  const Bytes packed = serialise_address_table(table);
  if (!parse_address_table(packed, base.view.size(), target.view.size())) return {};
  return table;
}

// The images, which stand in `base` and `target` until then, become their views, where streams are
// worth it and the memory allows it; and addresses are found in them.
Result<void> see_through(Material& material, Streams streams, unsigned threads,
                         const EncodeOptions& options, EncodeReport& report) {
  StreamChoice choice;
  if (streams == Streams::kExpanded)
    choice = choose_streams(material.base, material.target,
                            std::min(*options.chunk_target_bytes, kStreamChunkBytesMax), threads,
                            options.stop);
  TRY_VOID(check_not_stopped(options));
  report.streams_left_out = choice.left_out;
  if (!choice.table.empty() && choice.chunk_ends.size() > kPayloadChunksMax) {
    report.streams_given_up = "more chunks than a payload has";
    choice.table = {};
  }
  if (choice.table.empty()) {
    material.addresses = find_addresses_that_fit(
        {material.base, material.base, ViewLayout(material.base.size())},
        {material.target, material.target, ViewLayout(material.target.size())});
    return {};
  }
  const auto base_layout = TRY(ViewLayout::create(material.base.size(), choice.table.base));
  const auto target_layout = TRY(ViewLayout::create(material.target.size(), choice.table.target));
  EncodeOptions rest = options;
  rest.memory_bytes_max -= std::min<std::uint64_t>(rest.memory_bytes_max, material.target.size());
  const Result<EncodeReport::Search> search =
      choose_search(base_layout.view_bytes(), target_layout.view_bytes(), rest);
  if (!search) {
    report.streams_given_up = search.error().message();
    return see_through(material, Streams::kLeft, threads, options, report);
  }
  report.search = *search;
  report.streams = choice.table.target.size();
  const Bytes base_image = std::move(material.base);
  material.target_image = std::move(material.target);
  material.streams = std::move(choice.table);
  material.base = make_view(base_image, material.streams.base, base_layout);
  material.target = make_view(material.target_image, material.streams.target, target_layout);
  material.base_layout = base_layout;
  material.target_layout = target_layout;
  material.chunks = chunk_spans(choice.chunk_ends, target_layout);
  material.addresses =
      find_addresses_that_fit({base_image, material.base, base_layout},
                              {material.target_image, material.target, target_layout});
  return {};
}

std::vector<ChunkSpan> even_chunks(std::uint64_t target_bytes, const EncodeOptions& options) {
  std::vector<FoundStream> none;
  return chunk_spans(plan_chunks(target_bytes, *options.chunk_target_bytes, none),
                     ViewLayout(target_bytes));
}

Result<Material> prepare(const ReadAt* base, const ReadAt& target, Streams streams,
                         unsigned threads, const EncodeOptions& options, EncodeReport& report) {
  Material material;
  if (base != nullptr) {
    material.base = TRY(load(*base, options));
    material.base_name = {material.base.size(), crypto::sha256(material.base)};
  }
  material.target = TRY(load(target, options));
  report.target_sha256 = crypto::sha256(material.target);
  material.coder = choose_coder(!material.base.empty(), options.profile);
  if (material.coder == CoderId::kMixed)
    TRY_VOID(see_through(material, streams, threads, options, report));
  if (material.streams.empty()) material.chunks = even_chunks(material.target.size(), options);
  TRY_VOID(check_not_stopped(options));
  if (!material.addresses.modules.empty()) {
    const AddressTable& addresses = material.addresses;
    material.alike_base = make_alike(material.base, addresses.modules, addresses.base);
    material.alike_target = make_alike(material.target, addresses.modules, addresses.target);
  }
  TRY_VOID(check_not_stopped(options));
  material.seeds = make_seeds(report.search, material.match_base());
  return material;
}

Result<void> check_options(const ReadAt* base, const ReadAt& target, const EncodeOptions& options,
                           const File& output) {
  if (*options.chunk_target_bytes < kChunkTargetBytesMin ||
      *options.chunk_target_bytes > kChunkTargetBytesMax)
    return fail(ErrorCode::kInvalidArgument, "chunks of {} bytes: from {} to {} are possible",
                *options.chunk_target_bytes, kChunkTargetBytesMin, kChunkTargetBytesMax);
  if (target.size() > kImageBytesMax || (base != nullptr && base->size() > kImageBytesMax))
    return fail(ErrorCode::kTooLarge, "an image of more than {} bytes", kImageBytesMax);
  if (target.size() / *options.chunk_target_bytes >= kPayloadChunksMax)
    return fail(ErrorCode::kTooLarge, "more than {} chunks: choose larger ones", kPayloadChunksMax);
  if (output.size() != 0)
    return fail(ErrorCode::kInvalidArgument, "the output is not empty: it has {} bytes",
                output.size());
  return {};
}

// One way to make the payload. `has_streams` says whether it sees through any.
Result<EncodeReport> make_payload(const ReadAt* base, const ReadAt& target, Streams streams,
                                  const EncodeOptions& options, File& output, bool& has_streams) {
  EncodeReport report;
  report.base_bytes = base != nullptr ? base->size() : 0;
  report.target_bytes = target.size();
  report.search = TRY(choose_search(report.base_bytes, report.target_bytes, options));
  Material material =
      TRY(prepare(base, target, streams,
                  choose_threads(report.search, report.base_bytes, report.target_bytes, options),
                  options, report));
  has_streams = !material.streams.empty();
  const unsigned threads =
      choose_threads(report.search, material.base.size(),
                     material.target.size() + material.target_image.size(), options);
  report.chunk_count = static_cast<std::uint32_t>(material.chunks.size());

  const std::uint32_t chunk_bytes =
      has_streams ? std::min(*options.chunk_target_bytes, kStreamChunkBytesMax)
                  : *options.chunk_target_bytes;
  PayloadHeadBuilder builder(material.coder, chunk_bytes, report.chunk_count, material.addresses,
                             material.streams);
  builder.set_target(report.target_bytes, report.target_sha256);
  if (base != nullptr) builder.set_base(material.base_name);
  ChunkWriter writer(material.made(), material.chunks, kChunksAheadMax * threads, builder, output,
                     report);
  std::vector<CopyList> copies = TRY(find_copies(material, threads, options));
  report.copies_left_out = leave_out_dear_copies(material, copies);
  material.forget_matching();
  TRY_VOID(make_chunks(material, copies, threads, options, writer));
  report.new_bytes = material.target.size() - report.copied_bytes;
  const Bytes head = builder.serialise();
  report.head_bytes = head.size();
  report.head_sha256 = crypto::sha256(head);
  TRY_VOID(output.write_at(0, head));
  TRY_VOID(prove(output, base, target, material));
  const auto digests = TRY(crypto::hash_all(output, crypto::Hasher::With::kSha256));
  report.payload_bytes = digests.length;
  report.payload_sha256 = digests.sha256;
  return report;
}

}  // namespace

Result<EncodeReport> encode(const ReadAt* base, const ReadAt& target, const EncodeOptions& wishes,
                            File& output) {
  EncodeOptions options = wishes;
  if (!options.chunk_target_bytes)
    options.chunk_target_bytes = base != nullptr ? kChunkTargetBytesMax : kChunkTargetBytesMax / 2;
  TRY_VOID(check_options(base, target, options, output));
  bool has_streams = false;
  const Result<EncodeReport> report =
      make_payload(base, target, Streams::kExpanded, options, output, has_streams);
  if (report || report.error().code() != ErrorCode::kBadPayload || !has_streams) return report;
  // Seeing through would take the car too long.
  TRY_VOID(output.truncate(0));
  EncodeReport left = TRY(make_payload(base, target, Streams::kLeft, options, output, has_streams));
  left.streams_given_up = report.error().message();
  return left;
}

}  // namespace layby::delta
