#include "delta/encoder.h"

#include <algorithm>
#include <new>
#include <system_error>

#include "delta/base_survey.h"
#include "delta/borders.h"
#include "delta/chunk_coder.h"
#include "delta/chunk_line.h"
#include "delta/chunk_writer.h"
#include "delta/matcher.h"
#include "delta/material.h"
#include "delta/proof.h"
#include "delta/read_cost.h"
#include "delta/repeats.h"
#include "delta/seeds.h"
#include "delta/share_out.h"
#include "delta/stopping.h"

namespace layby::delta {
namespace {

constexpr std::uint32_t kChunkTargetBytesMin = 1 * kKiB;
// Chunks for each thread that may be begun before the first that is not written: some take longer
// than others.
constexpr std::size_t kChunksAheadMax = 3;

// Many short copies cost the car a read each: the shortest are left out where they are too many.
void keep_within_budget(std::size_t chunk_bytes, CopyList& copies) {
  if (copies.size() <= copies_max(chunk_bytes)) return;
  std::erase_if(copies, [](const Copy& copy) { return copy.bytes < 2 * kCopyBytesFair; });
}

// Makes all chunks: finds their copies, codes and writes them.
class ChunkMaker {
 public:
  ChunkMaker(const Material& material, const EncodeOptions& options, ChunkWriter& writer)
      : material_(material),
        options_(options),
        writer_(writer),
        source_{material.target, material.match_base, material.match_target,
                !material.addresses.modules.empty()},
        begun_(material.chunks.size()) {
    if (material.coder != CoderId::kMixed) return;
    repeats_ = std::make_unique<Repeats>(material.target, material.plan.repeat_table_bytes);
    borders_ = std::make_unique<Borders>(material.target, material.plan.border_table_bytes);
  }

  Result<void> make_all() {
    const unsigned threads = material_.plan.threads;
    switch (material_.plan.search) {
      case EncodeReport::Search::kNone: return make(0, begun_.size(), nullptr);
      case EncodeReport::Search::kBlocks:
        return make(
            0, begun_.size(),
            make_block_seeds(material_.match_base, material_.plan.block_table_bytes_max).get());
      case EncodeReport::Search::kSuffixes:
        return make(0, begun_.size(), make_suffix_seeds(material_.match_base, threads).get());
      case EncodeReport::Search::kRegions: return make_by_regions();
    }
    return {};
  }

 private:
  // A chunk that is begun.
  struct Begun {
    CopyList copies;
    std::unique_ptr<ChunkCosts> costs;
  };

  // Blocks settle most of it. What they leave of the target is looked for among the suffixes of
  // what they leave of the base, for so many chunks together as have their regions sorted at once.
  Result<void> make_by_regions() {
    const auto blocks =
        make_block_seeds(material_.match_base, material_.plan.block_table_bytes_max);
    BaseSurvey survey(material_.match_base.size());
    std::vector<std::uint64_t> unsettled(begun_.size());
    TRY_VOID(look(0, begun_.size(), *blocks, survey, &unsettled));
    const std::uint64_t most = material_.plan.sorted_bytes_max;
    for (std::size_t begin = 0; begin < begun_.size();) {
      std::size_t end = begin;
      for (std::uint64_t sum = 0; end < begun_.size(); ++end) {
        sum += unsettled[end];
        if (sum > most / 2 && end > begin) break;
      }
      if (begin > 0 || end < begun_.size()) {
        survey.forget_wanted();
        TRY_VOID(look(begin, end, *blocks, survey, nullptr));
      }
      const auto suffixes = make_suffix_seeds(
          material_.match_base, survey.choose(material_.match_base, most), material_.plan.threads);
      TRY_VOID(make(begin, end, join_seeds(*suffixes, *blocks).get()));
      begin = end;
    }
    return {};
  }

