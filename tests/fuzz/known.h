// What was worked out before, by all the bytes that it was worked out of: a fuzz target meets the
// same documents again and again, in one run and from run to run, and reading and signing them anew
// would be nearly all that it does.
#pragma once

#include <string>
#include <unordered_map>

namespace layby::tests {

template <typename Value>
class Known {
 public:
  // `make` must depend on nothing but what `key` says.
  template <typename Make>
  Value get(std::string key, const Make& make) {
    const auto at = values_.find(key);
    if (at != values_.end()) return at->second;
    Value made = make();
    if (values_.size() == kValuesMax) values_.clear();
    return values_.emplace(std::move(key), std::move(made)).first->second;
  }

 private:
  static constexpr std::size_t kValuesMax = 4096;  // some ten megabytes of documents
  std::unordered_map<std::string, Value> values_;
};

}  // namespace layby::tests
