// Bits under given probabilities, and the models that give them.
#include "delta/binary_coder.h"

#include <catch2/catch.hpp>

#include <cmath>
#include <random>

#include "delta/mixed_tables.h"

using namespace layby;
using namespace layby::delta;

TEST_CASE("random bits under random probabilities are read as they were written") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    std::mt19937_64 random(seed);
    const std::size_t count = random() % 3000;
    std::vector<std::pair<std::uint32_t, bool>> bits;
    for (std::size_t i = 0; i < count; ++i) {
      std::uint32_t probability = 1 + static_cast<std::uint32_t>(random() % 65535);
      if (seed % 4 == 1) probability = random() % 2 == 0 ? 1 : 65535;
      // As likely as said; or the opposite; or always the same.
      bool bit = random() % 65536 < probability;
      if (seed % 4 == 2) bit = !bit;
      if (seed % 4 == 3) bit = seed % 8 == 3;
      bits.emplace_back(probability, bit);
    }
    BitWriter writer;
    for (const auto& [probability, bit] : bits) CHECK(writer(probability, bit) == bit);
    const Bytes coded = std::move(writer).finish();
    BitReader reader(coded);
    int wrong = 0;
    for (const auto& [probability, bit] : bits) wrong += reader(probability, !bit) != bit;
    CHECK(wrong == 0);
    CHECK(reader.has_read_all());
  }
}

TEST_CASE("bits that are as likely as said cost what they should") {
  std::mt19937_64 random(1);
  BitWriter writer;
  double bits = 0;
  for (int i = 0; i < 100'000; ++i) {
    const std::uint32_t probability = 1 + static_cast<std::uint32_t>(random() % 65535);
    const bool bit = random() % 65536 < probability;
    writer(probability, bit);
    bits -= std::log2((bit ? probability : 65536 - probability) / 65536.0);
  }
  const auto bytes = static_cast<double>(std::move(writer).finish().size());
  CHECK(bytes < bits / 8 * 1.001 + 4);
  CHECK(bytes > bits / 8 * 0.999 - 4);
}

TEST_CASE("a reader knows whether bytes are left over") {
  BitWriter writer;
  std::mt19937_64 random(2);
  for (int i = 0; i < 1000; ++i) writer(1 << 15, random() % 2 == 0);
  const Bytes coded = std::move(writer).finish();
  const auto reads_all = [](const Bytes& bytes) {
    BitReader reader(bytes);
    for (int i = 0; i < 1000; ++i) reader(1 << 15, false);
    return reader.has_read_all();
  };
  CHECK(reads_all(coded));
  CHECK(reads_all({}));
  Bytes more = coded;
  more.resize(more.size() + 8);
  CHECK_FALSE(reads_all(more));
}