  Result<void> look(std::size_t begin, std::size_t end, const Seeds& blocks, BaseSurvey& survey,
                    std::vector<std::uint64_t>* unsettled) const {
    share_out(end - begin, material_.plan.threads, [&](std::size_t i) {
      const ChunkSpan& span = material_.chunks[begin + i];
      const std::uint64_t bytes = survey.add(material_.match_base, material_.match_target,
                                             span.view_begin, span.view_end, find(span, blocks));
      if (unsettled != nullptr) (*unsettled)[begin + i] = bytes;
      let_pages_go();
      return !options_.stop.stop_requested();
    });
    return check_not_stopped(options_);
  }

  Result<void> make(std::size_t begin, std::size_t end, const Seeds* seeds) {
    ChunkLine::Stages stages;
    stages.match = [&](std::size_t i) {
      if (seeds != nullptr) begin_chunk(i, *seeds);
      let_pages_go();
      return !options_.stop.stop_requested();
    };
    stages.join = [&](std::size_t i) {
      join(i);
      return !options_.stop.stop_requested();
    };
    stages.code = [&](std::size_t i) {
      let_pages_go();
      return writer_.put(i, code(i));
    };
    ChunkLine line(begin, end, kChunksAheadMax * material_.plan.threads, std::move(stages));
    line.run(material_.plan.threads);
    TRY_VOID(check_not_stopped(options_));
    return writer_.result();
  }

  CopyList find(const ChunkSpan& span, const Seeds& seeds) const {
    return match(material_.match_base, material_.match_target, span.view_begin, span.view_end,
                 seeds, options_.stop);
  }

  void begin_chunk(std::size_t i, const Seeds& seeds) {
    const ChunkSpan& span = material_.chunks[i];
    begun_[i].copies = find(span, seeds);
    if (repeats_ == nullptr || options_.stop.stop_requested()) return;
    begun_[i].costs =
        std::make_unique<ChunkCosts>(source_, begun_[i].copies, span.view_begin, span.view_end);
  }

  void join(std::size_t i) {
    Begun& begun = begun_[i];
    if (begun.costs == nullptr) return;
    const ChunkSpan& span = material_.chunks[i];
    repeats_->add_to(*begun.costs, begun.copies, options_.stop);
    begun.costs.reset();
    borders_->add_to(span.view_begin, span.view_end, begun.copies, options_.stop);
  }

  MadeChunk code(std::size_t i) {
    CopyList copies;
    copies.swap(begun_[i].copies);
    const ChunkSpan& span = material_.chunks[i];
    MadeChunk chunk;
    if (material_.coder == CoderId::kMixed) keep_within_budget(span.view_bytes(), copies);
    if (!material_.streams.empty()) {
      const SeenViews views{material_.streams, material_.base_layers, material_.target_layers};
      chunk.left_out = keep_within_read_cost(views, span, copies);
    }
    chunk.copies = copies.size();
    for (const Copy& copy : copies) count(copy, chunk);
    chunk.bytes = encode_chunk(material_.coder,
                               {material_.base, material_.target, span.view_begin, span.view_end},
                               material_.addresses, copies, options_.effort);
    return chunk;
  }

  void count(const Copy& copy, MadeChunk& chunk) const {
    chunk.copied_bytes += copy.bytes;
    if (copy.source != Copy::Source::kBase) return;
    for (std::uint64_t i = 0; i < copy.bytes; ++i)
      chunk.changed_bytes +=
          material_.base[copy.source_offset + i] != material_.target[copy.target_offset + i];
  }

