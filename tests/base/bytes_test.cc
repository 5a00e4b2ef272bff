#include "base/bytes.h"

#include <catch2/catch.hpp>

using namespace layby;

TEST_CASE("hex has one spelling") {
  CHECK(to_hex(Bytes{0x00, 0xff, 0x1a}) == "00ff1a");
  CHECK(from_hex("00ff1a").value() == Bytes{0x00, 0xff, 0x1a});
  CHECK(from_hex("0").error().code() == ErrorCode::kBadFormat);
  CHECK(from_hex("0G").error().code() == ErrorCode::kBadFormat);
  CHECK(from_hex("FF").error().code() == ErrorCode::kBadFormat);
  CHECK(array_from_hex<2>("0102").value() == std::array<std::uint8_t, 2>{1, 2});
  CHECK(array_from_hex<2>("010203").error().code() == ErrorCode::kBadFormat);
}

TEST_CASE("base64 follows the examples of RFC 4648, section 10") {
  const std::pair<const char*, const char*> examples[] = {{"", ""},
                                                          {"f", "Zg=="},
                                                          {"fo", "Zm8="},
                                                          {"foo", "Zm9v"},
                                                          {"foob", "Zm9vYg=="},
                                                          {"fooba", "Zm9vYmE="},
                                                          {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, coded] : examples) {
    CHECK(to_base64(as_bytes(plain)) == coded);
    CHECK(as_text(from_base64(coded).value()) == plain);
  }
}

TEST_CASE("base64 refuses a second spelling of the same bytes") {
  for (const char* bad : {"Zh==", "Zm9=", "Zg=", "Z===", "Zg==Zg==", "Zm 9", "Zg=A"})
    CHECK(from_base64(bad).error().code() == ErrorCode::kBadFormat);
}

TEST_CASE("integers are little-endian") {
  Bytes bytes;
  append_u16(bytes, 0x0102);
  append_u32(bytes, 0x03040506);
  append_u64(bytes, 0x0708090a0b0c0d0e);
  CHECK(to_hex(bytes) ==
        "020106050403"
        "0e0d0c0b0a090807");
  CHECK(load_u16(bytes.data()) == 0x0102);
  CHECK(load_u32(bytes.data() + 2) == 0x03040506);
  CHECK(load_u64(bytes.data() + 6) == 0x0708090a0b0c0d0e);
}
