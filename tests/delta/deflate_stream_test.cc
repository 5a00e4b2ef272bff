#include "delta/deflate_stream.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <random>

#include "tests/delta/deflate_oracles.h"

using namespace layby;
using namespace layby::delta;
using layby::tests::deflated_by_gzip;
using layby::tests::deflated_by_zlib;
using layby::tests::NamedText;

namespace {

// Made into a buffer with a guard behind it.
void require_made(Deflater& deflater, const NamedText& named, const DeflateRecipe& recipe,
                  const Bytes& stream) {
  INFO(named.name << ", recipe " << recipe_number(recipe));
  Bytes made(stream.size() + 8, 0x5a);
  const auto result =
      deflater.deflate(named.text, recipe, MutableByteSpan(made).first(stream.size()));
  if (!result) FAIL(result.error().message());
  REQUIRE(std::equal(stream.begin(), stream.end(), made.begin()));
  REQUIRE(std::all_of(made.end() - 8, made.end(), [](auto byte) { return byte == 0x5a; }));
}

DeflateRecipe zlib_recipe(unsigned level, unsigned memory, unsigned window_bits = 15,
                          DeflateStrategy strategy = DeflateStrategy::kDefault) {
  return {.family = DeflateFamily::kZlib,
          .level = static_cast<std::uint8_t>(level),
          .memory = static_cast<std::uint8_t>(memory),
          .window_bits = static_cast<std::uint8_t>(window_bits),
          .strategy = strategy};
}

}  // namespace

TEST_CASE("deflate: every level of zlib, with usual and most memory, bit for bit") {
  Deflater deflater;
  for (const NamedText& named : tests::texts_to_deflate()) {
    for (unsigned level = 1; level <= 9; ++level) {
      for (const unsigned memory : {8U, 9U}) {
        const DeflateRecipe recipe = zlib_recipe(level, memory);
        require_made(deflater, named, recipe, deflated_by_zlib(named.text, recipe));
      }
    }
  }
}

TEST_CASE("deflate: zlib's small windows, small memory and strategies, bit for bit") {
  Deflater deflater;
  for (NamedText& named : tests::texts_to_deflate()) {
    if (named.text.size() > 300'000) named.text.resize(300'000);
    for (unsigned i = 0; i < 7 * 9; ++i) {
      const DeflateRecipe recipe =
          zlib_recipe(1 + i % 9, 1 + i * 5 % 9, 9 + i % 7, static_cast<DeflateStrategy>(i % 3));
      require_made(deflater, named, recipe, deflated_by_zlib(named.text, recipe));
    }
  }
}

TEST_CASE("deflate: every level of gzip, bit for bit") {
  Deflater deflater;
  for (const NamedText& named : tests::texts_to_deflate()) {
    for (unsigned level = 1; level <= 9; ++level) {
      const DeflateRecipe recipe{.level = static_cast<std::uint8_t>(level)};
      require_made(deflater, named, recipe, deflated_by_gzip(named.text, level));
    }
  }
}

TEST_CASE("deflate: every level of zip, bit for bit") {
  Deflater deflater;
  unsigned compared = 0;
  for (const NamedText& named : tests::texts_to_deflate()) {
    for (unsigned level = 1; level <= 9; ++level) {
      const DeflateRecipe recipe{.family = DeflateFamily::kInfoZip,
                                 .level = static_cast<std::uint8_t>(level)};
      const auto stream = tests::deflated_by_zip(named.text, level);
      if (!stream) continue;
      require_made(deflater, named, recipe, *stream);
      ++compared;
    }
  }
  REQUIRE(compared > 150);
}

TEST_CASE("deflate: another length than the stream's is refused, and nothing written beyond") {
  Deflater deflater;
  const Bytes text(5000, 'a');
  const DeflateRecipe recipe = zlib_recipe(9, 8);
  const Bytes stream = deflated_by_zlib(text, recipe);
  for (std::size_t size = 0; size < stream.size() + 10; ++size) {
    Bytes made(size + 8, 0x5a);
    const auto result = deflater.deflate(text, recipe, MutableByteSpan(made).first(size));
    REQUIRE(result.has_value() == (size == stream.size()));
    if (!result) REQUIRE(result.error().code() == ErrorCode::kBadPayload);
    REQUIRE(std::all_of(made.end() - 8, made.end(), [](auto byte) { return byte == 0x5a; }));
  }
}

