// The language in which a package says under which conditions it may be installed (P4.1); the
// grammar is in docs/formats.md, "Conditions of a package".
//
// It is total: no loops, no names but signals, bounded in length, depth and number of tests. What
// is not known about the car makes an expression unknown, and unknown is not fulfilled.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace layby::manifest {

constexpr std::size_t kExpressionBytesMax = 512;
constexpr std::size_t kExpressionTestsMax = 16;
constexpr std::size_t kExpressionDepthMax = 8;  // of `(` and `not` within each other

enum class Relation : std::uint8_t { kEqual, kNotEqual, kLess, kAtMost, kGreater, kAtLeast };
std::string_view to_string(Relation relation);  // "=", "!=", "<", "<=", ">", ">="

// One signal against one value. The value's type says how the signal is to be read.
struct SignalTest {
  std::string signal;  // a VSS name
  Relation relation = Relation::kEqual;
  std::variant<bool, std::int64_t, std::string> value;  // numbers in thousandths
  bool operator==(const SignalTest&) const = default;
};

enum class Truth : std::uint8_t { kNo, kUnknown, kYes };

class ConditionExpression {
 public:
  // kInvalidArgument with the place and what was expected there.
  static Result<ConditionExpression> parse(std::string_view text);

  // Asks for every test once, whatever the others say. Kleene's logic: unknown unless the rest
  // decides it.
  Truth evaluate(const std::function<Truth(const SignalTest&)>& ask) const;

  const std::vector<SignalTest>& tests() const { return tests_; }
  // Spelled in one way only; parsed again it is the same expression.
  std::string text() const;
  bool operator==(const ConditionExpression&) const = default;

 private:
  friend class ExpressionParser;
  enum class Step : std::uint8_t { kTest, kNot, kAnd, kOr };
  ConditionExpression() = default;
  std::vector<SignalTest> tests_;
  std::vector<Step> steps_;  // postfix; the n-th kTest is the n-th of tests_
};

}  // namespace layby::manifest
