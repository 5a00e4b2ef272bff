// From a text back to the compressed stream, bit for bit.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "delta/streams.h"

namespace layby::delta {

// Makes streams again: holds the tables of the compressors. For one thread. All that one makes
// share kDeflateStepsBesides: a car takes another for each chunk.
class StreamRemaker {
 public:
  StreamRemaker();
  ~StreamRemaker();

  // Fills `stream`, exactly: kBadPayload where the recipe makes another length of this text, or is
  // none.
  Result<void> remake(StreamForm form, std::uint32_t recipe, ByteSpan text, MutableByteSpan stream);

  // The recipe that makes exactly `stream` of its `text`, if there is one. Learns which recipes are
  // likely. Takes what it does from `work_left` (as Deflater::find_recipe) and gives up when
  // nothing is left.
  std::optional<std::uint32_t> find_recipe(StreamForm form, ByteSpan stream, ByteSpan text,
                                           std::uint64_t& work_left);
  // What is found depends on what was found since then.
  void forget_likely();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace layby::delta