  const Material& material_;
  const EncodeOptions& options_;
  ChunkWriter& writer_;
  const RepeatSource source_;
  std::vector<Begun> begun_;
  std::unique_ptr<Repeats> repeats_;
  std::unique_ptr<Borders> borders_;
};

Result<void> prove(const File& output, const ReadAt* base, const ReadAt& target,
                   const Material& material, const EncodeOptions& options) {
  const Result<void> applied =
      apply_and_compare(output, {base, material.base_image}, {&target, material.target_image},
                        material.plan.threads, options.stop);
  if (applied) return check_not_stopped(options);
  // No mistake: the applier will not take so much work upon it.
  if (!material.streams.empty() && applied.error().code() == ErrorCode::kBadPayload) return applied;
  return fail(ErrorCode::kEncoderDefect, "the payload does not make the target: {}",
              applied.error().message());
}

Result<void> check_options(const ReadAt* base, const ReadAt& target, const EncodeOptions& options,
                           const File& output) {
  if (*options.chunk_target_bytes < kChunkTargetBytesMin ||
      *options.chunk_target_bytes > kChunkTargetBytesMax)
    return fail(ErrorCode::kInvalidArgument, "chunks of {} bytes: from {} to {} are possible",
                *options.chunk_target_bytes, kChunkTargetBytesMin, kChunkTargetBytesMax);
  if (target.size() > kImageBytesMax || (base != nullptr && base->size() > kImageBytesMax))
    return fail(ErrorCode::kTooLarge, "an image of more than {} bytes", kImageBytesMax);
  if (target.size() > std::uint64_t{kPayloadChunksMax} * *options.chunk_target_bytes)
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
  const std::unique_ptr<Material> material =
      TRY(Material::prepare(base, target, streams, options, report));
  report.target_sha256 = material->target_sha256;
  report.search = material->plan.search;
  report.chunk_count = static_cast<std::uint32_t>(material->chunks.size());
  has_streams = !material->streams.empty();

  const std::uint32_t chunk_bytes =
      has_streams ? std::min(*options.chunk_target_bytes, kStreamChunkBytesMax)
                  : *options.chunk_target_bytes;
  PayloadHeadBuilder builder(material->coder, chunk_bytes, report.chunk_count, material->addresses,
                             material->streams);
  builder.set_target(report.target_bytes, report.target_sha256);
  if (base != nullptr) builder.set_base(material->base_name);
  ChunkWriter writer(material->target_image, material->chunks, builder, output, report);
  TRY_VOID(ChunkMaker(*material, options, writer).make_all());
  report.new_bytes = material->target.size() - report.copied_bytes;
  const Bytes head = builder.serialise();
  report.head_bytes = head.size();
  report.head_sha256 = crypto::sha256(head);
  TRY_VOID(output.write_at(0, head));
  TRY_VOID(prove(output, base, target, *material, options));
  const auto digests =
      TRY(crypto::hash_all(StoppableSource(output), crypto::Hasher::With::kSha256));
  report.payload_bytes = digests.length;
  report.payload_sha256 = digests.sha256;
  return report;
}

// A full image has smaller ones, as its history makes up for them; the largest need all there is.
std::uint32_t chunk_bytes_usual(const ReadAt* base, const ReadAt& target) {
  constexpr std::uint32_t kOfFullImage = kChunkTargetBytesMax / 2;
  const bool fits = target.size() <= std::uint64_t{kPayloadChunksMax} * kOfFullImage;
  return base == nullptr && fits ? kOfFullImage : kChunkTargetBytesMax;
}

Result<EncodeReport> make_smallest(const ReadAt* base, const ReadAt& target,
                                   const EncodeOptions& options, File& output) {
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

}  // namespace

Result<EncodeReport> encode(const ReadAt* base, const ReadAt& target, const EncodeOptions& wishes,
                            File& output) {
  EncodeOptions options = wishes;
  if (!options.chunk_target_bytes) options.chunk_target_bytes = chunk_bytes_usual(base, target);
  TRY_VOID(check_options(base, target, options, output));
  const StopScope scope(options.stop);
  try {
    return make_smallest(base, target, options, output);
  } catch (const Stopped&) {
    return fail(ErrorCode::kCancelled, "making the payload was stopped");
  } catch (const std::bad_alloc&) {
    return fail(ErrorCode::kTooLarge,
                "making the payload needs more memory than there is: {} bytes are allowed, choose "
                "fewer",
                options.memory_bytes_max);
  } catch (const std::system_error& error) {
    return fail(ErrorCode::kInternal, "making the payload: {}", error.code().message());
  }
}

}  // namespace layby::delta
