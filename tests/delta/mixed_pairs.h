// Code and pointers to it, and a later version in which all of it has moved: for the tests of
// CoderId::kMixed.
#pragma once

#include "delta/mixed.h"
#include "tests/delta/memory_file.h"

namespace layby::delta::tests {

struct MixedPair {
  Bytes base;
  Bytes target;
  AddressTable table;
  CopyList copies;
};

inline void put32(Bytes& image, std::size_t at, std::uint64_t value) {
  for (std::size_t i = 0; i < 4; ++i) image[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
}

// Functions of 64 bytes that call each other and load data, then a table of pointers to them. In
// the target `inserted` functions stand in their middle, and a byte in a thousand differs.
inline MixedPair moved_program(Random& random, std::size_t functions, std::size_t inserted) {
  constexpr std::uint64_t kLow = 0x40'0000;
  constexpr std::size_t kBytes = 64;
  const std::size_t middle = functions / 2;
  std::vector<std::size_t> calls(functions + inserted);
  for (auto& call : calls) call = random() % functions;
  Bytes bodies = noise(random, (functions + inserted) * kBytes);
  // The old number of each of the functions that stand there; new ones come last.
  const auto image = [&](const std::vector<std::size_t>& order) {
    std::vector<std::size_t> place(functions + inserted, 0);
    for (std::size_t i = 0; i < order.size(); ++i) place[order[i]] = i * kBytes;
    Bytes made;
    for (const std::size_t function : order) {
      const std::size_t at = made.size();
      made.insert(made.end(), bodies.begin() + static_cast<std::ptrdiff_t>(function * kBytes),
                  bodies.begin() + static_cast<std::ptrdiff_t>((function + 1) * kBytes));
      made[at + 9] = 0xe8;
      put32(made, at + 10, place[calls[function]] - (at + 14));
      made[at + 29] = 0x48;
      made[at + 30] = 0x8d;
      made[at + 31] = 0x05;
      put32(made, at + 32, place[calls[calls[function]]] + 8 - (at + 36));
    }
    for (std::size_t i = 0; i < functions; ++i) {
      const std::size_t at = made.size();
      made.resize(at + 8);
      put32(made, at, kLow + place[i]);
    }
    return made;
  };
  std::vector<std::size_t> old_order, new_order;
  for (std::size_t i = 0; i < functions; ++i) {
    if (i == middle)
      for (std::size_t k = 0; k < inserted; ++k) new_order.push_back(functions + k);
    old_order.push_back(i);
    new_order.push_back(i);
  }
  MixedPair pair;
  pair.base = image(old_order);
  pair.target = image(new_order);
  for (std::size_t i = 0; i < pair.target.size() / 1000; ++i)
    pair.target[random() % pair.target.size()] ^= static_cast<std::uint8_t>(1 + random() % 255);
  const std::uint64_t old_code = functions * kBytes;
  const std::uint64_t new_code = (functions + inserted) * kBytes;
  pair.table.modules.push_back({kLow, kLow + new_code + functions * 8, kLow, kLow + new_code});
  pair.table.base = {{0, old_code, kLow, 0, 0, RangeKind::kX86Code},
                     {old_code, functions * 8, kLow, 0, 0, RangeKind::kWords64}};
  pair.table.target = {{0, new_code, kLow, 0, 0, RangeKind::kX86Code},
                       {new_code, functions * 8, kLow, 0, 0, RangeKind::kWords64}};
  pair.copies = {{0, 0, middle * kBytes},
                 {(middle + inserted) * kBytes, middle * kBytes, old_code - middle * kBytes},
                 {new_code, old_code, functions * 8}};
  return pair;
}

// Copies cut at the multiples of `chunk_bytes`, as the encoder cuts them.
inline std::vector<CopyList> cut(const CopyList& copies, std::size_t chunk_bytes,
                                 std::size_t target_bytes) {
  std::vector<CopyList> chunks((target_bytes + chunk_bytes - 1) / chunk_bytes);
  for (Copy copy : copies)
    while (copy.bytes > 0) {
      const std::uint64_t chunk = copy.target_offset / chunk_bytes;
      Copy part = copy;
      part.bytes = std::min(copy.bytes, (chunk + 1) * chunk_bytes - copy.target_offset);
      chunks[chunk].push_back(part);
      copy.target_offset += part.bytes;
      copy.source_offset += part.bytes;
      copy.bytes -= part.bytes;
    }
  return chunks;
}

inline std::vector<Bytes> encode_chunks(const MixedPair& pair, std::size_t chunk_bytes) {
  std::vector<Bytes> made;
  const auto chunks = cut(pair.copies, chunk_bytes, pair.target.size());
  for (std::size_t i = 0; i < chunks.size(); ++i)
    made.push_back(encode_mixed({pair.base, pair.target, i * chunk_bytes,
                                 std::min(pair.target.size(), (i + 1) * chunk_bytes)},
                                pair.table, chunks[i]));
  return made;
}

// Decodes with nothing but the target bytes so far at hand. `no_base`: with none rather than an
// empty one.
inline Result<Bytes> decode_chunks(const MixedPair& pair, const std::vector<Bytes>& chunks,
                                   std::size_t chunk_bytes, bool no_base = false) {
  const MemoryFile base(pair.base);
  MemoryFile target;
  const auto decoder = make_mixed_decoder(pair.table);
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    Bytes out(std::min(chunk_bytes, pair.target.size() - i * chunk_bytes), 0xee);
    TRY_VOID(decoder->decode(chunks[i], no_base ? nullptr : &base, target, i * chunk_bytes, out));
    TRY_VOID(target.write_at(i * chunk_bytes, out));
  }
  return std::move(target.bytes);
}

}  // namespace layby::delta::tests
