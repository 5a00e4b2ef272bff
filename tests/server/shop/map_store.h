// A Store in memory that can be copied, and one that fails when it is told to: for tests that walk
// through many histories.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>

#include "server/store/store.h"

namespace layby::tests {

class MapStore final : public server::Store {
 public:
  using Pairs = std::map<std::string, std::string, std::less<>>;

  Result<std::optional<std::string>> get(std::string_view key) const override;
  Result<std::vector<server::KeyValue>> scan(std::string_view begin, std::string_view end,
                                             std::size_t limit) const override;
  Result<void> commit(const server::Batch& batch) override;
  Result<void> purge(const std::vector<server::KeyRange>&) override { return {}; }

  Pairs pairs;
};

// Passes everything on, and does something of the test's around the next commit.
class MeddlingStore final : public server::Store {
 public:
  explicit MeddlingStore(server::Store& inner) : inner_(inner) {}

  // Runs once before the next commit that writes: somebody else is faster.
  std::function<void()> before_commit;
  // The next commit that writes fails with kIo, having written nothing or everything: what a
  // caller sees of a crash.
  enum class Crash { kNone, kBefore, kAfter };
  Crash crash = Crash::kNone;
  std::size_t commits = 0;  // that wrote, or would have

  Result<std::optional<std::string>> get(std::string_view key) const override {
    return inner_.get(key);
  }
  Result<std::vector<server::KeyValue>> scan(std::string_view begin, std::string_view end,
                                             std::size_t limit) const override {
    return inner_.scan(begin, end, limit);
  }
  Result<void> commit(const server::Batch& batch) override;
  Result<void> purge(const std::vector<server::KeyRange>& ranges) override {
    return inner_.purge(ranges);
  }

 private:
  server::Store& inner_;
};

}  // namespace layby::tests
