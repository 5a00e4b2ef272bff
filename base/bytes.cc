#include "base/bytes.h"

namespace layby {
namespace {

constexpr char kHexDigits[] = "0123456789abcdef";
constexpr char kBase64Digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

int base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  if (c == '/') return 63;
  return -1;
}

template <typename T>
T load(const std::uint8_t* from) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i)
    value = static_cast<T>(value | (static_cast<T>(from[i]) << (8 * i)));
  return value;
}

template <typename T>
void append(Bytes& to, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i)
    to.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

}  // namespace

std::string to_hex(ByteSpan bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const std::uint8_t byte : bytes) {
    out.push_back(kHexDigits[byte >> 4]);
    out.push_back(kHexDigits[byte & 15]);
  }
  return out;
}

Result<Bytes> from_hex(std::string_view hex) {
  if (hex.size() % 2 != 0)
    return fail(ErrorCode::kBadFormat, "odd number of hexadecimal digits: {}", hex.size());
  Bytes out;
  out.reserve(hex.size() / 2);
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    const int high = hex_value(hex[i]), low = hex_value(hex[i + 1]);
    if (high < 0 || low < 0)
      return fail(ErrorCode::kBadFormat, "not a lower-case hexadecimal digit at {}", i);
    out.push_back(static_cast<std::uint8_t>(high << 4 | low));
  }
  return out;
}

std::string to_base64(ByteSpan bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t n = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = static_cast<std::uint32_t>(bytes[i]) << 16;
    if (n > 1) group |= static_cast<std::uint32_t>(bytes[i + 1]) << 8;
    if (n > 2) group |= bytes[i + 2];
    out.push_back(kBase64Digits[group >> 18]);
    out.push_back(kBase64Digits[group >> 12 & 63]);
    out.push_back(n > 1 ? kBase64Digits[group >> 6 & 63] : '=');
    out.push_back(n > 2 ? kBase64Digits[group & 63] : '=');
  }
  return out;
}

Result<Bytes> from_base64(std::string_view text) {
  if (text.size() % 4 != 0)
    return fail(ErrorCode::kBadFormat, "base64 length {} is not a multiple of 4", text.size());
  Bytes out;
  out.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    const bool last = i + 4 == text.size();
    const std::size_t padding = !last ? 0 : text[i + 3] != '=' ? 0 : text[i + 2] != '=' ? 1 : 2;
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 4 - padding; ++j) {
      const int value = base64_value(text[i + j]);
      if (value < 0) return fail(ErrorCode::kBadFormat, "not a base64 digit at {}", i + j);
      group |= static_cast<std::uint32_t>(value) << (18 - 6 * j);
    }
    if ((padding == 1 && (group & 0xff) != 0) || (padding == 2 && (group & 0xffff) != 0))
      return fail(ErrorCode::kBadFormat, "base64 is not canonical");
    out.push_back(static_cast<std::uint8_t>(group >> 16));
    if (padding < 2) out.push_back(static_cast<std::uint8_t>(group >> 8));
    if (padding < 1) out.push_back(static_cast<std::uint8_t>(group));
  }
  return out;
}

std::uint16_t load_u16(const std::uint8_t* from) {
  return load<std::uint16_t>(from);
}
std::uint32_t load_u32(const std::uint8_t* from) {
  return load<std::uint32_t>(from);
}
std::uint64_t load_u64(const std::uint8_t* from) {
  return load<std::uint64_t>(from);
}
void append_u16(Bytes& to, std::uint16_t value) {
  append(to, value);
}
void append_u32(Bytes& to, std::uint32_t value) {
  append(to, value);
}
void append_u64(Bytes& to, std::uint64_t value) {
  append(to, value);
}

}  // namespace layby
