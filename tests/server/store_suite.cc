#include "tests/server/store_suite.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <random>
#include <thread>

#include "server/store/change.h"

namespace layby::tests {

using server::Batch;
using server::Change;
using server::KeyValue;
using server::Store;

namespace {

std::string value_of(const Store& store, std::string_view key) {
  const auto value = store.get(key);
  REQUIRE(value);
  return value->value_or("(nothing)");
}

Result<int> increment(Store& store, const std::string& key) {
  return server::commit_with_retry(store, [&](Change& change) -> Result<int> {
    const std::optional<std::string> text = TRY(change.get(key));
    const int next = text ? std::stoi(*text) + 1 : 1;
    change.put(key, std::to_string(next));
    return next;
  });
}

std::string numbered(const char* prefix, int number) {
  return prefix + std::to_string(1'000'000 + number);
}

// Commits as fast as it can, with several threads, and reports each commit that it was promised on
// the pipe: a byte for the thread, four for the number.
[[noreturn]] void commit_until_killed(const StoreFactory& open, int report, int from) {
  const std::unique_ptr<Store> store = open();
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 3; ++thread) {
    threads.emplace_back([&, thread] {
      for (int number = from;; ++number) {
        const std::string name = std::to_string(thread) + "/" + std::to_string(number);
        Batch batch;
        batch.writes = {{"a/" + name, std::string(200, 'x')}, {"b/" + name, "y"}};
        if (!store->commit(batch)) _exit(3);
        const std::int32_t record[2] = {thread, number};
        if (::write(report, record, sizeof record) != sizeof record) _exit(4);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  _exit(5);
}

}  // namespace

void check_reads_and_writes(const StoreFactory& open) {
  const auto store = open();
  CHECK(value_of(*store, "a") == "(nothing)");
  const std::string binary("\0\xff\n", 3);
  REQUIRE(store->commit({{}, {{"a", "1"}, {"b", binary}, {"empty", ""}}}));
  CHECK(value_of(*store, "a") == "1");
  CHECK(value_of(*store, "b") == binary);
  CHECK(value_of(*store, "empty").empty());
  REQUIRE(store->commit({{}, {{"a", std::nullopt}, {"never-there", std::nullopt}}}));
  CHECK(value_of(*store, "a") == "(nothing)");
  // Of several writes of one key the last one counts.
  REQUIRE(store->commit({{}, {{"c", "1"}, {"c", "2"}}}));
  CHECK(value_of(*store, "c") == "2");
  const std::string large(3 << 20, 'z');
  REQUIRE(store->commit({{}, {{"large", large}}}));
  CHECK(value_of(*store, "large") == large);
}

void check_expectations(const StoreFactory& open) {
  const auto store = open();
  REQUIRE(store->commit({{{"a", std::nullopt}}, {{"a", "1"}}}));
  const auto absent = store->commit({{{"a", std::nullopt}}, {{"a", "2"}, {"b", "2"}}});
  REQUIRE_FALSE(absent);
  CHECK(absent.error().code() == ErrorCode::kConflict);
  const auto other = store->commit({{{"a", "0"}}, {{"b", "2"}}});
  REQUIRE_FALSE(other);
  CHECK(other.error().code() == ErrorCode::kConflict);
  CHECK(value_of(*store, "a") == "1");
  CHECK(value_of(*store, "b") == "(nothing)");
  REQUIRE(store->commit({{{"a", "1"}, {"b", std::nullopt}}, {{"a", std::nullopt}}}));
  CHECK(value_of(*store, "a") == "(nothing)");
  // Expectations alone are checked too; an empty batch is fine.
  CHECK_FALSE(store->commit({{{"a", "1"}}, {}}));
  CHECK(store->commit({{{"a", std::nullopt}}, {}}));
  CHECK(store->commit({}));
}

void check_scans(const StoreFactory& open) {
  const auto store = open();
  Batch batch;
  for (int i = 0; i < 100; ++i) batch.writes.push_back({numbered("k/", i), std::to_string(i)});
  batch.writes.push_back({"j", "before"});
  batch.writes.push_back({"k0", "after"});
  batch.writes.push_back({"k/\xff\xff", "last"});
  REQUIRE(store->commit(batch));
  const std::string end = server::after_prefix("k/");
  const auto all = store->scan("k/", end, 1000);
  REQUIRE(all);
  REQUIRE(all->size() == 101);
  for (int i = 0; i < 100; ++i) {
    CHECK((*all)[i].key == numbered("k/", i));
    CHECK((*all)[i].value == std::to_string(i));
  }
  CHECK(all->back().value == "last");
  const auto some = store->scan(numbered("k/", 10), numbered("k/", 20), 3);
  REQUIRE(some);
  REQUIRE(some->size() == 3);
  CHECK(some->front().value == "10");
  CHECK(store->scan("x", "y", 10)->empty());
  CHECK(store->scan("y", "x", 10)->empty());
  CHECK(store->scan("k/", end, 0)->empty());
  CHECK(server::after_prefix("a\xff") == "b");
}

void check_concurrent_increments(const StoreFactory& open) {
  const auto store = open();
  constexpr int kThreads = 12;  // enough that some lose again and again
  constexpr int kEach = 25;
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < kEach; ++i) {
        if (!increment(*store, "shared")) ++failures;
        if (!increment(*store, "own/" + std::to_string(thread))) ++failures;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(failures == 0);
  CHECK(value_of(*store, "shared") == std::to_string(kThreads * kEach));
  for (int thread = 0; thread < kThreads; ++thread)
    CHECK(value_of(*store, "own/" + std::to_string(thread)) == std::to_string(kEach));
}

void check_commits_are_seen_whole(const StoreFactory& open) {
  // Money moves between two accounts; a scan must never see it twice or not at all.
  const auto store = open();
  REQUIRE(store->commit({{}, {{"m/1", "500"}, {"m/2", "500"}}}));
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::thread reader([&] {
    while (!stop) {
      const auto pairs = store->scan("m/", "m0", 10);
      if (!pairs || pairs->size() != 2 ||
          std::stoi((*pairs)[0].value) + std::stoi((*pairs)[1].value) != 1000)
        ++wrong;
    }
  });
  for (int i = 0; i < 200; ++i) {
    const auto moved = server::commit_with_retry(*store, [&](Change& change) -> Result<void> {
      const int left = std::stoi(*TRY(change.get("m/1")));
      const int right = std::stoi(*TRY(change.get("m/2")));
      change.put("m/1", std::to_string(left - 1));
      change.put("m/2", std::to_string(right + 1));
      return {};
    });
    REQUIRE(moved);
  }
  stop = true;
  reader.join();
  CHECK(wrong == 0);
  CHECK(value_of(*store, "m/2") == "700");
}

void check_reopening(const StoreFactory& open) {
  {
    const auto store = open();
    REQUIRE(store->commit({{}, {{"a", "1"}, {"b", "2"}}}));
    REQUIRE(store->commit({{}, {{"b", std::nullopt}}}));
  }
  const auto store = open();
  CHECK(value_of(*store, "a") == "1");
  CHECK(value_of(*store, "b") == "(nothing)");
}

void check_purge(const StoreFactory& open, const std::function<std::string()>& files) {
  const auto store = open();
  const auto there = [&](const std::string& text) { return files().find(text) != text.npos; };
  for (int i = 0; i < 50; ++i) {
    const std::string key = "p/" + std::to_string(i);
    REQUIRE(store->commit({{}, {{key, "Rosalind Quick " + std::to_string(i)}}}));
    REQUIRE(store->commit({{}, {{"q/" + std::to_string(i), "stays"}}}));
  }
  REQUIRE(store->commit({{}, {{"r", "Tarquin Slow"}}}));
  CHECK(there("Rosalind Quick 49"));
  REQUIRE(store->purge({{"p/", "p0"}}));  // everything now lies in sorted files
  CHECK(there("Rosalind Quick"));
  for (int i = 0; i < 50; ++i)
    REQUIRE(store->commit({{}, {{"p/" + std::to_string(i), std::nullopt}}}));
  REQUIRE(store->commit({{}, {{"r", "somebody"}}}));
  CHECK(there("Rosalind Quick"));  // an erasure alone erases nothing
  REQUIRE(store->purge({{"p/", "p0"}, {"r", std::string("r\0", 2)}}));
  CHECK_FALSE(there("Rosalind"));
  CHECK_FALSE(there("Tarquin"));
  CHECK(store->scan("q/", "q0", 100)->size() == 50);
  CHECK(value_of(*store, "r") == "somebody");
}

void check_kill_keeps_what_was_acknowledged(const StoreFactory& open, int kills) {
  std::mt19937 random(20261122);
  std::uniform_int_distribution<int> life_ms(20, 250);
  std::vector<int> promised(3, -1);  // per thread, the highest number that was acknowledged
  int promises = 0;
  for (int kill_number = 0; kill_number < kills; ++kill_number) {
    int report[2];
    REQUIRE(::pipe2(report, O_CLOEXEC) == 0);
    const int from = 100'000 * kill_number;
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      ::close(report[0]);
      commit_until_killed(open, report[1], from);
    }
    ::close(report[1]);
    std::thread killer([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(life_ms(random)));
      ::kill(child, SIGKILL);
    });
    std::fill(promised.begin(), promised.end(), from - 1);
    std::int32_t record[2];
    while (::read(report[0], record, sizeof record) == sizeof record) {
      promised[static_cast<std::size_t>(record[0])] = record[1];
      ++promises;
    }
    ::close(report[0]);
    killer.join();
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));

    const auto store = open();
    for (int thread = 0; thread < 3; ++thread) {
      // One more than promised may be there, whole: it was killed before it could say so.
      for (int number = from; number <= promised[static_cast<std::size_t>(thread)] + 1; ++number) {
        const std::string name = std::to_string(thread) + "/" + std::to_string(number);
        const bool first = value_of(*store, "a/" + name) != "(nothing)";
        const bool second = value_of(*store, "b/" + name) != "(nothing)";
        REQUIRE(first == second);
        if (number <= promised[static_cast<std::size_t>(thread)]) REQUIRE(first);
      }
    }
  }
  CHECK(promises > kills);  // otherwise the children were killed before they did anything
}

}  // namespace layby::tests
