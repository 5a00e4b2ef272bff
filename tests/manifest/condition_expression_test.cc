#include "manifest/condition_expression.h"

#include <catch2/catch.hpp>
#include <map>

using namespace layby;
using namespace layby::manifest;

namespace {

// A car that says this; whole words only, so that the comparison itself is the caller's.
Truth evaluate(std::string_view text, const std::map<std::string, Truth>& said) {
  const auto parsed = ConditionExpression::parse(text);
  INFO(text);
  REQUIRE(parsed);
  return parsed->evaluate([&](const SignalTest& test) { return said.at(test.signal); });
}

const std::map<std::string, Truth> kSaid = {
    {"Vehicle.Y", Truth::kYes}, {"Vehicle.N", Truth::kNo}, {"Vehicle.U", Truth::kUnknown}};

}  // namespace

TEST_CASE("a condition is one signal against one value, joined by and, or, not") {
  const auto parsed = ConditionExpression::parse(
      "Vehicle.Body.Hood.IsOpen = false and not (Vehicle.Speed>=0.5 or Vehicle.Mode != 'race')");
  REQUIRE(parsed);
  const std::vector<SignalTest> wanted = {
      {"Vehicle.Body.Hood.IsOpen", Relation::kEqual, false},
      {"Vehicle.Speed", Relation::kAtLeast, std::int64_t{500}},
      {"Vehicle.Mode", Relation::kNotEqual, std::string("race")}};
  CHECK(parsed->tests() == wanted);
  CHECK(
      parsed->text() ==
      "Vehicle.Body.Hood.IsOpen = false and not (Vehicle.Speed >= 0.5 or Vehicle.Mode != 'race')");
}

TEST_CASE("what is unknown stays unknown unless the rest decides it") {
  const std::pair<const char*, Truth> rows[] = {
      {"Vehicle.Y = 1", Truth::kYes},
      {"Vehicle.U = 1", Truth::kUnknown},
      {"not Vehicle.U = 1", Truth::kUnknown},
      {"not Vehicle.N = 1", Truth::kYes},
      {"not not Vehicle.N = 1", Truth::kNo},
      {"Vehicle.Y = 1 and Vehicle.U = 1", Truth::kUnknown},
      {"Vehicle.N = 1 and Vehicle.U = 1", Truth::kNo},
      {"Vehicle.Y = 1 or Vehicle.U = 1", Truth::kYes},
      {"Vehicle.N = 1 or Vehicle.U = 1", Truth::kUnknown},
      // and binds closer than or; chains are read from the left
      {"Vehicle.Y = 1 or Vehicle.N = 1 and Vehicle.N = 1", Truth::kYes},
      {"(Vehicle.Y = 1 or Vehicle.N = 1) and Vehicle.N = 1", Truth::kNo},
      {"not Vehicle.N = 1 and Vehicle.N = 1", Truth::kNo},
  };
  for (const auto& [text, truth] : rows) CHECK(evaluate(text, kSaid) == truth);
}

