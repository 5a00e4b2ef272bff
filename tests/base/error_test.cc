#include "base/error.h"

#include <catch2/catch.hpp>

#include "base/limits.h"
#include "base/time_text.h"
#include "base/utf8.h"

using namespace layby;

namespace {

bool is_utf8(const std::string& text) {
  for (std::size_t at = 0, length = 0; at < text.size(); at += length) {
    length = utf8_length(text, at);
    if (length == 0) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("a message is UTF-8 whatever it quotes") {
  CHECK(Error(ErrorCode::kIo, "reading /a\xff\xc3").message() == "reading /a??");
  CHECK(Error(ErrorCode::kIo, "Lümmel").with_context("in \x80").message() == "in ?: Lümmel");
  // Cut in the middle of a character.
  const auto error = parse_utc("0" + std::string(60, '\xc3') + "\xa4").error();
  CHECK(is_utf8(error.message()));
}

TEST_CASE("a message is cut, between characters") {
  std::string text = "x";
  while (text.size() <= kErrorBytesMax) text += "\u00e4";
  const Error error(ErrorCode::kBadJson, text);
  CHECK(error.message() == text.substr(0, kErrorBytesMax - 1));
  CHECK(Error(ErrorCode::kBadJson, std::string(kErrorBytesMax, 'x')).message().size() ==
        kErrorBytesMax);
  CHECK(error.with_context(std::string(kErrorBytesMax - 2, 'x')).message().size() ==
        kErrorBytesMax);
}

TEST_CASE("a code that somebody else has written is one of ours, or none") {
  CHECK(error_code(1) == ErrorCode::kInvalidArgument);
  CHECK(error_code(408) == ErrorCode::kEcuRefused);
  for (const std::uint64_t number : {0ull, 99ull, 409ull, 65'535ull, 65'537ull, ~0ull})
    CHECK(error_code(number) == std::nullopt);
}

TEST_CASE("characters of UTF-8 are told from what only looks like them") {
  CHECK(utf8_length("a", 0) == 1);
  CHECK(utf8_length("\xc3\xa4", 0) == 2);
  CHECK(utf8_length("\xe2\x82\xac", 0) == 3);
  CHECK(utf8_length("\xf0\x9f\x9a\x97", 0) == 4);
  for (const char* wrong :
       {"\x80", "\xc3", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80", "\xe2\x82",
        "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff"}) {
    CAPTURE(wrong);
    CHECK(utf8_length(wrong, 0) == 0);
  }
}
