// What chunks are made from: the images and their views, the streams and addresses found in them,
// and where the chunks end. Encoder only.
#pragma once

#include <memory>
#include <vector>

#include "base/mapped_file.h"
#include "delta/chunk_plan.h"
#include "delta/encoder.h"
#include "delta/memory_plan.h"
#include "delta/payload.h"
#include "delta/residence.h"
#include "delta/stream_table.h"
#include "delta/view_layout.h"

namespace layby::delta {

// Whether the encoder may see through compressed streams.
enum class Streams { kExpanded, kLeft };

class Material {
 public:
  // `base` may be null. Both must outlive it, and `options` too. Says in `report` what of streams
  // it left out.
  static Result<std::unique_ptr<Material>> prepare(const ReadAt* base, const ReadAt& target,
                                                   Streams streams, const EncodeOptions& options,
                                                   EncodeReport& report);
  Material(const Material&) = delete;
  Material& operator=(const Material&) = delete;

  MemoryPlan plan;
  CoderId coder = CoderId::kZstdColumns;
  BaseName base_name;
  crypto::Digest256 target_sha256{};
  ByteSpan base_image;
  ByteSpan target_image;
  // The views. Where there are no streams, the images.
  ByteSpan base;
  ByteSpan target;
  StreamTable streams;
  ViewLayers base_layers;
  ViewLayers target_layers;
  std::vector<ChunkSpan> chunks;
  AddressTable addresses;
  // What matches are looked for in: where there are addresses, images that differ less.
  ByteSpan match_base;
  ByteSpan match_target;

 private:
  explicit Material(const EncodeOptions& options) : options_(options) {}

  Result<void> load(const ReadAt& source, Expanse& copy, ByteSpan& bytes);
  Result<void> see_through(Streams streams, EncodeReport& report);
  Result<void> make_outer_views();
  Result<void> make_last_views();
  Result<void> make_view_of(ByteSpan image, const StreamList& streams, const ViewLayout& layout,
                            Expanse& view);
  Result<void> make_alike_images();
  Result<void> make_alike_image(ByteSpan image, const std::vector<AddressRange>& ranges,
                                Expanse& alike);
  Result<void> move_to_place(Expanse& copy, ByteSpan& bytes);
  Result<void> plan_for(std::uint64_t base_view, std::uint64_t target_view);
  Expanse::Place place() const {
    return {plan.where, options_.temporary_directory, options_.free_bytes_min};
  }
  void keep(const Expanse& expanse);
  void let_go(Expanse& expanse);
  void find_addresses_that_fit();

  const EncodeOptions& options_;
  std::vector<ByteSpan> mapped_;
  // Of these, `residence_` goes first.
  Expanse base_copy_;
  Expanse target_copy_;
  Expanse outer_base_;  // views, while the last ones are made of them
  Expanse outer_target_;
  Expanse base_view_;
  Expanse target_view_;
  Expanse alike_base_;
  Expanse alike_target_;
  std::unique_ptr<Residence> residence_;
};

Result<void> check_not_stopped(const EncodeOptions& options);

}  // namespace layby::delta
