// Makes a raw deflate stream (RFC 1951) from its text and a recipe, bit for bit as the program that
// the recipe names would, and finds the recipe of a stream. Integers only and no library: what a
// recipe means never changes.
//
//   // server: is this member of an archive worth seeing through?
//   const auto recipe = find_recipe(member, inflated);
//   // car: it has the text and the number of the recipe, and makes the member
//   TRY_VOID(deflater.deflate(inflated, *recipe, member));
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "base/bytes.h"
#include "base/result.h"
#include "delta/deflate_recipe.h"

namespace layby::delta {

// The longest text: positions are numbers of 32 bits.
inline constexpr std::uint64_t kDeflateTextBytesMax = std::uint64_t{1} << 30;

// What making may cost: candidates looked at, and words of eight bytes compared. Texts and programs
// take 2 to 10 for each of their bytes; what takes more than this is refused, for it was made to be
// slow. A recipe is only found where half of the steps for each byte is enough, without those
// besides, so that a car that counts a little otherwise still makes it.
inline constexpr std::uint64_t kDeflateStepsPerByteMax = 1024;
inline constexpr std::uint64_t kDeflateStepsBesides = std::uint64_t{1} << 22;

inline constexpr std::uint64_t kDeflateTryWork = 4096;

// What is known of a recipe beforehand. Short streams are made by many recipes, of which others may
// be ruled out by what stands around the stream.
struct RecipeBounds {
  std::uint8_t level_min = 1;
  std::uint8_t level_max = 9;
  std::uint8_t window_bits = 15;

  bool allow(const DeflateRecipe& recipe) const {
    return recipe.level >= level_min && recipe.level <= level_max &&
           recipe.window_bits == window_bits;
  }
};

// What the two bytes before a zlib stream (RFC 1950, 2.2) say of it. Nothing where they are none,
// or say what no recipe does.
std::optional<RecipeBounds> bounds_of_zlib_header(std::uint8_t first, std::uint8_t second);

// Holds the tables of the search: kDeflateStateBytes, allocated once, whatever the texts are. For
// one thread at a time.
class Deflater {
 public:
  Deflater();
  ~Deflater();
  Deflater(Deflater&&) noexcept;
  Deflater& operator=(Deflater&&) noexcept;

  // Fills `stream`, exactly. kBadPayload where the stream would have another length, where the text
  // is longer than kDeflateTextBytesMax, or where it takes too many steps; then `stream` holds
  // anything. Nothing beyond `stream` is ever written.
  Result<void> deflate(ByteSpan text, const DeflateRecipe& recipe, MutableByteSpan stream);

  // The same for one of several streams, which share what is left of the steps: for each byte of
  // the text kDeflateStepsPerByteMax more are given, and what it takes is taken away.
  Result<void> deflate(ByteSpan text, const DeflateRecipe& recipe, MutableByteSpan stream,
                       std::uint64_t& steps_left);

  // The same where the length of the stream is not known: it is at the beginning of `room`, and
  // that is how long it is. kBadPayload where it does not fit.
  Result<std::size_t> deflate_within(ByteSpan text, const DeflateRecipe& recipe,
                                     MutableByteSpan room);

  // The recipe that makes exactly `stream` of `text`, if one does. Tries `likely` first, in that
  // order (what was found for the stream's neighbours), then what the bounds allow. Most that
  // cannot have made the stream are known by its first matches: a stream of another family costs
  // about a millisecond. Allocates as much again as the stream has, and 256 KiB.
  std::optional<DeflateRecipe> find_recipe(ByteSpan stream, ByteSpan text,
                                           std::span<const DeflateRecipe> likely = {},
                                           const RecipeBounds& bounds = {});
  // The same, which takes what it does from `work_left` and gives up when nothing is left: steps,
  // bytes of text gone through, and kDeflateTryWork for each recipe tried.
  std::optional<DeflateRecipe> find_recipe(ByteSpan stream, ByteSpan text,
                                           std::span<const DeflateRecipe> likely,
                                           const RecipeBounds& bounds, std::uint64_t& work_left);

  struct State;

 private:
  std::unique_ptr<State> state_;
};

// What Deflater allocates, at most.
inline constexpr std::size_t kDeflateStateBytes = 768 * 1024;

// The same, as a function.
inline std::optional<DeflateRecipe> find_recipe(Deflater& deflater, ByteSpan stream, ByteSpan text,
                                                std::span<const DeflateRecipe> likely = {},
                                                const RecipeBounds& bounds = {}) {
  return deflater.find_recipe(stream, text, likely, bounds);
}

}  // namespace layby::delta
