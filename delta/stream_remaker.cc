#include "delta/stream_remaker.h"

#include <algorithm>
#include <bit>

#include "base/assert.h"
#include "delta/deflate_stream.h"
#include "delta/stream_text.h"
#include "delta/xz_stream.h"
#include "delta/zstd_frame.h"

namespace layby::delta {
namespace {

constexpr std::size_t kLikelyMax = 8;
constexpr std::uint32_t kZstdLevelMax = 22;
constexpr std::uint32_t kZstdLevelUsual = 15;  // mksquashfs
// What a level does for each byte, in the units of Deflater::find_recipe, times the level.
constexpr std::uint64_t kZstdWorkPerByte = 4;
constexpr std::uint64_t kXzWorkPerByte = 64;  // whatever the preset

void store_bytes(std::uint32_t number, std::endian order, MutableByteSpan to) {
  for (std::size_t i = 0; i < 4; ++i)
    to[i] = static_cast<std::uint8_t>(number >> 8 * (order == std::endian::little ? i : 3 - i));
}

// What zlib writes before deflate (RFC 1950, 2.2).
void store_zlib_header(const DeflateRecipe& recipe, MutableByteSpan to) {
  const bool fixed_or_fast = recipe.level < 2;
  const std::uint32_t level = fixed_or_fast ? 0 : recipe.level < 6 ? 1 : recipe.level == 6 ? 2 : 3;
  std::uint32_t header = (8u | (recipe.window_bits - 8u) << 4) << 8 | level << 6;
  header += 31 - header % 31;
  to[0] = static_cast<std::uint8_t>(header >> 8);
  to[1] = static_cast<std::uint8_t>(header);
}

void store_around(StreamForm form, const DeflateRecipe& recipe, ByteSpan text,
                  MutableByteSpan stream) {
  const MutableByteSpan trailer = stream.last(trailer_bytes(form));
  switch (form) {
    case StreamForm::kDeflate:
    case StreamForm::kZstd:
    case StreamForm::kXz: return;
    case StreamForm::kGzip:
      store_bytes(crc32(text), std::endian::little, trailer.first(4));
      store_bytes(static_cast<std::uint32_t>(text.size()), std::endian::little, trailer.last(4));
      return;
    case StreamForm::kZlib:
      store_zlib_header(recipe, stream.first(2));
      store_bytes(adler32(text), std::endian::big, trailer);
      return;
  }
}

}  // namespace

struct StreamRemaker::State {
  Deflater deflater;
  std::uint64_t steps_left = kDeflateStepsBesides;
  std::vector<DeflateRecipe> likely;  // the latest first
  std::uint32_t zstd_level = kZstdLevelUsual;
  std::uint32_t xz_preset = XzRecipe::kPresetMax;

