// Bytes, hexadecimal and little-endian numbers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace layby {

using Bytes = std::vector<std::uint8_t>;
using ByteSpan = std::span<const std::uint8_t>;
using MutableByteSpan = std::span<std::uint8_t>;

inline ByteSpan as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteSpan bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline Bytes to_bytes(std::string_view text) {
  return {text.begin(), text.end()};
}

// Lower-case hexadecimal.
std::string to_hex(ByteSpan bytes);

// Accepts lower case only, so that one value has one spelling. kBadFormat otherwise.
Result<Bytes> from_hex(std::string_view hex);

template <std::size_t N>
Result<std::array<std::uint8_t, N>> array_from_hex(std::string_view hex) {
  const Bytes bytes = TRY(from_hex(hex));
  if (bytes.size() != N)
    return fail(ErrorCode::kBadFormat, "expected {} hexadecimal digits, got {}", 2 * N, hex.size());
  std::array<std::uint8_t, N> out;
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}

// Standard base64 with padding (RFC 4648, section 4). Decoding refuses anything but the one
// canonical spelling.
std::string to_base64(ByteSpan bytes);
Result<Bytes> from_base64(std::string_view text);

// Little-endian integers in a byte sequence. The caller has checked the bounds.
std::uint16_t load_u16(const std::uint8_t* from);
std::uint32_t load_u32(const std::uint8_t* from);
std::uint64_t load_u64(const std::uint8_t* from);
void append_u16(Bytes& to, std::uint16_t value);
void append_u32(Bytes& to, std::uint32_t value);
void append_u64(Bytes& to, std::uint64_t value);

}  // namespace layby
