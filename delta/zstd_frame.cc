#include "delta/zstd_frame.h"

#define ZSTD_STATIC_LINKING_ONLY  // for the format without magic number
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <bit>
#include <new>

#include "base/assert.h"

namespace layby::delta {
namespace {

struct CompressorFree {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};

struct DecompressorFree {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

// Whether `packed` is exactly one frame with a header as zstd_pack writes it: no content size, no
// checksum, no dictionary (RFC 8878, 3.1.1). The library alone would go on to a second frame, and
// where the bytes look like the magic number of zstd 0.5 to 0.7 hand them to the decoders of those.
bool is_one_frame(ByteSpan packed) {
  constexpr std::size_t kHeaderBytes = 2;  // descriptor and window
  constexpr std::size_t kBlockHeaderBytes = 3;
  if (packed.size() < kHeaderBytes || packed[0] != 0) return false;
  packed = packed.subspan(kHeaderBytes);
  while (packed.size() >= kBlockHeaderBytes) {
    const std::uint32_t header = packed[0] | packed[1] << 8 | packed[2] << 16;
    const bool is_last = (header & 1) != 0;
    const bool is_run = (header >> 1 & 3) == 1;  // one byte, repeated
    const std::size_t size = is_run ? 1 : header >> 3;
    packed = packed.subspan(kBlockHeaderBytes);
    if (size > packed.size()) return false;
    packed = packed.subspan(size);
    if (is_last) return packed.empty();
  }
  return false;
}

// Want of memory says nothing about the bytes, and is no bug.
std::size_t or_bad_alloc(std::size_t size) {
  if (ZSTD_getErrorCode(size) == ZSTD_error_memory_allocation) throw std::bad_alloc();
  return size;
}

void set(ZSTD_CCtx* context, ZSTD_cParameter parameter, int value) {
  LAYBY_ASSERT(!ZSTD_isError(ZSTD_CCtx_setParameter(context, parameter, value)));
}

}  // namespace

Bytes zstd_pack(ByteSpan bytes, ByteSpan history, int level) {
  const std::unique_ptr<ZSTD_CCtx, CompressorFree> context(ZSTD_createCCtx());
  if (!context) throw std::bad_alloc();
  set(context.get(), ZSTD_c_compressionLevel, level);
  set(context.get(), ZSTD_c_format, ZSTD_f_zstd1_magicless);
  set(context.get(), ZSTD_c_contentSizeFlag, 0);
  if (!history.empty()) {
    const int bits = static_cast<int>(std::bit_width(bytes.size() + history.size()));
    set(context.get(), ZSTD_c_windowLog, std::max(bits, ZSTD_WINDOWLOG_MIN));
    LAYBY_ASSERT(!ZSTD_isError(
        or_bad_alloc(ZSTD_CCtx_refPrefix(context.get(), history.data(), history.size()))));
  }
  Bytes packed(ZSTD_compressBound(bytes.size()));
  const std::size_t size = or_bad_alloc(
      ZSTD_compress2(context.get(), packed.data(), packed.size(), bytes.data(), bytes.size()));
  LAYBY_ASSERT(!ZSTD_isError(size));
  packed.resize(size);
  return packed;
}

struct ZstdUnpacker::State {
  State() : context(ZSTD_createDCtx()) {
    if (context == nullptr) throw std::bad_alloc();
    LAYBY_ASSERT(
        !ZSTD_isError(ZSTD_DCtx_setParameter(context, ZSTD_d_format, ZSTD_f_zstd1_magicless)));
  }
  ~State() { ZSTD_freeDCtx(context); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  ZSTD_DCtx* context;
};

ZstdUnpacker::ZstdUnpacker() : state_(std::make_unique<State>()) {}
ZstdUnpacker::~ZstdUnpacker() = default;

Result<void> ZstdUnpacker::unpack(ByteSpan packed, ByteSpan history, MutableByteSpan out) {
  if (!is_one_frame(packed))
    return fail(ErrorCode::kBadPayload, "a column of the chunk is not exactly one zstd frame");
  LAYBY_ASSERT(!ZSTD_isError(ZSTD_DCtx_reset(state_->context, ZSTD_reset_session_only)) &&
               !ZSTD_isError(or_bad_alloc(
                   ZSTD_DCtx_refPrefix(state_->context, history.data(), history.size()))));
  // In one call zstd decodes straight into `out` and needs no window of its own.
  const std::size_t size = or_bad_alloc(
      ZSTD_decompressDCtx(state_->context, out.data(), out.size(), packed.data(), packed.size()));
  if (ZSTD_isError(size))
    return fail(ErrorCode::kBadPayload, "a column of the chunk does not unpack: {}",
                ZSTD_getErrorName(size));
  if (size != out.size())
    return fail(ErrorCode::kBadPayload, "a column of the chunk has {} bytes, not {}", size,
                out.size());
  return {};
}

std::optional<std::uint64_t> zstd_text_bytes(ByteSpan frame) {
  const unsigned long long bytes = ZSTD_getFrameContentSize(frame.data(), frame.size());
  if (bytes == ZSTD_CONTENTSIZE_UNKNOWN || bytes == ZSTD_CONTENTSIZE_ERROR) return std::nullopt;
  return bytes;
}

Result<void> zstd_expand(ByteSpan frame, MutableByteSpan text) {
  // The library alone would hand frames of zstd 0.5 to 0.7 to decoders of those.
  if (frame.size() < 4 || load_u32(frame.data()) != ZSTD_MAGICNUMBER ||
      ZSTD_findFrameCompressedSize(frame.data(), frame.size()) != frame.size())
    return fail(ErrorCode::kBadPayload, "not exactly one zstd frame");
  const std::unique_ptr<ZSTD_DCtx, DecompressorFree> context(ZSTD_createDCtx());
  if (!context) throw std::bad_alloc();
  const std::size_t size = or_bad_alloc(
      ZSTD_decompressDCtx(context.get(), text.data(), text.size(), frame.data(), frame.size()));
  if (ZSTD_isError(size) || size != text.size())
    return fail(ErrorCode::kBadPayload, "a zstd frame does not expand to {} bytes", text.size());
  return {};
}

// A fresh context for each text: from 1.5.5 on what a context made before changes what it makes.
Result<void> zstd_compress(ByteSpan text, int level, MutableByteSpan frame) {
  const std::unique_ptr<ZSTD_CCtx, CompressorFree> context(ZSTD_createCCtx());
  if (!context) throw std::bad_alloc();
  set(context.get(), ZSTD_c_compressionLevel, level);
  // Left to itself a library without SIMD searches texts of 16 to 128 KiB in another way, and makes
  // other bytes. This is what one with SIMD chooses, and works everywhere.
  constexpr unsigned kRowsFromWindowLog = 15;
  const unsigned window_log = ZSTD_getCParams(level, text.size(), 0).windowLog;
  set(context.get(), ZSTD_c_useRowMatchFinder,
      window_log >= kRowsFromWindowLog ? ZSTD_ps_enable : ZSTD_ps_disable);
  // Short of room at its end the library would give up, or choose otherwise.
  Bytes made(ZSTD_compressBound(text.size()));
  const std::size_t size = or_bad_alloc(
      ZSTD_compress2(context.get(), made.data(), made.size(), text.data(), text.size()));
  if (ZSTD_isError(size) || size != frame.size())
    return fail(ErrorCode::kBadPayload, "zstd {} does not make {} bytes of a text", zstd_version(),
                frame.size());
  std::copy_n(made.begin(), size, frame.begin());
  return {};
}

std::uint32_t zstd_version() {
  return ZSTD_versionNumber();
}

}  // namespace layby::delta