TEST_CASE("a probability that is stretched and squashed is about the same again") {
  for (std::uint32_t probability = 0; probability < 65536; ++probability) {
    const auto again = static_cast<int>(squash(stretch(probability)));
    const auto odds = std::min(probability, 65536 - probability);
    if (std::abs(again - static_cast<int>(probability)) > static_cast<int>(40 + odds / 64))
      FAIL(probability << " became " << again);
    CHECK(codable(squash(stretch(probability))) > 0);
    CHECK(codable(squash(stretch(probability))) < 65536);
  }
  for (int logit = -2046; logit < 2047; ++logit) CHECK(squash(logit) >= squash(logit - 1));
  CHECK(squash(-100'000) == squash(-2047));
  CHECK(squash(100'000) == squash(2047));
}

TEST_CASE("a slot learns what comes, fast at first, and stays a probability") {
  for (const bool bit : {false, true}) {
    Slot slot = kFreshSlot;
    CHECK(probability_of(slot) == 32768);
    learn(slot, bit, 200);
    CHECK((bit ? probability_of(slot) > 50'000 : probability_of(slot) < 15'000));
    for (int i = 0; i < 100'000; ++i) learn(slot, bit, 200);
    CHECK((bit ? probability_of(slot) > 65'000 : probability_of(slot) < 500));
    for (int i = 0; i < 400; ++i) learn(slot, !bit, 200);
    CHECK((bit ? probability_of(slot) < 15'000 : probability_of(slot) > 50'000));
  }
}

TEST_CASE("a short slot learns what comes, to the end, and forgets it again") {
  for (const bool bit : {false, true}) {
    ShortSlot slot = kFreshShortSlot;
    CHECK(std::abs(stretch_short(slot)) <= 1);
    learn_short(slot, ShortLesson(bit));
    CHECK((bit ? stretch_short(slot) > 200 : stretch_short(slot) < -200));
    for (int i = 0; i < 1000; ++i) learn_short(slot, ShortLesson(bit));
    CHECK(slot >> 4 == (bit ? 4095 : 0));
    for (int i = 0; i < 60; ++i) learn_short(slot, ShortLesson(!bit));
    CHECK((bit ? stretch_short(slot) < -200 : stretch_short(slot) > 200));
  }
}

TEST_CASE("a line of contexts is found again, and a new one begins knowing nothing") {
  NibbleTable table(4);
  const std::uint32_t hash = hash_context(1, 77);
  ShortSlot* const line = table.find(hash);
  CHECK(line[1] == kFreshShortSlot);
  for (int i = 0; i < 5; ++i) learn_short(line[1], ShortLesson(true));
  CHECK(table.find(hash) == line);
  CHECK(table.find(hash)[1] != kFreshShortSlot);
  // The least used line gives way, so a few others leave it alone.
  int fresh = 0;
  for (std::uint64_t other = 1000; other < 1200; ++other)
    fresh += table.find(hash_context(1, other))[1] == kFreshShortSlot;
  CHECK(fresh > 190);
}

TEST_CASE("a mixer comes to believe the slot that is right") {
  std::mt19937_64 random(3);
  const bool is_paired = GENERATE(false, true);
  Mixer mixer(1, is_paired ? 1 : 0);
  std::vector<Slot> slots(3, kFreshSlot);
  std::uint32_t last = 0;
  for (int i = 0; i < 5000; ++i) {
    const bool bit = random() % 2 == 0;
    Slot* const inputs[] = {&slots[bit ? 1 : 2], &slots[0]};  // one knows, the other cannot
    const auto logit = [&](std::size_t input) {
      return input < 2 ? stretch(probability_of(*inputs[input])) : 0;
    };
    last = is_paired ? mixer.mix(logit, 0, 0) : mixer.mix(logit, 0);
    CHECK(squash(mixer.logit()) == last);
    CHECK(last > 0);
    CHECK(last < 65536);
    if (i > 4000) CHECK((bit ? last > 60'000 : last < 5'000));
    is_paired ? mixer.learn_two(bit) : mixer.learn_one(bit);
    for (Slot* slot : inputs) learn(*slot, bit, 127);
  }
}

TEST_CASE("a refinement learns what a probability means") {
  Refinement refinement(2);
  std::mt19937_64 random(5);
  CHECK(std::abs(static_cast<int>(refinement.refine(1, stretch(60'000), 60'000)) - 60'000) < 600);
  std::uint32_t last = 0;
  for (int i = 0; i < 3000; ++i) {  // nine of ten, it is said; it is one of two
    last = refinement.refine(1, stretch(58'982), 58'982);
    refinement.learn(random() % 2 == 0);
  }
  CHECK(last > 40'000);
  CHECK(last < 54'000);
  CHECK(refinement.refine(0, stretch(58'982), 58'982) > 58'000);
}

TEST_CASE("numbers of every size are read as they were written") {
  std::mt19937_64 random(4);
  std::vector<std::pair<std::size_t, std::uint64_t>> numbers;
  for (int i = 0; i < 64 * 8; ++i)
    numbers.emplace_back(i % NumberModel::kKinds, (std::uint64_t{1} << 63 >> (i / 8 + 0)) - 1);
  for (int i = 0; i < 5000; ++i)
    numbers.emplace_back(random() % NumberModel::kKinds, random() >> (1 + random() % 63));
  BitWriter writer;
  NumberModel written;
  for (const auto& [kind, number] : numbers) CHECK(written.code(writer, kind, number) == number);
  const Bytes coded = std::move(writer).finish();
  BitReader reader(coded);
  NumberModel read;
  int wrong = 0;
  for (const auto& [kind, number] : numbers) wrong += read.code(reader, kind, 0) != number;
  CHECK(wrong == 0);
}
