#include "delta/material.h"

#include <algorithm>

#include "delta/alike.h"
#include "delta/elf_ranges.h"
#include "delta/share_out.h"
#include "delta/stream_choice.h"

namespace layby::delta {
namespace {

constexpr std::size_t kLoadBytes = 1 * kMiB;

CoderId choose_coder(bool has_base, Profile profile) {
  switch (profile) {
    case Profile::kFast: return CoderId::kZstdColumns;
    case Profile::kSmall: break;
  }
  return has_base ? CoderId::kMixed : CoderId::kZstdColumns;
}

crypto::Digest256 digest_of(ByteSpan image) {
  crypto::Hasher hasher(crypto::Hasher::With::kSha256);
  for_each_window(image, [&hasher](ByteSpan window) { hasher.update(window); });
  return hasher.finish().sha256;
}

std::vector<ChunkSpan> even_chunks(std::uint64_t target_bytes, std::uint32_t chunk_bytes) {
  return chunk_spans(plan_chunks(target_bytes, chunk_bytes, {}).ends, ViewLayout(target_bytes));
}

}  // namespace

Result<void> check_not_stopped(const EncodeOptions& options) {
  if (options.stop.stop_requested())
    return fail(ErrorCode::kCancelled, "making the payload was stopped");
  return {};
}

Result<std::unique_ptr<Material>> Material::prepare(const ReadAt* base, const ReadAt& target,
                                                    Streams streams, const EncodeOptions& options,
                                                    EncodeReport& report) {
  std::unique_ptr<Material> material(new Material(options));
  Material& m = *material;
  const std::uint64_t base_bytes = base != nullptr ? base->size() : 0;
  m.coder = choose_coder(base_bytes > 0, options.profile);
  TRY_VOID(m.plan_for(base_bytes, target.size()));
  if (base != nullptr) TRY_VOID(m.load(*base, m.base_copy_, m.base_image));
  TRY_VOID(m.load(target, m.target_copy_, m.target_image));
  share_out(2, m.plan.threads, [&](std::size_t i) {
    if (i == 1) m.target_sha256 = digest_of(m.target_image);
    if (i == 0 && base != nullptr) m.base_name = {base_bytes, digest_of(m.base_image)};
    return true;
  });
  m.base = m.base_image;
  m.target = m.target_image;
  TRY_VOID(check_not_stopped(options));
  if (m.coder == CoderId::kMixed) TRY_VOID(m.see_through(streams, report));
  if (m.streams.empty()) m.chunks = even_chunks(m.target.size(), *options.chunk_target_bytes);
  m.match_base = m.base;
  m.match_target = m.target;
  TRY_VOID(check_not_stopped(options));
  if (!m.addresses.modules.empty()) TRY_VOID(m.make_alike_images());
  TRY_VOID(check_not_stopped(options));
  return material;
}

// Images, their views where those are others, and what is made of the views for matching.
Result<void> Material::plan_for(std::uint64_t base_view, std::uint64_t target_view) {
  const bool has_views = target_view != target_image.size() || base_view != base_image.size();
  std::uint64_t all = base_view + target_view;
  if (coder == CoderId::kMixed) all *= 2;
  if (has_views) all += base_image.size() + target_image.size();
  const std::uint64_t passing = coder == CoderId::kMixed ? std::max(base_view, target_view) : 0;
  plan = TRY(plan_memory({base_view, target_view, all, passing}, coder, options_));
  switch (plan.where) {
    case Expanse::Where::kHeap: break;
    case Expanse::Where::kFile:
      residence_.reset();
      residence_ = std::make_unique<Residence>(plan.file_pages_bytes_max);
      for (const ByteSpan mapped : mapped_) residence_->look_after(mapped);
  }
  return {};
}

Result<void> Material::load(const ReadAt& source, Expanse& copy, ByteSpan& bytes) {
  if (const auto mapped = mapped_bytes(source)) {
    bytes = *mapped;
    mapped_.push_back(bytes);
    if (residence_) residence_->look_after(bytes);
    return {};
  }
  copy = TRY(Expanse::create(source.size(), place()));
  keep(copy);
  for (std::size_t at = 0; at < copy.bytes().size(); at += kLoadBytes) {
    TRY_VOID(check_not_stopped(options_));
    const std::size_t size = std::min(kLoadBytes, copy.bytes().size() - at);
    TRY_VOID(source.read_at(at, copy.bytes().subspan(at, size)));
    let_pages_go();
  }
  bytes = copy.bytes();
  return {};
}

// With views an image may no longer have room where it was loaded to.
Result<void> Material::move_to_place(Expanse& copy, ByteSpan& bytes) {
  if (copy.bytes().empty() || copy.is_file() || plan.where == Expanse::Where::kHeap) return {};
  Expanse moved = TRY(Expanse::create(copy.bytes().size(), place()));
  copy_in_windows(copy.bytes(), moved.bytes());
  copy = std::move(moved);
  keep(copy);
  bytes = copy.bytes();
  return {};
}

void Material::keep(const Expanse& expanse) {
  if (!expanse.is_file()) return;
  mapped_.push_back(expanse.bytes());
  if (residence_) residence_->look_after(expanse.bytes());
}

void Material::let_go(Expanse& expanse) {
  if (expanse.is_file()) {
    const ByteSpan bytes = expanse.bytes();
    if (residence_) residence_->forget(bytes);
    std::erase_if(mapped_, [&](ByteSpan mapped) { return mapped.data() == bytes.data(); });
  }
  expanse = Expanse();
}

// The views, where streams are worth it, and addresses in them.
Result<void> Material::see_through(Streams allowed, EncodeReport& report) {
  StreamChoice choice;
  const std::uint32_t chunk_bytes = std::min(*options_.chunk_target_bytes, kStreamChunkBytesMax);
  if (allowed == Streams::kExpanded)
    choice = choose_streams(base_image, target_image, chunk_bytes, plan.threads, options_.stop);
  TRY_VOID(check_not_stopped(options_));
  report.streams_left_out = choice.left_out;
  if (!choice.table.empty() && choice.chunk_ends.size() > kPayloadChunksMax) {
    report.streams_given_up = "more chunks than a payload has";
    choice.table = {};
  }
  base_layers = ViewLayout(base_image.size());
  target_layers = ViewLayout(target_image.size());
  if (!choice.table.empty()) {
    streams = choice.table;
    TRY_VOID(make_outer_views());
    add_inner_streams({base_image, base, target_image, target}, chunk_bytes, plan.threads,
                      options_.stop, choice);
    TRY_VOID(check_not_stopped(options_));
    streams = std::move(choice.table);
    if (streams.has_inner()) TRY_VOID(make_last_views());
    chunks = chunk_spans(choice.chunk_ends, target_layers);
    report.streams = streams.target.size() + streams.inner_target.size();
    report.streams_left_out = choice.left_out;
  }
  find_addresses_that_fit();
  return {};
}

Result<void> Material::make_view_of(ByteSpan image, const StreamList& listed,
                                    const ViewLayout& layout, Expanse& view) {
  view = TRY(Expanse::create(layout.view_bytes(), place()));
  keep(view);
  make_view(image, listed, layout, plan.threads, view.bytes());
  return {};
}

Result<void> Material::make_outer_views() {
  base_layers = TRY(ViewLayout::create(base_image.size(), streams.base));
  target_layers = TRY(ViewLayout::create(target_image.size(), streams.target));
  TRY_VOID(plan_for(base_layers.view_bytes(), target_layers.view_bytes()));
  TRY_VOID(move_to_place(base_copy_, base_image));
  TRY_VOID(move_to_place(target_copy_, target_image));
  TRY_VOID(make_view_of(base_image, streams.base, base_layers.outer, base_view_));
  TRY_VOID(make_view_of(target_image, streams.target, target_layers.outer, target_view_));
  base = base_view_.bytes();
  target = target_view_.bytes();
  return {};
}

// Images that are made alike come later: until then there is room for both views.
Result<void> Material::make_last_views() {
  base_layers = TRY(ViewLayers::create(base_image.size(), streams.base, streams.inner_base));
  target_layers =
      TRY(ViewLayers::create(target_image.size(), streams.target, streams.inner_target));
  TRY_VOID(plan_for(base_layers.view_bytes(), target_layers.view_bytes()));
  TRY_VOID(move_to_place(base_copy_, base_image));
  TRY_VOID(move_to_place(target_copy_, target_image));
  outer_base_ = std::move(base_view_);
  TRY_VOID(make_view_of(base, streams.inner_base, base_layers.inner, base_view_));
  let_go(outer_base_);
  outer_target_ = std::move(target_view_);
  TRY_VOID(make_view_of(target, streams.inner_target, target_layers.inner, target_view_));
  let_go(outer_target_);
  base = base_view_.bytes();
  target = target_view_.bytes();
  return {};
}

// Without addresses a payload is larger, but it is one.
void Material::find_addresses_that_fit() {
  addresses = find_addresses({base_image, base, base_layers}, {target_image, target, target_layers},
                             options_.memory_bytes_max / 4);
  const Bytes packed = serialise_address_table(addresses);
  if (!parse_address_table(packed, base.size(), target.size())) addresses = {};
}

Result<void> Material::make_alike_image(ByteSpan image, const std::vector<AddressRange>& ranges,
                                        Expanse& alike) {
  Expanse bare = TRY(Expanse::create(image.size(), place()));
  alike = TRY(Expanse::create(image.size(), place()));
  keep(alike);
  const LookedAfter bare_is(bare.is_file() ? residence_.get() : nullptr, bare.bytes());
  make_alike(image, addresses.modules, ranges, plan.threads, bare.bytes(), alike.bytes());
  return {};
}

Result<void> Material::make_alike_images() {
  TRY_VOID(make_alike_image(base, addresses.base, alike_base_));
  TRY_VOID(make_alike_image(target, addresses.target, alike_target_));
  match_base = alike_base_.bytes();
  match_target = alike_target_.bytes();
  return {};
}

}  // namespace layby::delta
