// What a primary and a secondary say to each other over a stream, message by message
// (docs/secondaries.md has it byte by byte). The primary asks, the secondary answers; never two
// questions at a time.
//
// A message: "LE", version u8 = 1, type u8, length of the body u32, body. Numbers are
// little-endian. Neither side trusts the other: a header that is none, an unknown type and a body
// longer than its type may have are refused before a byte of the body is read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/result.h"
#include "crypto/digest.h"
#include "manifest/server_time.h"

namespace layby::secondary {

constexpr std::size_t kHeaderBytes = 8;
constexpr std::size_t kPieceBytesMax = 256 * kKiB;  // of an image, in one message
constexpr std::size_t kNoncesMax = 64;              // ECUs that share one signed time
constexpr std::uint64_t kTimeDocumentBytesMax = 16 * kKiB;
constexpr std::uint64_t kStatusBytesMax = 16 * kKiB;

enum class MessageType : std::uint8_t {
  // Questions.
  kStatus = 1,    // → kDone: EcuStatus as JSON
  kNonce = 2,     // → kDone: 16 bytes, good for one signed time
  kTime = 3,      // TimeBody → kDone
  kLook = 4,      // LookFor → kWant or kDone
  kFile = 5,      // FileBody, the one that kWant asked for → kWant or kDone
  kBegin = 6,     // digest of the image → kDone: BeginAnswer
  kPiece = 7,     // PieceBody → kDone
  kEnd = 8,       // digest → kDone: all of it is here, read back and right
  kActivate = 9,  // digest → kDone: it runs on trial
  kCheck = 10,    // digest → kDone: it is well; the ECU can still go both ways
  kKeep = 11,     // digest → kDone: for good
  kRevert = 12,   // digest → kDone: what was there before runs
  kReport = 13,   // → kDone: a signed ECU report
  // Answers.
  kDone = 128,
  kWant = 129,   // WantBody
  kError = 255,  // code u16, text
};

struct Message {
  MessageType type;
  Bytes body{};
  bool operator==(const Message&) const = default;
};

// kInvalidArgument for a body that its type may not have.
Result<Bytes> encode(const Message& message);
// The longest body of a type; empty for a type that there is not.
std::optional<std::uint64_t> body_bytes_max(std::uint8_t type);
// Length of the body behind this header. kBadFormat for what is no header of ours, kUnsupported for
// another version, kEndlessData for too long a body.
struct Header {
  MessageType type;
  std::uint32_t body_bytes;
};
Result<Header> read_header(ByteSpan bytes);

// ---- bodies: readers give kBadFormat for anything but what the writer makes
// ----------------------

enum class LookFor : std::uint8_t { kRoots = 0, kAll = 1 };
Message make_look(LookFor look_for);
Result<LookFor> read_look(ByteSpan body);

struct TimeBody {
  std::vector<manifest::TimeNonce> nonces;  // all that were asked for, the reader's among them
  Bytes document;
};
Message make_time(const TimeBody& body);
Result<TimeBody> read_time(ByteSpan body);

enum class RepositoryName : std::uint8_t { kDirector = 0, kImage = 1 };
struct WantBody {
  RepositoryName repository = RepositoryName::kDirector;
  std::uint32_t bytes_max = 0;
  std::string file;  // `timestamp.json`, `3.root.json`, `2.ROLE.json`, …
};
Message make_want(const WantBody& body);
Result<WantBody> read_want(ByteSpan body);

// Empty: there is no such file.
Message make_file(const std::optional<Bytes>& file);
Result<std::optional<Bytes>> read_file_body(ByteSpan body);

Message make_digest(MessageType type, const crypto::Digest256& sha256);
Result<crypto::Digest256> read_digest(ByteSpan body);

enum class BeginAnswer : std::uint8_t { kSend = 0, kStaged = 1, kInstalled = 2 };
Message make_begin_answer(BeginAnswer answer);
Result<BeginAnswer> read_begin_answer(ByteSpan body);

struct PieceBody {
  std::uint64_t offset = 0;
  ByteSpan bytes;  // at least one
};
Message make_piece(const PieceBody& body);
Result<PieceBody> read_piece(ByteSpan body);

Message make_error(const Error& error);
Error read_error(ByteSpan body);  // what cannot be read is an error too: kBadFormat

}  // namespace layby::secondary
