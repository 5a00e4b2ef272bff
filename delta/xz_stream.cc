#include "delta/xz_stream.h"

#include <lzma.h>

#include <algorithm>

#include "base/assert.h"

namespace layby::delta {
namespace {

constexpr std::uint32_t kDictionaryMax = 12;
// A decoder with the longest dictionary takes 320 KiB: a stream that asks for more is none of ours.
constexpr std::uint64_t kDecoderBytesMax = 512 * kKiB;

constexpr std::uint8_t kStreamBegin[] = {0xfd, '7', 'z', 'X', 'Z', 0, 0, LZMA_CHECK_CRC32};
constexpr std::size_t kStreamHeaderBytes = 12;  // with its CRC-32
constexpr std::uint8_t kHasStreamBytes = 0x40;
constexpr std::uint8_t kHasTextBytes = 0x80;
constexpr std::uint8_t kLzma2 = 0x21;

std::uint32_t dictionary_bytes(std::uint32_t spelt) {
  return (2 | (spelt & 1)) << (spelt / 2 + 11);
}

// Bytes of the text; nothing where `stream` is no stream or has a longer text than `text`.
std::optional<std::size_t> decode(ByteSpan stream, MutableByteSpan text) {
  if (!xz_dictionary(stream)) return std::nullopt;
  std::uint64_t memory = kDecoderBytesMax;
  std::size_t in = 0;
  std::size_t out = 0;
  const lzma_ret outcome = lzma_stream_buffer_decode(&memory, 0, nullptr, stream.data(), &in,
                                                     stream.size(), text.data(), &out, text.size());
  if (outcome != LZMA_OK || in != stream.size()) return std::nullopt;
  return out;
}

}  // namespace

Result<XzRecipe> XzRecipe::from_number(std::uint32_t number) {
  const XzRecipe recipe{number & 15, number >> 4};
  if (recipe.preset > kPresetMax || recipe.dictionary > kDictionaryMax)
    return fail(ErrorCode::kBadPayload, "no xz recipe has the number {}", number);
  return recipe;
}

std::optional<Bytes> xz_text(ByteSpan stream, std::size_t text_bytes_max) {
  Bytes text(std::min<std::size_t>(text_bytes_max, kXzTextBytesMax));
  const std::optional<std::size_t> bytes = decode(stream, text);
  if (!bytes || *bytes == 0) return std::nullopt;
  text.resize(*bytes);
  return text;
}

Result<void> xz_expand(ByteSpan stream, MutableByteSpan text) {
  const std::optional<std::size_t> bytes = decode(stream, text);
  if (!bytes || *bytes != text.size())
    return fail(ErrorCode::kBadPayload, "not exactly one xz stream of {} bytes", text.size());
  return {};
}

Result<void> xz_compress(ByteSpan text, const XzRecipe& recipe, MutableByteSpan stream) {
  lzma_options_lzma options;
  LAYBY_ASSERT(!lzma_lzma_preset(&options, recipe.preset));
  options.dict_size = dictionary_bytes(recipe.dictionary);
  lzma_filter filters[] = {{LZMA_FILTER_LZMA2, &options}, {LZMA_VLI_UNKNOWN, nullptr}};
  // Short of room at its end the library would store the text instead.
  Bytes made(lzma_stream_buffer_bound(text.size()));
  std::size_t size = 0;
  const lzma_ret outcome =
      lzma_stream_buffer_encode(filters, LZMA_CHECK_CRC32, nullptr, text.data(), text.size(),
                                made.data(), &size, made.size());
  if (outcome != LZMA_OK || size != stream.size())
    return fail(ErrorCode::kBadPayload, "liblzma {} does not make {} bytes of a text",
                lzma_version_string(), stream.size());
  std::copy_n(made.begin(), size, stream.begin());
  return {};
}

// The .xz file format 1.1.0, 2.1.1 and 3.1.
std::optional<std::uint32_t> xz_dictionary(ByteSpan stream) {
  if (stream.size() < kStreamHeaderBytes + 8 ||
      !std::equal(std::begin(kStreamBegin), std::end(kStreamBegin), stream.begin()))
    return std::nullopt;
  const ByteSpan header = stream.subspan(kStreamHeaderBytes);
  const std::uint8_t flags = header[1];
  if ((flags & ~(kHasStreamBytes | kHasTextBytes)) != 0) return std::nullopt;
  std::size_t at = 2;
  for (const std::uint8_t has_number : {kHasStreamBytes, kHasTextBytes}) {
    if ((flags & has_number) == 0) continue;
    while (at < header.size() && (header[at] & 0x80) != 0) ++at;
    ++at;
  }
  if (header.size() < at + 3 || header[at] != kLzma2 || header[at + 1] != 1 ||
      header[at + 2] > kDictionaryMax)
    return std::nullopt;
  return header[at + 2];
}

std::uint32_t xz_version() {
  return lzma_version_number();
}

}  // namespace layby::delta
