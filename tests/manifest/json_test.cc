#include "manifest/json.h"

#include <rapidcheck/catch.h>

#include "manifest/json_value.h"
#include "tests/manifest/test_repository.h"

namespace layby::tests {
namespace {

using namespace manifest;

Result<Json> parse(std::string_view text) {
  return parse_strict(as_bytes(text), {.bytes_max = 4096});
}

TEST_CASE("strict JSON: what is refused") {
  const std::string_view bad[] = {
      "",
      " ",
      "{",
      "[1,]",
      "{\"a\":1,}",
      "{\"a\":1}x",
      "{\"a\":1}{\"a\":1}",
      "[1] // comment",
      "{\"a\":1,\"a\":1}",
      "{\"x\":{\"a\":1,\"b\":2,\"\\u0061\":3}}",
      "1.0",
      "1.5",
      "1e3",
      "-0",
      "-0.0",
      "01",
      "+1",
      "NaN",
      "Infinity",
      "9007199254740992",
      "-9007199254740992",
      "18446744073709551616",
      "99999999999999999999999999",
      "'a'",
      "\"\n\"",
      "\"\\x41\"",
      "\"\\ud800\"",
      "\"\\udc00\\ud800\"",
      "\"\xff\"",
      "\"\xc0\xaf\"",
      "\"\xed\xa0\x80\"",
      "\"\xf4\x90\x80\x80\"",
      "\"\xe2\x82\"",
      "\xef\xbb\xbf{}",
      "{a:1}",
      "{1:1}",
      "tru",
      "nul",
      std::string_view("{}\0", 3),
      std::string_view("{}\0garbage", 10),
  };
  for (const std::string_view text : bad) {
    CAPTURE(text);
    CHECK(code_of(parse(text)) == ErrorCode::kBadJson);
  }
}

TEST_CASE("strict JSON: what is read, and how it is written canonically") {
  const std::pair<std::string_view, std::string_view> good[] = {
      {"null", "null"},
      {" [ true , false ] ", "[true,false]"},
      {"{\"b\":1,\"a\":2}", "{\"a\":2,\"b\":1}"},
      {"9007199254740991", "9007199254740991"},
      {"-9007199254740991", "-9007199254740991"},
      {"\"\\u0041\\/\\\\\\\"\"", "\"A/\\\\\\\"\""},
      {"\"\\ud83d\\ude97\"", "\"\xf0\x9f\x9a\x97\""},
      // By code point, not by UTF-16 unit: U+FFFD is before U+1F697.
      {"{\"\\ud83d\\ude97\":1,\"\\ufffd\":2}", "{\"\xef\xbf\xbd\":2,\"\xf0\x9f\x9a\x97\":1}"},
      {"{\"a\":{},\"\":[]}", "{\"\":[],\"a\":{}}"},
      {"\"\\n\\u0000\"", std::string_view("\"\n\0\"", 4)},
  };
  for (const auto& [text, canonical] : good) {
    CAPTURE(text);
    CHECK(must(to_canonical(must(parse(text)))) == canonical);
  }
  CHECK(must(to_wire(must(parse("\"\\n\\u0000\\u001f\"")))) == "\"\\u000a\\u0000\\u001f\"");
}

TEST_CASE("strict JSON: size and depth") {
  const std::string deep = std::string(64, '[') + std::string(64, ']');
  CHECK(parse(deep));
  CHECK(code_of(parse('[' + deep + ']')) == ErrorCode::kBadJson);
  std::string objects = "1";
  for (int i = 0; i < 65; ++i) objects = "{\"a\":" + objects + "}";
  CHECK(code_of(parse(objects)) == ErrorCode::kBadJson);
  CHECK(code_of(parse_strict(as_bytes("[1]"), {.bytes_max = 2})) == ErrorCode::kEndlessData);
  CHECK(code_of(parse(std::string(4000, '['))) == ErrorCode::kBadJson);
}

TEST_CASE("what canonical JSON cannot say is refused") {
  CHECK(code_of(to_canonical(Json(1.5))) == ErrorCode::kBadCanonicalJson);
  CHECK(code_of(to_canonical(Json(kJsonIntegerMax + 1))) == ErrorCode::kBadCanonicalJson);
  CHECK(code_of(to_canonical(Json(std::int64_t{-9'007'199'254'740'992}))) ==
        ErrorCode::kBadCanonicalJson);
  CHECK(code_of(to_canonical(Json("\xff"))) == ErrorCode::kBadCanonicalJson);
  CHECK(code_of(to_canonical(Json{{"\xff", 1}})) == ErrorCode::kBadCanonicalJson);
}

TEST_CASE("fields of an object") {
  const Json object = must(parse(R"({"n":7,"s":"x","b":true,"o":{},"a":[],
    "t":"2026-11-22T06:00:00Z","neg":-1})"));
  CHECK(must(uint_field(object, "n")) == 7);
  CHECK(code_of(uint_field(object, "n", 6)) == ErrorCode::kBadFormat);
  CHECK(code_of(uint_field(object, "neg")) == ErrorCode::kBadFormat);
  CHECK(code_of(uint_field(object, "s")) == ErrorCode::kBadFormat);
  CHECK(must(text_field(object, "s")) == "x");
  CHECK(code_of(text_field(object, "n")) == ErrorCode::kBadFormat);
  CHECK(must(bool_field(object, "b")));
  CHECK(code_of(bool_field(object, "n")) == ErrorCode::kBadFormat);
  CHECK(must(time_field(object, "t")) == 1795327200);
  CHECK(code_of(time_field(object, "s")) == ErrorCode::kBadFormat);
  CHECK(must(object_field(object, "o"))->empty());
  CHECK(must(array_field(object, "a"))->empty());
  CHECK(code_of(array_field(object, "o")) == ErrorCode::kBadFormat);
  CHECK(code_of(text_field(object, "absent")) == ErrorCode::kBadFormat);
  CHECK(find_field(object, "absent") == nullptr);
  CHECK(find_field(Json::array(), "a") == nullptr);
}

// Any value, of text from all planes, made from a small language of its own.
Json arbitrary_json(int depth) {
  switch (*rc::gen::inRange(0, depth > 0 ? 6 : 4)) {
    case 0: return nullptr;
    case 1: return *rc::gen::arbitrary<bool>();
    case 2:
      return *rc::gen::inRange(-static_cast<std::int64_t>(kJsonIntegerMax),
                               static_cast<std::int64_t>(kJsonIntegerMax) + 1);
    case 3: {
      const auto pieces =
          *rc::gen::container<std::vector<std::string>>(rc::gen::element<std::string>(
              "a", "B", "\"", "\\", "/", "\n", std::string(1, '\0'), "\x7f", "\xc3\xbc",
              "\xe2\x82\xac", "\xef\xbf\xbd", "\xf0\x9f\x9a\x97"));
      std::string text;
      for (const auto& piece : pieces) text += piece;
      return text;
    }
    case 4: {
      Json array = Json::array();
      for (int i = *rc::gen::inRange(0, 5); i > 0; --i) array.push_back(arbitrary_json(depth - 1));
      return array;
    }
    default: {
      Json object = Json::object();
      for (int i = *rc::gen::inRange(0, 5); i > 0; --i) {
        const Json key = arbitrary_json(0);
        object[key.is_string() ? key.get<std::string>() : "k" + std::to_string(i)] =
            arbitrary_json(depth - 1);
      }
      return object;
    }
  }
}

TEST_CASE("any value comes back from its wire form, and has one canonical form") {
  rc::prop("round trip", [] {
    const Json value = arbitrary_json(4);
    const std::string wire = must(to_wire(value));
    const Json again = must(parse_strict(as_bytes(wire), {.bytes_max = wire.size()}));
    RC_ASSERT(again == value);
    RC_ASSERT(must(to_wire(again)) == wire);
    RC_ASSERT(must(to_canonical(again)) == must(to_canonical(value)));
  });
}

}  // namespace
}  // namespace layby::tests