TEST_CASE("the grammar is strict") {
  const std::string signal = "Vehicle.A";
  for (const std::string& bad : std::vector<std::string>{
           "",
           " ",
           "true",
           "Vehicle.A",
           "Vehicle = 1",
           "Speed = 1",
           "vehicle.Speed = 1",
           "Vehicle..Speed = 1",
           "Vehicle.Speed. = 1",
           "Vehicle.Some_thing = 1",
           "1 = Vehicle.A",
           "Vehicle.A = Vehicle.B",
           "Vehicle.A == 1",
           "Vehicle.A = = 1",
           "Vehicle.A =",
           "Vehicle.A = 1 and",
           "Vehicle.A = 1 Vehicle.B = 2",
           "Vehicle.A = 1 && Vehicle.B = 2",
           "Vehicle.A = 1 AND Vehicle.B = 2",
           "Vehicle.A = 1and Vehicle.B = 2",
           "and Vehicle.A = 1",
           "not",
           "(Vehicle.A = 1",
           "Vehicle.A = 1)",
           "()",
           "Vehicle.A = 01",
           "Vehicle.A = +1",
           "Vehicle.A = 1.",
           "Vehicle.A = .5",
           "Vehicle.A = 1.2345",
           "Vehicle.A = 1e3",
           "Vehicle.A = 0x10",
           "Vehicle.A = 1234567890",
           "Vehicle.A = - 1",
           "Vehicle.A = 'open",
           "Vehicle.A = \"open\"",
           "Vehicle.A = '\n'",
           "Vehicle.A = '\xc3\xa9'",
           "Vehicle.A = True",
           "Vehicle.A < true",
           "Vehicle.A >= 'x'",
           "Vehicle.A\t= 1",
           "Vehicle.A = 1\n",
           "Vehicle.A = 1;",
           "Vehicle.A = '" + std::string(65, 'x') + "'",
           "Vehicle." + std::string(121, 'x') + " = 1",
       }) {
    INFO(bad);
    const auto parsed = ConditionExpression::parse(bad);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code() == ErrorCode::kInvalidArgument);
  }
}

TEST_CASE("numbers are read and written exactly") {
  const std::pair<const char*, std::int64_t> rows[] = {
      {"0", 0},        {"-0.001", -1},   {"12.6", 12'600},
      {"0.05", 50},    {"-40", -40'000}, {"999999999.999", 999'999'999'999},
      {"1.230", 1'230}};
  for (const auto& [text, wanted] : rows) {
    INFO(text);
    const auto parsed = ConditionExpression::parse(std::string("Vehicle.A = ") + text);
    REQUIRE(parsed);
    CHECK(std::get<std::int64_t>(parsed->tests().front().value) == wanted);
    CHECK(*ConditionExpression::parse(parsed->text()) == *parsed);
  }
}

TEST_CASE("length, depth and number of tests are bounded") {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '(') + "Vehicle.A = 1" + std::string(depth, ')');
  };
  CHECK(ConditionExpression::parse(nested(kExpressionDepthMax)));
  CHECK_FALSE(ConditionExpression::parse(nested(kExpressionDepthMax + 1)));
  const auto chain = [](std::size_t count) {
    std::string text = "Vehicle.A = 1";
    for (std::size_t i = 1; i < count; ++i) text += " or Vehicle.A = 1";
    return text;
  };
  CHECK(ConditionExpression::parse(chain(kExpressionTestsMax)));
  CHECK_FALSE(ConditionExpression::parse(chain(kExpressionTestsMax + 1)));
  const std::string spaces(kExpressionBytesMax, ' ');
  CHECK_FALSE(ConditionExpression::parse("Vehicle.A = 1" + spaces));
  std::string nots;
  for (std::size_t i = 0; i <= kExpressionDepthMax; ++i) nots += "not ";
  CHECK_FALSE(ConditionExpression::parse(nots + "Vehicle.A = 1"));
}

TEST_CASE("an expression is spelled in one way, which is the same expression") {
  for (const char* text :
       {"Vehicle.A=1 and(Vehicle.B=2 and Vehicle.C=3)",
        "(Vehicle.A=1 or Vehicle.B=2)or Vehicle.C=3", "not(not(Vehicle.A='x'))",
        "not (Vehicle.A=1) and Vehicle.B=true",
        "((Vehicle.A<1 or Vehicle.B<=2) and Vehicle.C>3) or not (Vehicle.D=1 or Vehicle.E=2)"}) {
    INFO(text);
    const auto parsed = ConditionExpression::parse(text);
    REQUIRE(parsed);
    INFO(parsed->text());
    const auto again = ConditionExpression::parse(parsed->text());
    REQUIRE(again);
    CHECK(*again == *parsed);
    CHECK(again->text() == parsed->text());
  }
}
