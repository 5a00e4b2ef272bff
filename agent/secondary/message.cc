#include "agent/secondary/message.h"

#include <algorithm>

#include "base/assert.h"

namespace layby::secondary {
namespace {

constexpr std::uint8_t kMagic[] = {'L', 'E'};
constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kFileNameMax = 280;  // a delegated role's, with a version before it
constexpr std::size_t kDigestBytes = sizeof(crypto::Digest256);
constexpr std::size_t kNonceBytes = sizeof(manifest::TimeNonce);

void append(Bytes& bytes, ByteSpan more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
}

void append_number(Bytes& bytes, std::uint64_t value, int count) {
  for (int i = 0; i < count; ++i) bytes.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

std::uint64_t number_in(ByteSpan bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) value = value << 8 | bytes[i];
  return value;
}

tl::unexpected<Error> bad(std::string_view what) {
  return fail(ErrorCode::kBadFormat, "{}: not what this message says", what);
}

// One byte, of the values 0 to `last`.
Result<std::uint8_t> read_choice(ByteSpan body, std::uint8_t last, std::string_view what) {
  if (body.size() != 1 || body[0] > last) return bad(what);
  return body[0];
}

bool is_file_name(std::string_view text) {
  return !text.empty() && text.size() <= kFileNameMax && std::ranges::all_of(text, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '-' || c == '_' || c == '~' || c == '%';
  });
}

}  // namespace

std::optional<std::uint64_t> body_bytes_max(std::uint8_t type) {
  switch (static_cast<MessageType>(type)) {
    case MessageType::kStatus:
    case MessageType::kNonce:
    case MessageType::kReport: return 0;
    case MessageType::kTime: return 1 + kNoncesMax * kNonceBytes + kTimeDocumentBytesMax;
    case MessageType::kLook: return 1;
    case MessageType::kFile: return 1 + kTargetsBytesMax;
    case MessageType::kPiece: return 8 + kPieceBytesMax;
    case MessageType::kBegin:
    case MessageType::kEnd:
    case MessageType::kActivate:
    case MessageType::kCheck:
    case MessageType::kKeep:
    case MessageType::kRevert: return kDigestBytes;
    case MessageType::kDone: return kVehicleManifestBytesMax;
    case MessageType::kWant: return 5 + kFileNameMax;
    case MessageType::kError: return 2 + kErrorBytesMax;
  }
  return std::nullopt;
}

Result<Bytes> encode(const Message& message) {
  const auto max = body_bytes_max(static_cast<std::uint8_t>(message.type));
  if (!max || message.body.size() > *max)
    return fail(ErrorCode::kInvalidArgument, "a message of type {} with {} bytes",
                static_cast<unsigned>(message.type), message.body.size());
  Bytes bytes(std::begin(kMagic), std::end(kMagic));
  bytes.push_back(kVersion);
  bytes.push_back(static_cast<std::uint8_t>(message.type));
  append_number(bytes, message.body.size(), 4);
  append(bytes, message.body);
  return bytes;
}

Result<Header> read_header(ByteSpan bytes) {
  if (bytes.size() != kHeaderBytes ||
      !std::equal(std::begin(kMagic), std::end(kMagic), bytes.data()))
    return fail(ErrorCode::kBadFormat, "no message of this protocol");
  if (bytes[2] != kVersion)
    return fail(ErrorCode::kUnsupported, "version {} of the protocol, this is {}", bytes[2],
                kVersion);
  const auto max = body_bytes_max(bytes[3]);
  if (!max) return fail(ErrorCode::kBadFormat, "no message of type {}", bytes[3]);
  const std::uint64_t length = number_in(bytes.subspan(4, 4));
  if (length > *max)
    return fail(ErrorCode::kEndlessData,
                "a message of type {} with {} bytes, at most {} are allowed", bytes[3], length,
                *max);
  return Header{static_cast<MessageType>(bytes[3]), static_cast<std::uint32_t>(length)};
}

Message make_look(LookFor look_for) {
  return {MessageType::kLook, {static_cast<std::uint8_t>(look_for)}};
}

Result<LookFor> read_look(ByteSpan body) {
  return static_cast<LookFor>(TRY(read_choice(body, 1, "look")));
}

