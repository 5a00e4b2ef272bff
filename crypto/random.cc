#include "crypto/random.h"

#include <sodium.h>

#include "base/assert.h"

namespace layby::crypto {

void fill_random(MutableByteSpan out) {
  randombytes_buf(out.data(), out.size());
}

Bytes random_bytes(std::size_t count) {
  Bytes out(count);
  fill_random(out);
  return out;
}

std::string random_text(std::string_view alphabet, std::size_t length) {
  LAYBY_ASSERT(alphabet.size() >= 2 && alphabet.size() <= 256);
  std::string out(length, '\0');
  for (char& c : out)
    c = alphabet[randombytes_uniform(static_cast<std::uint32_t>(alphabet.size()))];
  return out;
}

}  // namespace layby::crypto
