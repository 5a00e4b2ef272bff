#include "server/cli/upload.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <thread>

#include "manifest/json_value.h"
#include "server/cli/output.h"

namespace layby::cli {
namespace {

constexpr std::uint64_t kPieceBytes = 4 * kMiB;
constexpr int kAttemptsMax = 6;  // in a row without a byte more; they take 16 s together

Result<std::uint64_t> offset_in(const HttpAnswer& answer) {
  const auto header = answer.headers.find("upload-offset");
  if (header == answer.headers.end())
    return fail(ErrorCode::kBadFormat, "the server's answer has no Upload-Offset");
  std::uint64_t offset = 0;
  const char* begin = header->second.data();
  const char* end = begin + header->second.size();
  const auto parsed = std::from_chars(begin, end, offset);
  if (parsed.ec != std::errc() || parsed.ptr != end)
    return fail(ErrorCode::kBadFormat, "Upload-Offset: {}", header->second);
  return offset;
}

class Upload {
 public:
  Upload(Session& session, const ReadAt& source, std::string path)
      : session_(session), source_(source), path_(std::move(path)) {}

  // One piece from `offset`; where the server is then.
  Result<std::uint64_t> send_piece(std::uint64_t offset) {
    Bytes piece(std::min(kPieceBytes, source_.size() - offset));
    TRY_VOID(source_.read_at(offset, piece));
    HttpRequest request{.method = "PATCH", .path = path_, .headers = {}, .body = as_text(piece)};
    request.headers["Content-Type"] = "application/octet-stream";
    request.headers["Upload-Offset"] = std::to_string(offset);
    const HttpAnswer answer = TRY(session_.exchange(request));
    // Somebody else, or an attempt of ours whose answer was lost, brought it further.
    if (answer.status == 409) return ask();
    const HttpAnswer good = TRY(session_.accept(answer, request));
    return offset_in(good);
  }

  Result<std::uint64_t> ask() {
    const HttpRequest request{.method = "HEAD", .path = path_, .headers = {}, .body = {}};
    HttpAnswer answer = TRY(session_.exchange(request));
    const HttpAnswer good = TRY(session_.accept(std::move(answer), request));
    return offset_in(good);
  }

 private:
  Session& session_;
  const ReadAt& source_;
  std::string path_;
};

Result<void> send_rest(Session& session, Upload& upload, std::uint64_t offset, std::uint64_t length,
                       const std::string& title) {
  ProgressLine line;
  int attempts = 0;
  bool lost = false;
  while (offset < length) {
    line.show(fmt::format("{}: {} of {}", title, bytes_text(offset), bytes_text(length)));
    const auto reached = lost ? upload.ask() : upload.send_piece(offset);
    if (!reached && session.refusal()) return fail(reached.error());
    if (reached && *reached > length)
      return fail(ErrorCode::kBadFormat, "{}: the server is at {} of {}", title, *reached, length);
    if (reached && (*reached > offset || lost)) {
      if (*reached > offset) attempts = 0;
      lost = false;
      offset = *reached;
      continue;
    }
    if (++attempts == kAttemptsMax)
      return reached ? fail(ErrorCode::kUnavailable, "{}: the server stays at {}", title, offset)
                     : fail(reached.error());
    lost = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(250 << attempts));
  }
  return {};
}

}  // namespace

Result<UploadOutcome> upload(Session& session, const ReadAt& source,
                             const crypto::Digest256& sha256, const std::string& title) {
  const Json body{{"length", source.size()}, {"sha256", to_hex(sha256)}};
  const Json begun = TRY(session.call("POST", "/v1/uploads", body));
  if (manifest::bool_field(begun, "complete").value_or(false)) return UploadOutcome{0};
  const std::string id = TRY(manifest::text_field(begun, "id"));
  const std::uint64_t offset = TRY(manifest::uint_field(begun, "offset", source.size()));
  Upload upload(session, source, "/v1/uploads/" + encode_segment(id));
  TRY_VOID(send_rest(session, upload, offset, source.size(), title));
  return UploadOutcome{source.size() - offset};
}

}  // namespace layby::cli