  std::optional<std::uint32_t> find_deflate_recipe(StreamForm form, ByteSpan stream, ByteSpan text,
                                                   std::uint64_t& work_left);
  std::optional<std::uint32_t> find_zstd_level(ByteSpan stream, ByteSpan text,
                                               std::uint64_t& work_left);
  std::optional<std::uint32_t> find_xz_recipe(ByteSpan stream, ByteSpan text,
                                              std::uint64_t& work_left);
};

StreamRemaker::StreamRemaker() : state_(std::make_unique<State>()) {}
StreamRemaker::~StreamRemaker() = default;

Result<void> StreamRemaker::remake(StreamForm form, std::uint32_t recipe, ByteSpan text,
                                   MutableByteSpan stream) {
  if (form == StreamForm::kZstd) {
    if (recipe == 0 || recipe > kZstdLevelMax)
      return fail(ErrorCode::kBadPayload, "no zstd recipe has the number {}", recipe);
    return zstd_compress(text, static_cast<int>(recipe), stream);
  }
  if (form == StreamForm::kXz) return xz_compress(text, TRY(XzRecipe::from_number(recipe)), stream);
  const DeflateRecipe deflate = TRY(recipe_from_number(recipe));
  const std::size_t around = header_bytes(form) + trailer_bytes(form);
  if (stream.size() <= around)
    return fail(ErrorCode::kBadPayload, "a stream of {} bytes is too short", stream.size());
  TRY_VOID(state_->deflater.deflate(text, deflate,
                                    stream.subspan(header_bytes(form), stream.size() - around),
                                    state_->steps_left));
  store_around(form, deflate, text, stream);
  return {};
}

std::optional<std::uint32_t> StreamRemaker::State::find_deflate_recipe(StreamForm form,
                                                                       ByteSpan stream,
                                                                       ByteSpan text,
                                                                       std::uint64_t& work_left) {
  const std::size_t around = header_bytes(form) + trailer_bytes(form);
  if (stream.size() <= around) return std::nullopt;
  RecipeBounds bounds;
  if (form == StreamForm::kZlib) {
    const auto of_header = bounds_of_zlib_header(stream[0], stream[1]);
    if (!of_header) return std::nullopt;  // no header that would be made again
    bounds = *of_header;
  }
  const auto found = deflater.find_recipe(
      stream.subspan(header_bytes(form), stream.size() - around), text, likely, bounds, work_left);
  if (!found) return std::nullopt;
  std::erase(likely, *found);
  likely.insert(likely.begin(), *found);
  if (likely.size() > kLikelyMax) likely.pop_back();
  Bytes made(stream.begin(), stream.end());
  store_around(form, *found, text, made);
  if (!std::equal(made.begin(), made.end(), stream.begin())) return std::nullopt;
  return static_cast<std::uint32_t>(recipe_number(*found));
}

std::optional<std::uint32_t> StreamRemaker::State::find_zstd_level(ByteSpan stream, ByteSpan text,
                                                                   std::uint64_t& work_left) {
  Bytes made(stream.size());
  const auto makes = [&](std::uint32_t level) {
    if (work_left == 0 || text.size() > zstd_text_bytes_max(level)) return false;
    work_left -= std::min(work_left, kZstdWorkPerByte * level * text.size());
    return zstd_compress(text, static_cast<int>(level), made) &&
           std::equal(made.begin(), made.end(), stream.begin());
  };
  if (makes(zstd_level)) return zstd_level;
  for (std::uint32_t level = 1; level <= kZstdLevelMax; ++level)
    if (level != zstd_level && makes(level)) return zstd_level = level;
  return std::nullopt;
}

std::optional<std::uint32_t> StreamRemaker::State::find_xz_recipe(ByteSpan stream, ByteSpan text,
                                                                  std::uint64_t& work_left) {
  const std::optional<std::uint32_t> dictionary = xz_dictionary(stream);
  if (!dictionary || text.size() > kXzTextBytesMax) return std::nullopt;
  Bytes made(stream.size());
  const auto makes = [&](std::uint32_t preset) {
    if (work_left == 0) return false;
    work_left -= std::min(work_left, kXzWorkPerByte * text.size());
    return xz_compress(text, {preset, *dictionary}, made) &&
           std::equal(made.begin(), made.end(), stream.begin());
  };
  if (makes(xz_preset)) return XzRecipe{xz_preset, *dictionary}.number();
  for (std::uint32_t preset = 0; preset <= XzRecipe::kPresetMax; ++preset)
    if (preset != xz_preset && makes(preset))
      return XzRecipe{xz_preset = preset, *dictionary}.number();
  return std::nullopt;
}

std::optional<std::uint32_t> StreamRemaker::find_recipe(StreamForm form, ByteSpan stream,
                                                        ByteSpan text, std::uint64_t& work_left) {
  switch (form) {
    case StreamForm::kDeflate:
    case StreamForm::kGzip:
    case StreamForm::kZlib: return state_->find_deflate_recipe(form, stream, text, work_left);
    case StreamForm::kZstd: return state_->find_zstd_level(stream, text, work_left);
    case StreamForm::kXz: return state_->find_xz_recipe(stream, text, work_left);
  }
  return std::nullopt;
}

void StreamRemaker::forget_likely() {
  state_->likely.clear();
  state_->zstd_level = kZstdLevelUsual;
  state_->xz_preset = XzRecipe::kPresetMax;
}

}  // namespace layby::delta
