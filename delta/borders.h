// Finds borders that the target already has from their other side. Encoder only.
#pragma once

#include <memory>
#include <stop_token>

#include "base/bytes.h"
#include "delta/copy.h"

namespace layby::delta {

class Borders {
 public:
  // `target` must outlive it.
  Borders(ByteSpan target, std::uint64_t table_bytes);
  ~Borders();

  // Puts mirrored copies (see mirror.h) among the `copies` of the chunk target[begin, end), which
  // are in order, where there were new bytes. None leaves the chunk. To be called for one chunk
  // after the other.
  void add_to(std::uint64_t begin, std::uint64_t end, CopyList& copies,
              const std::stop_token& stop);

 private:
  class Table;
  std::unique_ptr<Table> table_;
};

// Memory that the table of a target takes where as much is allowed.
std::uint64_t border_table_bytes(std::uint64_t target_bytes);

}  // namespace layby::delta
