#include "tests/delta/deflate_oracles.h"

#include <zlib.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "tests/temp_dir.h"

namespace layby::tests {
namespace {

Bytes bytes_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE(file);
  return Bytes(std::istreambuf_iterator<char>(file), {});
}

// All sources of some folders, in the order of their names.
Bytes sources() {
  Bytes all;
  for (const char* const folder : {"delta", "server/store", "agent", "manifest", "docs"}) {
    std::vector<std::filesystem::path> paths;
    for (const auto& entry :
         std::filesystem::directory_iterator(std::filesystem::path(LAYBY_SOURCE_DIR) / folder))
      if (entry.is_regular_file()) paths.push_back(entry.path());
    std::sort(paths.begin(), paths.end());
    for (const auto& path : paths) {
      const Bytes text = bytes_of(path);
      all.insert(all.end(), text.begin(), text.end());
    }
  }
  return all;
}

Bytes noise(std::size_t size) {
  std::mt19937_64 random(51);
  Bytes text(size);
  for (auto& byte : text) byte = static_cast<std::uint8_t>(random());
  return text;
}

int strategy_of(delta::DeflateStrategy strategy) {
  switch (strategy) {
    case delta::DeflateStrategy::kDefault: return Z_DEFAULT_STRATEGY;
    case delta::DeflateStrategy::kFiltered: return Z_FILTERED;
    case delta::DeflateStrategy::kFixed: return Z_FIXED;
  }
  return -1;
}

void write_text(const std::string& path, ByteSpan text) {
  std::ofstream file(path, std::ios::binary);
  file.write(as_text(text).data(), static_cast<std::streamsize>(text.size()));
  REQUIRE(file.flush());
}

void run(const std::string& command) {
  REQUIRE(std::system(command.c_str()) == 0);
}

}  // namespace

std::vector<NamedText> texts_to_deflate() {
  std::vector<NamedText> texts{{"nothing", {}}, {"a byte", to_bytes("x")}};
  const Bytes source = sources();
  REQUIRE(source.size() > 1'200'000);
  texts.push_back({"sources", Bytes(source.begin(), source.begin() + 1'200'000)});
  for (const std::size_t size : {2U, 3U, 4U, 259U, 262U, 32767U, 32768U, 33026U, 65273U, 65274U,
                                 65275U, 65400U, 65535U, 65536U, 65537U, 98304U, 131072U})
    texts.push_back({"sources, " + std::to_string(size),
                     Bytes(source.begin(), source.begin() + static_cast<std::ptrdiff_t>(size))});
  Bytes program = bytes_of("/proc/self/exe");
  program.resize(std::min<std::size_t>(program.size(), 1 << 20));
  texts.push_back({"this program", std::move(program)});
  texts.push_back({"noise", noise(200'000)});
  texts.push_back({"zeros", Bytes(1 << 20)});
  Bytes mixed = noise(40'000);  // ends in what is stored, what is not, and zeros at the very end
  mixed.insert(mixed.end(), source.begin(), source.begin() + 50'000);
  mixed.insert(mixed.end(), mixed.begin() + 30'000, mixed.begin() + 80'000);
  mixed.insert(mixed.end(), 700, 0);
  texts.push_back({"a mixture", std::move(mixed)});
  return texts;
}

Bytes deflated_by_zlib(ByteSpan text, const delta::DeflateRecipe& recipe) {
  z_stream zlib{};
  REQUIRE(deflateInit2(&zlib, recipe.level, Z_DEFLATED, -recipe.window_bits, recipe.memory,
                       strategy_of(recipe.strategy)) == Z_OK);
  Bytes stream(deflateBound(&zlib, text.size()) + 64);
  zlib.next_in = const_cast<Bytef*>(text.data());
  zlib.avail_in = static_cast<uInt>(text.size());
  zlib.next_out = stream.data();
  zlib.avail_out = static_cast<uInt>(stream.size());
  REQUIRE(deflate(&zlib, Z_FINISH) == Z_STREAM_END);
  stream.resize(zlib.total_out);
  deflateEnd(&zlib);
  return stream;
}

Bytes inflated_by_zlib(ByteSpan stream) {
  z_stream zlib{};
  REQUIRE(inflateInit2(&zlib, -15) == Z_OK);
  zlib.next_in = const_cast<Bytef*>(stream.data());
  zlib.avail_in = static_cast<uInt>(stream.size());
  Bytes text;
  Bytes piece(std::size_t{1} << 16);
  int result = Z_OK;
  while (result == Z_OK) {
    zlib.next_out = piece.data();
    zlib.avail_out = static_cast<uInt>(piece.size());
    result = inflate(&zlib, Z_NO_FLUSH);
    text.insert(text.end(), piece.begin(), piece.end() - zlib.avail_out);
  }
  const std::size_t rest = zlib.avail_in;
  inflateEnd(&zlib);
  REQUIRE(result == Z_STREAM_END);
  REQUIRE(rest == 0);
  return text;
}

Bytes deflated_by_gzip(ByteSpan text, unsigned level) {
  const TempDir dir;
  write_text(dir / "text", text);
  run("gzip -n -" + std::to_string(level) + " <'" + dir / "text" + "' >'" + dir / "gz" + "'");
  const Bytes member = bytes_of(dir / "gz");
  REQUIRE(member.size() >= 18);
  return Bytes(member.begin() + 10, member.end() - 8);  // no name: -n
}

std::optional<Bytes> deflated_by_zip(ByteSpan text, unsigned level) {
  const TempDir dir;
  write_text(dir / "text", text);
  run("cd '" + dir.path() + "' && zip -q -X -" + std::to_string(level) + " a.zip text");
  const Bytes archive = bytes_of(dir / "a.zip");
  REQUIRE(archive.size() > 30);
  const auto name_bytes = load_u16(&archive[26]);
  const auto extra_bytes = load_u16(&archive[28]);
  if (load_u16(&archive[8]) == 0) return std::nullopt;  // stored
  const auto begin = archive.begin() + 30 + name_bytes + extra_bytes;
  return Bytes(begin, begin + load_u32(&archive[18]));
}

}  // namespace layby::tests
