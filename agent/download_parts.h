// What Downloads keeps between its steps; for the files of this class alone.
#pragma once

#include "agent/download.h"

namespace layby::agent {

// The image that is being made, kept open between two steps.
struct Downloads::Open {
  manifest::OrderId order;
  std::size_t index;
  crypto::Digest256 payload;
  std::unique_ptr<ReadAt> base;
  std::unique_ptr<File> target;
  std::optional<delta::Applier> applier;
};

// Of a chunk that is not whole yet.
struct Downloads::Begun {
  manifest::OrderId order;
  std::size_t index;
  crypto::Digest256 payload;
  std::uint32_t chunk;
  Bytes bytes;
};

// Of the whole image, while a broken chunk of a delta is mended from it.
struct Downloads::Whole {
  manifest::OrderId order;
  std::size_t index;
  crypto::Digest256 payload;
  delta::Applier applier;
  std::uint32_t next;  // chunk of the whole image
  std::uint64_t end;   // target bytes that the broken chunk and those before it make
};

struct Downloads::Run {
  ImageProgress& image;
  const std::string what;  // for messages: which payload
  const Meter meter;
  std::uint32_t next;  // chunk that is coming in
  std::uint32_t end;
  std::uint64_t counted = 0;  // bytes; of the chunks that came and of the one that is coming
  Bytes buffer{};
};

// It was not the network's fault, nor the medium's.
inline bool is_damage(const Error& error) {
  const ErrorCode code = error.code();
  return code == ErrorCode::kWrongChunk || code == ErrorCode::kBadPayload ||
         code == ErrorCode::kEndlessData;
}

inline std::string payload_text(const manifest::Payload& payload) {
  return "payload " + to_hex(payload.sha256);
}

}  // namespace layby::agent
