#include "manifest/condition_expression.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/assert.h"

namespace layby::manifest {
namespace {

constexpr std::size_t kSignalBytesMax = 128;
constexpr std::size_t kTextBytesMax = 64;
constexpr std::size_t kWholeDigitsMax = 9;
constexpr std::size_t kFractionDigitsMax = 3;
constexpr std::string_view kSignalBegin = "Vehicle.";

constexpr std::pair<std::string_view, Relation> kRelations[] = {
    // those of two characters first
    {"!=", Relation::kNotEqual}, {"<=", Relation::kAtMost}, {">=", Relation::kAtLeast},
    {"=", Relation::kEqual},     {"<", Relation::kLess},    {">", Relation::kGreater},
};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_of_word(char c) {
  return is_digit(c) || is_letter(c) || c == '.' || c == '_';
}

// Vehicle.Part.Part: parts of letters and digits, none empty.
bool is_signal(std::string_view word) {
  if (!word.starts_with(kSignalBegin) || word.size() > kSignalBytesMax || word.ends_with('.'))
    return false;
  return word.find("..") == std::string_view::npos && word.find('_') == std::string_view::npos;
}

std::string number_text(std::int64_t thousandths) {
  std::string out = thousandths < 0 ? "-" : "";
  const std::int64_t size = thousandths < 0 ? -thousandths : thousandths;
  out += std::to_string(size / 1000);
  std::string fraction = std::to_string(1000 + size % 1000).substr(1);
  fraction.erase(fraction.find_last_not_of('0') + 1);
  return fraction.empty() ? out : out + "." + fraction;
}

std::string test_text(const SignalTest& test) {
  std::string out = test.signal + " " + std::string(to_string(test.relation)) + " ";
  if (const bool* truth = std::get_if<bool>(&test.value)) return out + (*truth ? "true" : "false");
  if (const auto* number = std::get_if<std::int64_t>(&test.value))
    return out + number_text(*number);
  return out + "'" + std::get<std::string>(test.value) + "'";
}

}  // namespace

// Recursive descent; its depth is bounded, and what it makes needs no recursion any more.
class ExpressionParser {
 public:
  explicit ExpressionParser(std::string_view text) : text_(text) {}

  Result<ConditionExpression> parse() {
    if (text_.size() > kExpressionBytesMax)
      return fail(ErrorCode::kInvalidArgument, "a condition of {} bytes, it has at most {}",
                  text_.size(), kExpressionBytesMax);
    TRY_VOID(either(0));
    if (at_ < text_.size()) return expected("`and`, `or` or the end");
    return std::move(made_);
  }

 private:
  using Step = ConditionExpression::Step;

  Result<void> either(std::size_t depth) {
    TRY_VOID(both(depth));
    while (take_word("or")) {
      TRY_VOID(both(depth));
      made_.steps_.push_back(Step::kOr);
    }
    return {};
  }

  Result<void> both(std::size_t depth) {
    TRY_VOID(one(depth));
    while (take_word("and")) {
      TRY_VOID(one(depth));
      made_.steps_.push_back(Step::kAnd);
    }
    return {};
  }

  Result<void> one(std::size_t depth) {
    if (depth > kExpressionDepthMax)
      return fail(ErrorCode::kInvalidArgument, "a condition nests at most {} deep",
                  kExpressionDepthMax);
    if (take_word("not")) {
      TRY_VOID(one(depth + 1));
      made_.steps_.push_back(Step::kNot);
      return {};
    }
    if (!take('(')) return test();
    TRY_VOID(either(depth + 1));
    if (!take(')')) return expected("`)`");
    return {};
  }

  Result<void> test() {
    if (made_.tests_.size() == kExpressionTestsMax)
      return fail(ErrorCode::kInvalidArgument, "a condition has at most {} tests",
                  kExpressionTestsMax);
    const std::string_view name = word();
    if (!is_signal(name)) return expected("a signal: Vehicle.…, `not` or `(`");
    at_ += name.size();
    SignalTest made{.signal = std::string(name), .value = {}};
    skip_spaces();
    const auto sign =
        std::find_if(std::begin(kRelations), std::end(kRelations),
                     [&](const auto& entry) { return text_.substr(at_).starts_with(entry.first); });
    if (sign == std::end(kRelations)) return expected("=, !=, <, <=, > or >=");
    at_ += sign->first.size();
    made.relation = sign->second;
    TRY_VOID(value(made));
    made_.tests_.push_back(std::move(made));
    made_.steps_.push_back(Step::kTest);
    return {};
  }

  Result<void> value(SignalTest& test) {
    if (take('\'')) {
      test.value = TRY(quoted());
    } else if (take_word("true")) {
      test.value = true;
    } else if (take_word("false")) {
      test.value = false;
    } else {
      test.value = TRY(number());
      return {};
    }
    if (test.relation != Relation::kEqual && test.relation != Relation::kNotEqual)
      return fail(ErrorCode::kInvalidArgument, "{}: {} compares numbers only", test.signal,
                  to_string(test.relation));
    return {};
  }

