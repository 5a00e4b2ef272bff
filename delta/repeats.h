// The second base: target bytes that are already written. Encoder only.
#pragma once

#include <memory>
#include <stop_token>
#include <vector>

#include "base/bytes.h"
#include "delta/copy.h"
#include "delta/new_byte_costs.h"

namespace layby::delta {

struct RepeatSource {
  ByteSpan target;  // its view, like all that follows
  // The images that copies were found in: what differs between them costs payload bytes.
  ByteSpan match_base;
  ByteSpan match_target;
  bool has_addresses = false;  // then most differences are addresses, which are cheap
};

// What the copies of a chunk cost, place by place: repeats are looked for where that is much.
class ChunkCosts {
 public:
  // Of target[begin, end), which `copies` cover parts of.
  ChunkCosts(const RepeatSource& source, const CopyList& copies, std::uint64_t begin,
             std::uint64_t end);

  struct Place {
    std::uint64_t at;
    std::uint64_t bytes;  // that cost as much each
    std::uint64_t each;
    std::uint64_t before;  // of all places before
  };
  const std::vector<Place>& places() const { return places_; }
  std::uint64_t begin() const { return begin_; }
  std::uint64_t end() const { return end_; }

  // Of target[from, to).
  std::uint64_t of(std::uint64_t from, std::uint64_t to) const { return up_to(to) - up_to(from); }

 private:
  void add(std::uint64_t at, std::uint64_t cost, std::uint64_t bytes = 1);
  void add_new(const NewByteCosts& costs, std::uint64_t from, std::uint64_t to);
  void add_differences(const RepeatSource& source, const Copy& copy);
  std::uint64_t up_to(std::uint64_t at) const;

  std::uint64_t begin_;
  std::uint64_t end_;
  std::vector<Place> places_;
  std::uint64_t total_ = 0;
};

class Repeats {
 public:
  // `target` must outlive it.
  Repeats(ByteSpan target, std::uint64_t table_bytes);
  ~Repeats();

  // Puts copies of earlier target bytes among `copies`, which are of the base and in order,
  // wherever they are cheaper than what stands there. None leaves the chunk or reaches into itself.
  // To be called for one chunk after the other.
  void add_to(const ChunkCosts& costs, CopyList& copies, const std::stop_token& stop);

 private:
  class Table;
  std::unique_ptr<Table> table_;
};

// Memory that the table of a target takes where as much is allowed.
std::uint64_t repeat_table_bytes(std::uint64_t target_bytes);

}  // namespace layby::delta
