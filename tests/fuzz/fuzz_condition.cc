// Conditions of a package: what is read is spelled in one way, and that way means the same.
#include "base/assert.h"
#include "base/bytes.h"
#include "manifest/condition_expression.h"

using namespace layby;
using namespace layby::manifest;

namespace {

// Decides each test by its own spelling, so that two equal expressions decide alike.
Truth decide(const SignalTest& test) {
  return static_cast<Truth>((test.signal.size() + static_cast<std::size_t>(test.relation)) % 3);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto read = ConditionExpression::parse(as_text({data, size}));
  if (!read) {
    LAYBY_ASSERT(read.error().code() == ErrorCode::kInvalidArgument);
    return 0;
  }
  LAYBY_ASSERT(size <= kExpressionBytesMax && !read->tests().empty());
  LAYBY_ASSERT(read->tests().size() <= kExpressionTestsMax);
  std::size_t asked = 0;
  const Truth truth = read->evaluate([&](const SignalTest& test) {
    ++asked;
    return decide(test);
  });
  LAYBY_ASSERT(asked == read->tests().size());
  const Truth nothing = read->evaluate([](const SignalTest&) { return Truth::kUnknown; });
  LAYBY_ASSERT(nothing == Truth::kUnknown);  // a car that says nothing fulfils nothing
  const std::string text = read->text();
  if (text.size() > kExpressionBytesMax) return 0;  // spaces that were left out come back
  const auto again = ConditionExpression::parse(text);
  LAYBY_ASSERT(again && *again == *read && again->text() == text);
  LAYBY_ASSERT(again->evaluate(decide) == truth);
  return 0;
}