Message make_time(const TimeBody& body) {
  LAYBY_ASSERT(body.nonces.size() <= kNoncesMax);
  Message message{MessageType::kTime};
  message.body.push_back(static_cast<std::uint8_t>(body.nonces.size()));
  for (const manifest::TimeNonce& nonce : body.nonces) append(message.body, nonce);
  append(message.body, body.document);
  return message;
}

Result<TimeBody> read_time(ByteSpan body) {
  if (body.empty() || body[0] == 0 || body[0] > kNoncesMax) return bad("time");
  const std::size_t count = body[0];
  if (body.size() <= 1 + count * kNonceBytes) return bad("time");
  TimeBody out;
  for (std::size_t i = 0; i < count; ++i) {
    manifest::TimeNonce nonce;
    std::copy_n(body.data() + 1 + i * kNonceBytes, kNonceBytes, nonce.begin());
    out.nonces.push_back(nonce);
  }
  const ByteSpan document = body.subspan(1 + count * kNonceBytes);
  if (document.size() > kTimeDocumentBytesMax) return bad("time");
  out.document.assign(document.begin(), document.end());
  return out;
}

Message make_want(const WantBody& body) {
  LAYBY_ASSERT(is_file_name(body.file));
  Message message{MessageType::kWant, {static_cast<std::uint8_t>(body.repository)}};
  append_number(message.body, body.bytes_max, 4);
  append(message.body, as_bytes(body.file));
  return message;
}

Result<WantBody> read_want(ByteSpan body) {
  if (body.size() < 5 || body[0] > 1) return bad("want");
  WantBody want{.repository = static_cast<RepositoryName>(body[0]),
                .bytes_max = static_cast<std::uint32_t>(number_in(body.subspan(1, 4))),
                .file = std::string(as_text(body.subspan(5)))};
  if (!is_file_name(want.file)) return bad("want");
  return want;
}

Message make_file(const std::optional<Bytes>& file) {
  Message message{MessageType::kFile, {static_cast<std::uint8_t>(file ? 1 : 0)}};
  if (file) append(message.body, *file);
  return message;
}

Result<std::optional<Bytes>> read_file_body(ByteSpan body) {
  if (body.empty() || body[0] > 1 || (body[0] == 0 && body.size() != 1)) return bad("file");
  if (body[0] == 0) return std::optional<Bytes>{};
  return std::optional<Bytes>(Bytes(body.begin() + 1, body.end()));
}

Message make_digest(MessageType type, const crypto::Digest256& sha256) {
  return {type, Bytes(sha256.begin(), sha256.end())};
}

Result<crypto::Digest256> read_digest(ByteSpan body) {
  if (body.size() != kDigestBytes) return bad("digest");
  crypto::Digest256 sha256;
  std::ranges::copy(body, sha256.begin());
  return sha256;
}

Message make_begin_answer(BeginAnswer answer) {
  return {MessageType::kDone, {static_cast<std::uint8_t>(answer)}};
}

Result<BeginAnswer> read_begin_answer(ByteSpan body) {
  return static_cast<BeginAnswer>(TRY(read_choice(body, 2, "begin")));
}

Message make_piece(const PieceBody& body) {
  Message message{MessageType::kPiece};
  append_number(message.body, body.offset, 8);
  append(message.body, body.bytes);
  return message;
}

Result<PieceBody> read_piece(ByteSpan body) {
  if (body.size() <= 8) return bad("piece");
  return PieceBody{number_in(body.first(8)), body.subspan(8)};
}

Message make_error(const Error& error) {
  Message message{MessageType::kError};
  append_number(message.body, static_cast<std::uint16_t>(error.code()), 2);
  append(message.body, as_bytes(error.message()));
  return message;
}

// Not all codes of a newer build mean something here: `to_string` of such a one would be our bug.
Error read_error(ByteSpan body) {
  if (body.size() < 2) return Error(ErrorCode::kBadFormat, "an error that says nothing");
  const std::uint64_t number = number_in(body.first(2));
  const std::string text(as_text(body.subspan(2)));
  if (const auto code = error_code(number)) return Error(*code, text);
  return Error(ErrorCode::kInternal, fmt::format("error {}: {}", number, text));
}

}  // namespace layby::secondary
