#include "delta/deflate_opening.h"

#include <array>
#include <span>

#include "delta/deflate_codes.h"

namespace layby::delta {
namespace {

constexpr std::size_t kTokensMax = 0x8000;

class BitSource {
 public:
  explicit BitSource(ByteSpan bytes) : bytes_(bytes) {}

  std::uint32_t take(unsigned count) {
    std::uint32_t value = 0;
    for (unsigned i = 0; i < count; ++i) value |= bit() << i;
    return value;
  }
  std::uint32_t bit() {
    if (at_ / 8 >= bytes_.size()) {
      is_over_ = true;
      return 0;
    }
    const std::uint32_t value = bytes_[at_ / 8] >> at_ % 8 & 1U;
    ++at_;
    return value;
  }
  bool is_over() const { return is_over_; }

 private:
  ByteSpan bytes_;
  std::size_t at_ = 0;
  bool is_over_ = false;
};

// Symbols by the lengths of their codes, which is all that a canonical code is.
class CodeReader {
 public:
  static constexpr std::uint32_t kNoSymbol = ~0U;

  explicit CodeReader(std::span<const std::uint8_t> lengths) {
    for (const std::uint8_t length : lengths) ++of_length_[length];
    of_length_[0] = 0;
    std::array<std::uint32_t, kCodeBitsMax + 2> begin{};
    for (unsigned i = 1; i <= kCodeBitsMax; ++i) begin[i + 1] = begin[i] + of_length_[i];
    for (std::uint32_t symbol = 0; symbol < lengths.size(); ++symbol)
      if (lengths[symbol] != 0)
        symbols_[begin[lengths[symbol]]++] = static_cast<std::uint16_t>(symbol);
  }

  std::uint32_t next(BitSource& source) const {
    std::uint32_t code = 0;
    std::uint32_t first = 0;
    std::uint32_t index = 0;
    for (unsigned bits = 1; bits <= kCodeBitsMax; ++bits) {
      code = code * 2 + source.bit();
      first *= 2;
      if (code < first) return kNoSymbol;  // more codes than there is room for
      if (code - first < of_length_[bits]) return symbols_[index + code - first];
      index += of_length_[bits];
      first += of_length_[bits];
    }
    return kNoSymbol;
  }

 private:
  std::array<std::uint32_t, kCodeBitsMax + 1> of_length_{};
  std::array<std::uint16_t, 320> symbols_{};
};

// The lengths of both codes of a dynamic block; whether they could be read.
bool read_lengths(BitSource& source, std::array<std::uint8_t, 320>& lengths,
                  std::uint32_t& literals, std::uint32_t& distances) {
  literals = 257 + source.take(5);
  distances = 1 + source.take(5);
  const std::uint32_t order = 4 + source.take(4);
  std::array<std::uint8_t, kLengthOfLengthCodes> of_lengths{};
  for (std::uint32_t i = 0; i < order; ++i)
    of_lengths[kLengthOrder[i]] = static_cast<std::uint8_t>(source.take(3));
  const CodeReader code(of_lengths);
  for (std::uint32_t i = 0; i < literals + distances;) {
    const std::uint32_t symbol = code.next(source);
    if (symbol == CodeReader::kNoSymbol || source.is_over()) return false;
    std::uint32_t times = 1;
    std::uint8_t length = 0;
    if (symbol < 16) {
      length = static_cast<std::uint8_t>(symbol);
    } else if (symbol == 16) {
      if (i == 0) return false;
      length = lengths[i - 1];
      times = 3 + source.take(2);
    } else {
      times = symbol == 17 ? 3 + source.take(3) : 11 + source.take(7);
    }
    if (times > literals + distances - i) return false;
    for (; times > 0; --times) lengths[i++] = length;
  }
  return !source.is_over();
}

// Until the block ends, or cannot be read on: what was read till then stays.
DeflateOpening::End read_tokens(BitSource& source, const CodeReader& literals,
                                const CodeReader& distances, std::vector<DeflateToken>& tokens) {
  while (tokens.size() < kTokensMax) {
    const std::uint32_t symbol = literals.next(source);
    if (source.is_over() || symbol == CodeReader::kNoSymbol) break;
    if (symbol == kEndOfBlock) return DeflateOpening::End::kOfBlock;
    if (symbol < kEndOfBlock) {
      tokens.push_back({.length = 1, .distance = static_cast<std::uint16_t>(symbol)});
      continue;
    }
    const std::uint32_t of_length = symbol - kEndOfBlock - 1;
    if (of_length >= kLengthExtra.size()) break;
    const std::uint32_t length =
        kLengthExtra[of_length].first + source.take(kLengthExtra[of_length].bits);
    const std::uint32_t of_distance = distances.next(source);
    if (of_distance >= kDistanceExtra.size()) break;
    const std::uint32_t distance =
        kDistanceExtra[of_distance].first + source.take(kDistanceExtra[of_distance].bits);
    if (source.is_over()) break;
    tokens.push_back({static_cast<std::uint16_t>(length), static_cast<std::uint16_t>(distance)});
  }
  return DeflateOpening::End::kNotSeen;
}

}  // namespace

DeflateOpening read_opening(ByteSpan stream) {
  DeflateOpening opening;
  BitSource source(stream);
  const bool is_last = source.bit() != 0;
  const std::uint32_t kind = source.take(2);
  if (source.is_over() || kind > 2) return opening;
  opening.kind = static_cast<DeflateOpening::Kind>(kind);
  switch (opening.kind) {
    case DeflateOpening::Kind::kNone: return opening;
    case DeflateOpening::Kind::kStored:
      if (stream.size() < 3) return opening;
      opening.stored_bytes = stream[1] + 256U * stream[2];
      opening.end = DeflateOpening::End::kOfBlock;
      break;
    case DeflateOpening::Kind::kFixed:
      opening.end =
          read_tokens(source, CodeReader(fixed_literal_code().bits),
                      CodeReader(std::span(fixed_distance_code().bits).first(30)), opening.tokens);
      break;
    case DeflateOpening::Kind::kDynamic: {
      std::array<std::uint8_t, 320> lengths{};
      std::uint32_t literals = 0;
      std::uint32_t distances = 0;
      if (!read_lengths(source, lengths, literals, distances)) {
        opening.kind = DeflateOpening::Kind::kNone;
        return opening;
      }
      const std::span<const std::uint8_t> all(lengths);
      opening.end = read_tokens(source, CodeReader(all.first(literals)),
                                CodeReader(all.subspan(literals, distances)), opening.tokens);
      break;
    }
  }
  if (opening.end == DeflateOpening::End::kOfBlock && is_last)
    opening.end = DeflateOpening::End::kOfStream;
  return opening;
}

}  // namespace layby::delta