TEST_CASE("deflate: a full block that does not fit is the last thing that is made") {
  Deflater deflater;
  std::mt19937 random(11);
  Bytes text(100'000);
  for (auto& byte : text) byte = static_cast<std::uint8_t>(random());
  for (std::uint64_t number = 0; number < 27 + 9 * 9; ++number) {
    const auto recipe = recipe_from_number(number);
    if (!recipe) continue;
    for (const std::size_t size : {0U, 100U, 16'000U, 33'000U, 66'000U}) {
      Bytes made(size);
      REQUIRE_FALSE(deflater.deflate(text, *recipe, made));
    }
  }
}

TEST_CASE("deflate: a text that was made to be slow is made or refused soon") {
  // Every few bytes thousands of candidates share six bytes and no more.
  std::mt19937 random(7);
  Bytes text;
  while (text.size() < 256 * 1024) {
    for (const char letter : std::string_view("abcdef"))
      text.push_back(static_cast<std::uint8_t>(letter));
    text.push_back(static_cast<std::uint8_t>(random()));
  }
  Deflater deflater;
  const DeflateRecipe recipe = zlib_recipe(9, 9);
  const Bytes stream = deflated_by_zlib(text, recipe);
  Bytes made(stream.size());
  const auto before = std::chrono::steady_clock::now();
  const auto result = deflater.deflate(text, recipe, made);
  REQUIRE(std::chrono::steady_clock::now() - before < std::chrono::seconds(60));
  if (result)
    REQUIRE(made == stream);
  else
    REQUIRE(result.error().code() == ErrorCode::kBadPayload);
}

TEST_CASE("deflate: a recipe is found by what it makes, and only then") {
  Deflater deflater;
  const std::vector<NamedText> texts = tests::texts_to_deflate();
  const Bytes& text = texts.at(2).text;
  const Bytes by_gzip = deflated_by_gzip(text, 9);
  REQUIRE(find_recipe(deflater, by_gzip, text) == DeflateRecipe{});
  for (const DeflateRecipe& recipe :
       {zlib_recipe(6, 8), zlib_recipe(2, 9), zlib_recipe(9, 9), zlib_recipe(8, 5),
        zlib_recipe(6, 8, 15, DeflateStrategy::kFiltered),
        zlib_recipe(9, 8, 15, DeflateStrategy::kFixed)}) {
    INFO("recipe " << recipe_number(recipe));
    const Bytes stream = deflated_by_zlib(text, recipe);
    const auto found = find_recipe(deflater, stream, text);
    REQUIRE(found);  // perhaps another that makes the same
    require_made(deflater, texts.at(2), *found, stream);
  }
  const DeflateRecipe rare = zlib_recipe(5, 7, 12, DeflateStrategy::kFiltered);
  const Bytes by_rare = deflated_by_zlib(text, rare);
  REQUIRE_FALSE(find_recipe(deflater, by_rare, text));
  REQUIRE_FALSE(find_recipe(deflater, by_rare, text, std::array{rare}));
  REQUIRE(find_recipe(deflater, by_rare, text, {}, {.window_bits = 12}) == rare);

  Bytes other = by_gzip;
  other[other.size() / 2] ^= 1;
  REQUIRE_FALSE(find_recipe(deflater, other, text));
  REQUIRE_FALSE(find_recipe(deflater, ByteSpan(by_gzip).first(by_gzip.size() - 1), text));
  REQUIRE_FALSE(find_recipe(deflater, {}, text));
  REQUIRE_FALSE(find_recipe(deflater, by_gzip, ByteSpan(text).first(text.size() - 1)));
}

TEST_CASE("deflate: what no recipe makes is known by its first matches, for any text") {
  Deflater deflater;
  std::mt19937 random(3);
  for (const NamedText& named : tests::texts_to_deflate()) {
    Bytes stream = deflated_by_zlib(named.text, zlib_recipe(7, 8));
    if (stream.size() < 200) continue;
    INFO(named.name);
    // Damaged anywhere, it may still look like deflate, and is never taken for what it is not.
    for (unsigned i = 0; i < 20; ++i) {
      Bytes damaged = stream;
      damaged[random() % 200] ^= static_cast<std::uint8_t>(1U << random() % 8);
      REQUIRE_FALSE(find_recipe(deflater, damaged, named.text));
    }
  }
}

TEST_CASE("deflate: a zlib header bounds the recipe") {
  const auto best = bounds_of_zlib_header(0x78, 0xda);
  REQUIRE(best);
  REQUIRE(best->allow(zlib_recipe(9, 8)));
  REQUIRE(best->allow(zlib_recipe(7, 9)));
  REQUIRE_FALSE(best->allow(zlib_recipe(6, 8)));
  REQUIRE_FALSE(best->allow(zlib_recipe(9, 8, 14)));
  REQUIRE(bounds_of_zlib_header(0x78, 0x9c)->allow(zlib_recipe(6, 8)));
  REQUIRE(bounds_of_zlib_header(0x78, 0x01)->allow(zlib_recipe(1, 8)));
  REQUIRE(bounds_of_zlib_header(0x48, 0x89)->allow(zlib_recipe(6, 8, 12)));
  REQUIRE_FALSE(bounds_of_zlib_header(0x78, 0xdb));  // no multiple of 31
  REQUIRE_FALSE(bounds_of_zlib_header(0x79, 0xda));
  REQUIRE_FALSE(bounds_of_zlib_header(0x78, 0xbb));  // a dictionary

  // A short text is made by many recipes: the header says which.
  Deflater deflater;
  const Bytes text = to_bytes("short");
  const Bytes stream = deflated_by_zlib(text, zlib_recipe(6, 8));
  const auto bounds = bounds_of_zlib_header(0x78, 0x9c);
  REQUIRE(find_recipe(deflater, stream, text, {}, *bounds)->level == 6);
}

TEST_CASE("deflate: a recipe is one number, and each number one recipe") {
  std::vector<DeflateRecipe> recipes;
  for (std::uint64_t number = 0; number < 2000; ++number) {
    const auto recipe = recipe_from_number(number);
    if (!recipe) {
      REQUIRE(recipe.error().code() == ErrorCode::kBadPayload);
      continue;
    }
    REQUIRE(recipe_number(*recipe) == number);
    recipes.push_back(*recipe);
  }
  REQUIRE(recipes.size() == 27 + 9 * 9 * 7 * 3 - 9);  // nine of zlib's are usual ones
  REQUIRE(recipes.front() == DeflateRecipe{.level = 1});
  REQUIRE_FALSE(recipe_from_number(~std::uint64_t{0}));
}
