// Writes the chunks of a payload in their order, whatever order they are made in.
#pragma once

#include <map>
#include <mutex>
#include <vector>

#include "delta/chunk_plan.h"
#include "delta/encoder.h"
#include "delta/payload.h"

namespace layby::delta {

// A chunk and what is counted about it.
struct MadeChunk {
  Bytes bytes;
  std::uint64_t copies = 0;
  std::uint64_t copied_bytes = 0;
  std::uint64_t changed_bytes = 0;
  std::uint64_t left_out = 0;  // copies
};

// What is finished early waits here. Any thread may call it.
class ChunkWriter {
 public:
  // All must outlive it.
  ChunkWriter(ByteSpan target, const std::vector<ChunkSpan>& spans, PayloadHeadBuilder& builder,
              File& output, EncodeReport& report)
      : target_(target), spans_(spans), builder_(builder), output_(output), report_(report) {}

  // False: nothing more is wanted.
  bool put(std::size_t index, MadeChunk chunk);

  // Once no thread is at work.
  const Result<void>& result() const { return result_; }

 private:
  Result<void> write(const MadeChunk& chunk);

  const ByteSpan target_;
  const std::vector<ChunkSpan>& spans_;
  PayloadHeadBuilder& builder_;
  File& output_;
  EncodeReport& report_;

  std::mutex mutex_;  // guards what follows, and the three above
  std::map<std::size_t, MadeChunk> waiting_;
  std::size_t written_ = 0;
  Result<void> result_;
};

}  // namespace layby::delta
