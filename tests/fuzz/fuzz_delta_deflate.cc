// Any text by any recipe: zlib reads what is made and finds the text. Where the number is no recipe
// or the room too small, it is refused, and nothing is written beyond. Any bytes as a stream: a
// recipe is only found that makes them.
#include <zlib.h>

#include <algorithm>

#include "base/assert.h"
#include "delta/deflate_stream.h"

using namespace layby;
using namespace layby::delta;

namespace {

constexpr std::size_t kFoundTextBytesMax = 1000;  // tries all recipes
constexpr std::uint8_t kGuard = 0x5a;

// The rest of the input, again and again with changes, so that windows and blocks fill.
Bytes text_from(ByteSpan seed, std::size_t size) {
  Bytes text(seed.begin(), seed.end());
  for (std::size_t round = 1; !seed.empty() && text.size() < size; ++round) {
    for (std::size_t i = 0; i < seed.size() && text.size() < size; ++i)
      text.push_back(static_cast<std::uint8_t>(seed[i] ^ (i % (round + 7) == 0 ? round : 0)));
  }
  text.resize(std::min(text.size(), size));
  return text;
}

// Where the end-of-stream mark is, when the whole stream gives `text`.
std::size_t length_of_stream_for(ByteSpan stream, const Bytes& text) {
  z_stream zlib{};
  LAYBY_ASSERT(inflateInit2(&zlib, -15) == Z_OK);
  Bytes inflated(text.size() + 1);
  zlib.next_in = const_cast<Bytef*>(stream.data());
  zlib.avail_in = static_cast<uInt>(stream.size());
  zlib.next_out = inflated.data();
  zlib.avail_out = static_cast<uInt>(inflated.size());
  const int result = inflate(&zlib, Z_FINISH);
  const std::size_t size = zlib.total_in;
  inflated.resize(zlib.total_out);
  inflateEnd(&zlib);
  LAYBY_ASSERT(result == Z_STREAM_END && inflated == text);
  return size;
}

// Any bytes as a stream: what is found makes exactly those.
void check_found(Deflater& deflater, ByteSpan stream, const Bytes& text) {
  const auto found = deflater.find_recipe(stream, text);
  if (!found) return;
  Bytes made(stream.size());
  LAYBY_ASSERT(deflater.deflate(text, *found, made));
  LAYBY_ASSERT(std::equal(made.begin(), made.end(), stream.begin(), stream.end()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 8) return 0;
  const auto recipe = recipe_from_number(data[0] + 256U * data[1]);
  if (!recipe) {
    LAYBY_ASSERT(recipe.error().code() == ErrorCode::kBadPayload);
    return 0;
  }
  static Deflater deflater;
  // Seldom more than a buffer of two windows, where small windows slide all the same.
  const std::size_t text_bytes = data[2] + 256U * data[3] + (data[4] % 16 == 1 ? 65536U : 0);
  const Bytes text = text_from(ByteSpan(data, size).subspan(8), text_bytes);

  if (text.size() <= kFoundTextBytesMax)
    check_found(deflater, ByteSpan(data, size).subspan(8), text);

  Bytes room(text.size() * 2 + 1000);
  const auto length = deflater.deflate_within(text, *recipe, room);
  LAYBY_ASSERT(length);
  LAYBY_ASSERT(length_of_stream_for(ByteSpan(room).first(*length), text) == *length);

  // Exactly that much room is enough, and any other is refused.
  const std::size_t other = (data[5] + 256U * data[6]) % (*length + 2);
  for (const std::size_t fitting : {*length, other}) {
    Bytes made(fitting + 4, kGuard);
    const auto result = deflater.deflate(text, *recipe, MutableByteSpan(made).first(fitting));
    LAYBY_ASSERT(result.has_value() == (fitting == *length));
    if (result) LAYBY_ASSERT(std::equal(made.begin(), made.end() - 4, room.begin()));
    LAYBY_ASSERT(std::all_of(made.end() - 4, made.end(), [](auto b) { return b == kGuard; }));
  }
  return 0;
}
