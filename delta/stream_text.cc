#include "delta/stream_text.h"

#include <zlib.h>

#include <algorithm>

#include "base/assert.h"
#include "delta/xz_stream.h"
#include "delta/zstd_frame.h"

namespace layby::delta {
namespace {

constexpr std::size_t kSourceBytes = 16 * kKiB;

class Inflater {
 public:
  Inflater() { LAYBY_ASSERT(inflateInit2(&state_, -MAX_WBITS) == Z_OK); }
  ~Inflater() { inflateEnd(&state_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  enum class Outcome { kGoesOn, kAtEnd, kWrong };
  // Takes from `in` and puts into `out` what it can; both become what is left of them.
  Outcome inflate(ByteSpan& in, MutableByteSpan& out) {
    state_.next_in = const_cast<Bytef*>(in.data());  // it is only read
    state_.avail_in = static_cast<uInt>(in.size());
    // zlib wants a place to write even where there is nothing to write.
    std::uint8_t nowhere;
    state_.next_out = out.empty() ? &nowhere : out.data();
    state_.avail_out = static_cast<uInt>(out.size());
    const int outcome = ::inflate(&state_, Z_NO_FLUSH);
    in = in.last(state_.avail_in);
    out = out.last(state_.avail_out);
    if (outcome == Z_STREAM_END) return Outcome::kAtEnd;
    return outcome == Z_OK || outcome == Z_BUF_ERROR ? Outcome::kGoesOn : Outcome::kWrong;
  }

 private:
  z_stream state_{};
};

// The next bytes of the source, as many as asked for.
Result<void> read(const StreamSource& source, MutableByteSpan out) {
  while (!out.empty()) {
    const ByteSpan bytes = TRY(source(out.size()));
    LAYBY_ASSERT(!bytes.empty() && bytes.size() <= out.size());
    std::copy(bytes.begin(), bytes.end(), out.begin());
    out = out.subspan(bytes.size());
  }
  return {};
}

Result<void> inflate_stream(std::uint64_t left, const StreamSource& source, MutableByteSpan text) {
  Inflater inflater;
  const std::size_t wanted = text.size();
  while (true) {
    if (left == 0) return fail(ErrorCode::kBadPayload, "a deflate stream is cut off");
    ByteSpan in =
        TRY(source(static_cast<std::size_t>(std::min<std::uint64_t>(left, kSourceBytes))));
    left -= in.size();
    // One that has no room left makes no progress, and takes nothing more.
    for (std::size_t before = 0; !in.empty() && before != in.size();) {
      before = in.size();
      switch (inflater.inflate(in, text)) {
        case Inflater::Outcome::kGoesOn: break;
        case Inflater::Outcome::kWrong: return fail(ErrorCode::kBadPayload, "not a deflate stream");
        case Inflater::Outcome::kAtEnd:
          if (left != 0 || !in.empty() || !text.empty())
            return fail(ErrorCode::kBadPayload, "a deflate stream has another length than {} bytes",
                        wanted);
          return {};
      }
    }
    if (!in.empty())
      return fail(ErrorCode::kBadPayload, "a deflate stream has more than {} bytes", wanted);
  }
}

}  // namespace

std::size_t header_bytes(StreamForm form) {
  switch (form) {
    case StreamForm::kDeflate: return 0;
    case StreamForm::kGzip: return 0;
    case StreamForm::kZlib: return 2;
    case StreamForm::kZstd: return 0;
    case StreamForm::kXz: return 0;
  }
  return 0;
}

std::size_t trailer_bytes(StreamForm form) {
  switch (form) {
    case StreamForm::kDeflate: return 0;
    case StreamForm::kGzip: return 8;
    case StreamForm::kZlib: return 4;
    case StreamForm::kZstd: return 0;
    case StreamForm::kXz: return 0;
  }
  return 0;
}

Result<void> expand_stream(StreamForm form, std::uint64_t stream_bytes, const StreamSource& source,
                           MutableByteSpan text) {
  if (form == StreamForm::kZstd || form == StreamForm::kXz) {
    Bytes frame(static_cast<std::size_t>(stream_bytes));
    TRY_VOID(read(source, frame));
    return form == StreamForm::kZstd ? zstd_expand(frame, text) : xz_expand(frame, text);
  }
  const std::size_t header = header_bytes(form);
  const std::size_t trailer = trailer_bytes(form);
  if (stream_bytes <= header + trailer)
    return fail(ErrorCode::kBadPayload, "a stream of {} bytes is too short", stream_bytes);
  Bytes around(header);
  TRY_VOID(read(source, around));
  return inflate_stream(stream_bytes - header - trailer, source, text);
}

DeflateAttempt try_deflate(ByteSpan bytes, std::size_t text_bytes_max) {
  constexpr std::size_t kFirstBytes = 16 * kKiB;
  Inflater inflater;
  DeflateAttempt attempt;
  attempt.text.resize(std::min(kFirstBytes, text_bytes_max));
  ByteSpan in = bytes.first(std::min<std::size_t>(bytes.size(), kStreamBytesMax));
  const std::size_t given = in.size();
  std::size_t made = 0;
  Inflater::Outcome outcome;
  while (true) {
    MutableByteSpan out = MutableByteSpan(attempt.text).subspan(made);
    outcome = inflater.inflate(in, out);
    made = attempt.text.size() - out.size();
    if (outcome != Inflater::Outcome::kGoesOn || !out.empty() || made == text_bytes_max) break;
    attempt.text.resize(std::min(2 * made, text_bytes_max));
  }
  attempt.text.resize(made);
  attempt.looked_at_bytes = given - in.size();
  if (outcome == Inflater::Outcome::kAtEnd) attempt.stream_bytes = attempt.looked_at_bytes;
  return attempt;
}

std::optional<Bytes> text_of_stream(StreamForm form, ByteSpan stream, std::size_t text_bytes_max) {
  if (form == StreamForm::kZstd) {
    const std::optional<std::uint64_t> bytes = zstd_text_bytes(stream);
    if (!bytes || *bytes == 0 || *bytes > text_bytes_max) return std::nullopt;
    Bytes text(static_cast<std::size_t>(*bytes));
    if (!zstd_expand(stream, text)) return std::nullopt;
    return text;
  }
  if (form == StreamForm::kXz) return xz_text(stream, text_bytes_max);
  const std::size_t header = header_bytes(form);
  const std::size_t trailer = trailer_bytes(form);
  if (stream.size() <= header + trailer) return std::nullopt;
  DeflateAttempt attempt = try_deflate(stream.subspan(header), text_bytes_max);
  if (attempt.text.empty() || attempt.stream_bytes != stream.size() - header - trailer)
    return std::nullopt;
  return std::move(attempt.text);
}

std::uint32_t crc32(ByteSpan bytes) {
  return static_cast<std::uint32_t>(crc32_z(0, bytes.data(), bytes.size()));
}

std::uint32_t adler32(ByteSpan bytes) {
  return static_cast<std::uint32_t>(adler32_z(1, bytes.data(), bytes.size()));
}

}  // namespace layby::delta
