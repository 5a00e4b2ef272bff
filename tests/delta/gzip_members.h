// Archives with compressed members, as tar, gzip and zlib write them, for the tests of the codec.
#pragma once

#include <zlib.h>

#include <string>
#include <vector>

#include "delta/deflate_stream.h"
#include "tests/delta/memory_file.h"

namespace layby::delta::tests {

// What zlib makes; window bits as it takes them: -15 raw, 15 zlib, 31 gzip.
inline Bytes compress(const Bytes& text, int level, int window_bits) {
  z_stream stream{};
  deflateInit2(&stream, level, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY);
  Bytes out(deflateBound(&stream, text.size()) + 64);
  stream.next_in = const_cast<Bytef*>(text.data());
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

inline Bytes gzip(const Bytes& text, int level = 9) {
  return compress(text, level, 31);
}

// A tar of files named a, b, c: 512 bytes of header each, contents to the next 512.
inline Bytes archive(const std::vector<Bytes>& files) {
  Bytes out;
  for (std::size_t i = 0; i < files.size(); ++i) {
    Bytes header(512, 0);
    const std::string name =
        "file" + std::to_string(i) + ".gz size " + std::to_string(files[i].size());
    std::copy(name.begin(), name.end(), header.begin());
    out.insert(out.end(), header.begin(), header.end());
    out.insert(out.end(), files[i].begin(), files[i].end());
    out.resize((out.size() + 511) / 512 * 512);
  }
  return out;
}

}  // namespace layby::delta::tests