  Result<std::string> quoted() {
    const std::size_t end = text_.find('\'', at_);
    if (end == std::string_view::npos || end - at_ > kTextBytesMax)
      return expected("a text of at most 64 characters and its closing '");
    std::string text(text_.substr(at_, end - at_));
    if (std::any_of(text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }))
      return expected("a text of printable ASCII");
    at_ = end + 1;
    return text;
  }

  Result<std::int64_t> number() {
    std::size_t at = at_;
    const bool is_negative = at < text_.size() && text_[at] == '-';
    at += is_negative ? 1 : 0;
    const auto digits = [&](std::size_t digits_max) {
      const std::size_t begin = at;
      while (at < text_.size() && is_digit(text_[at]) && at - begin < digits_max) ++at;
      return text_.substr(begin, at - begin);
    };
    const std::string_view whole = digits(kWholeDigitsMax);
    std::string_view fraction;
    const bool has_point = at < text_.size() && text_[at] == '.';
    if (has_point) {
      ++at;
      fraction = digits(kFractionDigitsMax);
    }
    const bool has_more = at < text_.size() && is_of_word(text_[at]);
    if (whole.empty() || (whole.size() > 1 && whole.front() == '0') ||
        has_point == fraction.empty() || has_more)
      return expected("true, false, a text in '' or a number with at most three decimals");
    std::int64_t value = 0;
    for (const char c : whole) value = 10 * value + (c - '0');
    for (std::size_t i = 0; i < kFractionDigitsMax; ++i)
      value = 10 * value + (i < fraction.size() ? fraction[i] - '0' : 0);
    at_ = at;
    return is_negative ? -value : value;
  }

  void skip_spaces() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  bool take(char c) {
    skip_spaces();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  // The letters, digits and points that stand here; takes nothing.
  std::string_view word() {
    skip_spaces();
    std::size_t end = at_;
    while (end < text_.size() && is_of_word(text_[end])) ++end;
    return text_.substr(at_, end - at_);
  }
  bool take_word(std::string_view wanted) {
    if (word() != wanted) return false;
    at_ += wanted.size();
    skip_spaces();
    return true;
  }

  tl::unexpected<Error> expected(std::string_view what) {
    return fail(ErrorCode::kInvalidArgument, "character {}: {} is expected", at_ + 1, what);
  }

  const std::string_view text_;
  std::size_t at_ = 0;
  ConditionExpression made_;
};

std::string_view to_string(Relation relation) {
  for (const auto& [text, known] : kRelations)
    if (known == relation) return text;
  LAYBY_ASSERT(false);
}

Result<ConditionExpression> ConditionExpression::parse(std::string_view text) {
  return ExpressionParser(text).parse();
}

Truth ConditionExpression::evaluate(const std::function<Truth(const SignalTest&)>& ask) const {
  std::vector<Truth> stack;
  std::size_t next_test = 0;
  const auto pop = [&] {
    LAYBY_ASSERT(!stack.empty());
    const Truth top = stack.back();
    stack.pop_back();
    return top;
  };
  for (const Step step : steps_) {
    switch (step) {
      case Step::kTest: stack.push_back(ask(tests_[next_test++])); break;
      case Step::kNot: {
        const Truth value = pop();
        stack.push_back(value == Truth::kUnknown ? value
                        : value == Truth::kYes   ? Truth::kNo
                                                 : Truth::kYes);
        break;
      }
      case Step::kAnd: stack.push_back(std::min(pop(), pop())); break;
      case Step::kOr: stack.push_back(std::max(pop(), pop())); break;
    }
  }
  LAYBY_ASSERT(stack.size() == 1);
  return stack.front();
}

std::string ConditionExpression::text() const {
  struct Part {
    std::string text;
    Step made_by;
  };
  std::vector<Part> stack;
  std::size_t next_test = 0;
  const auto in_brackets = [](const Part& part, bool wanted) {
    return wanted ? "(" + part.text + ")" : part.text;
  };
  for (const Step step : steps_) {
    if (step == Step::kTest) {
      stack.push_back({test_text(tests_[next_test++]), step});
      continue;
    }
    const Part right = stack.back();
    stack.pop_back();
    const bool right_binds_less = right.made_by >= Step::kAnd;
    if (step == Step::kNot) {
      stack.push_back({"not " + in_brackets(right, right_binds_less), step});
      continue;
    }
    const Part left = stack.back();
    stack.pop_back();
    // A chain is read from the left: only on the right do equals need brackets.
    stack.push_back({in_brackets(left, left.made_by > step) +
                         (step == Step::kAnd ? " and " : " or ") +
                         in_brackets(right, right.made_by >= step && right_binds_less),
                     step});
  }
  LAYBY_ASSERT(stack.size() == 1);
  return stack.front().text;
}

}  // namespace layby::manifest
