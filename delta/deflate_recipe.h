// Which program made a deflate stream (RFC 1951), so that its text alone is enough to make it again
// bit for bit. The programs are of one family: they find matches by hash chains and build codes in
// the same way, and differ in what docs/formats-payload.md tells under "Deflate recipes".
#pragma once

#include <cstdint>

#include "base/result.h"

namespace layby::delta {

enum class DeflateFamily : std::uint8_t {
  kGzip = 0,     // GNU gzip 1.5 and later
  kZlib = 1,     // zlib 1.2 and 1.3, and what is linked with it
  kInfoZip = 2,  // Info-ZIP zip 3
};

// What zlib alone can be told. The others have kDefault.
enum class DeflateStrategy : std::uint8_t {
  kDefault = 0,
  kFiltered = 1,  // no matches shorter than 6
  kFixed = 2,     // no codes but the fixed ones
};

struct DeflateRecipe {
  DeflateFamily family = DeflateFamily::kGzip;
  std::uint8_t level = 9;         // 1 to 9
  std::uint8_t memory = 8;        // zlib's memLevel, 1 to 9; 8 with the others
  std::uint8_t window_bits = 15;  // 9 to 15; 15 with the others
  DeflateStrategy strategy = DeflateStrategy::kDefault;

  bool operator==(const DeflateRecipe&) const = default;
};

// A recipe is one number, the same on both sides for ever: below 27 for the usual ones, which are
// one byte as a varint, at most two bytes for the others.
std::uint64_t recipe_number(const DeflateRecipe& recipe);

// kBadPayload where no recipe has that number.
Result<DeflateRecipe> recipe_from_number(std::uint64_t number);

}  // namespace layby::delta
