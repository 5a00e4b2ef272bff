#include <catch2/catch.hpp>

#include "agent/secondary/message.h"

using namespace layby;
using namespace layby::secondary;

namespace {

ErrorCode refusal(ByteSpan header) {
  const auto read = read_header(header);
  REQUIRE_FALSE(read);
  return read.error().code();
}

}  // namespace

TEST_CASE("A message has the bytes that docs/secondaries.md says") {
  const auto piece = encode(make_piece({.offset = 0x0102, .bytes = as_bytes("abc")}));
  CHECK(to_hex(piece.value()) ==
        "4c4501070b000000"
        "0201000000000000"
        "616263");
  const auto want = encode(make_want({RepositoryName::kImage, 16384, "timestamp.json"}));
  CHECK(to_hex(want.value()) ==
        "4c45018113000000"
        "01"
        "00400000"
        "74696d657374616d702e6a736f6e");
}

TEST_CASE("A header that is none, unknown or too long is refused before its body is read") {
  const Bytes good = encode(make_look(LookFor::kAll)).value();
  const ByteSpan header = ByteSpan(good).first(kHeaderBytes);
  CHECK(read_header(header)->type == MessageType::kLook);
  CHECK(read_header(header)->body_bytes == 1);
  CHECK(refusal(ByteSpan(good).first(7)) == ErrorCode::kBadFormat);
  for (const auto& [at, value, code] :
       {std::tuple(0, 0x4d, ErrorCode::kBadFormat), std::tuple(1, 0, ErrorCode::kBadFormat),
        std::tuple(2, 2, ErrorCode::kUnsupported), std::tuple(3, 0, ErrorCode::kBadFormat),
        std::tuple(3, 200, ErrorCode::kBadFormat), std::tuple(4, 2, ErrorCode::kEndlessData),
        std::tuple(7, 0xff, ErrorCode::kEndlessData)}) {
    Bytes bad(header.begin(), header.end());
    bad[static_cast<std::size_t>(at)] = static_cast<std::uint8_t>(value);
    CHECK(refusal(bad) == code);
  }
}

TEST_CASE("Bodies are what their writers make, and nothing else") {
  const manifest::TimeNonce a{1}, b{2};
  const auto time = read_time(make_time({.nonces = {a, b}, .document = to_bytes("{}")}).body);
  REQUIRE(time);
  CHECK(time->nonces == std::vector{a, b});
  CHECK(as_text(time->document) == "{}");
  CHECK_FALSE(read_time(Bytes{}));
  CHECK_FALSE(read_time(Bytes{0, 1, 2}));
  CHECK_FALSE(read_time(Bytes(1 + 16, 1)));            // a nonce, and no document
  CHECK_FALSE(read_time(Bytes(1 + 65 * 16 + 1, 65)));  // more ECUs than there may be

  CHECK(read_file_body(make_file(Bytes{1, 2}).body).value() == Bytes{1, 2});
  CHECK(read_file_body(make_file(std::nullopt).body).value() == std::nullopt);
  CHECK_FALSE(read_file_body(Bytes{0, 1}));
  CHECK_FALSE(read_file_body(Bytes{2}));
  CHECK_FALSE(read_file_body(Bytes{}));

  CHECK_FALSE(read_look(Bytes{2}));
  CHECK_FALSE(read_begin_answer(Bytes{3}));
  CHECK_FALSE(read_piece(Bytes(8)));
  CHECK_FALSE(read_digest(Bytes(31)));
  for (const std::string& name : {std::string("../root.json"), std::string(), std::string("a b"),
                                  std::string("a\0", 2), std::string(281, 'a')}) {
    const std::string body = std::string(5, '\0') + name;
    CHECK_FALSE(read_want(as_bytes(body)));
  }
  for (const std::string& name : {std::string("3.A%2Fb-c_d~.json"), std::string(280, 'a')})
    CHECK(read_want(make_want({RepositoryName::kImage, 1, name}).body).value().file == name);
}

TEST_CASE("An error comes back as it was, and a code of another build is an error, too") {
  const Error error(ErrorCode::kWrongImage, "not this one");
  const Error back = read_error(make_error(error).body);
  CHECK(back.code() == error.code());
  CHECK(back.message() == error.message());
  CHECK(read_error(Bytes{0xff, 0xff, 'x'}).code() == ErrorCode::kInternal);
  CHECK(read_error(Bytes{1}).code() == ErrorCode::kBadFormat);
}
