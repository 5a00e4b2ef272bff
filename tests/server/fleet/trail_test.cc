// The ids of outgoing events.
#include <catch2/catch.hpp>
#include <thread>

#include "server/fleet/event_sequence.h"
#include "tests/server/shop/map_store.h"
#include "tests/server/test_services.h"

using namespace layby;
using namespace layby::tests;

TEST_CASE("a reader of events misses none while changes overlap") {
  MapStore store;
  auto sequence = std::move(*server::EventSequence::open(store));
  {
    server::Change slow(store);
    const std::uint64_t first = sequence->draw(slow);
    CHECK(first == 1);
    {
      server::Change fast(store);
      const std::uint64_t second = sequence->draw(fast);
      fast.put(server::event_key(second), "{}");
      REQUIRE(fast.commit());
    }
    // 2 is there, but 1 may still come.
    CHECK(sequence->visible_end() == 1);
    slow.put(server::event_key(first), "{}");
    REQUIRE(slow.commit());
  }
  CHECK(sequence->visible_end() == 3);
  {
    server::Change dropped(store);
    CHECK(sequence->draw(dropped) == 3);
    CHECK(sequence->visible_end() == 3);
  }
  CHECK(sequence->visible_end() == 4);
  // At start it goes on behind the last one in the store.
  for (const std::uint64_t last : {2, 5, 8, 9, 1000, 123456}) {
    store.pairs[server::event_key(last)] = "{}";
    auto next = std::move(*server::EventSequence::open(store));
    CHECK(next->visible_end() == last + 1);
  }
}

TEST_CASE("events of many threads are each read once, in order") {
  TestServices base;
  auto sequence = std::move(*server::EventSequence::open(*base.store));
  constexpr int kThreads = 4;
  constexpr int kEach = 40;
  std::atomic<int> running = kThreads;
  std::vector<std::thread> writers;
  for (int t = 0; t < kThreads; ++t) {
    writers.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) {
        server::Change change(*base.store);
        change.put(server::event_key(sequence->draw(change)), "{}");
        if (i % 5 != 0) (void)change.commit();  // every fifth is dropped
      }
      --running;
    });
  }
  std::uint64_t after = 0;
  std::size_t read = 0;
  for (bool last = false; !last;) {
    last = running == 0;
    const std::uint64_t end = sequence->visible_end();
    const auto shown =
        *base.store->scan(server::event_key(after + 1), server::event_key(end), 1000);
    for (const auto& entry : shown) {
      after = std::stoull(entry.key.substr(2));
      ++read;
    }
  }
  for (std::thread& writer : writers) writer.join();
  CHECK(read == kThreads * kEach * 4 / 5);
}
