#include "agent/offline_transport.h"

#include <algorithm>

#include "base/limits.h"

namespace layby::agent {
namespace {

constexpr std::size_t kReadBytes = 64 * kKiB;

constexpr std::pair<std::string_view, std::string_view> kDirectories[] = {
    {"/v1/vehicle/director/", "director/"},
    {"/v1/repositories/image/metadata/", "image/"},
    {"/v1/payloads/", "payloads/"},
};

std::string member_of(std::string_view path) {
  if (path == "/v1/vehicle/time") return std::string(manifest::kPackageTimeName);
  for (const auto& [there, here] : kDirectories)
    if (path.starts_with(there)) return std::string(here).append(path.substr(there.size()));
  return {};
}

}  // namespace

Result<HttpResponse> OfflineTransport::exchange(const HttpRequest& request, const BodySink& sink) {
  if (request.method != HttpRequest::Method::kGet)
    return fail(ErrorCode::kUnavailable, "{}: nothing can be told to a package", request.path);
  HttpResponse response{.status = 404, .headers = {}, .body = {}, .bytes_received = 0};
  const manifest::PackageMember* member = package_->find(member_of(request.path));
  if (member == nullptr) return response;
  const ByteRange range = request.range.value_or(ByteRange{0, member->length});
  response.status = 416;
  if (range.offset > member->length || range.length > member->length - range.offset)
    return response;
  if (range.length > request.bytes_max)
    return fail(ErrorCode::kEndlessData, "{}: more than the {} bytes that were allowed",
                request.path, request.bytes_max);
  response.status = request.range ? 206 : 200;
  Bytes buffer(static_cast<std::size_t>(std::min<std::uint64_t>(range.length, kReadBytes)));
  while (response.bytes_received < range.length) {
    const std::uint64_t left = range.length - response.bytes_received;
    const MutableByteSpan piece(
        buffer.data(), static_cast<std::size_t>(std::min<std::uint64_t>(left, buffer.size())));
    TRY_VOID(package_->read_at(*member, range.offset + response.bytes_received, piece));
    response.bytes_received += piece.size();
    if (request.body_bytes != nullptr) *request.body_bytes += piece.size();
    if (sink)
      TRY_VOID(sink(piece));
    else
      response.body.append(as_text(piece));
  }
  return response;
}

}  // namespace layby::agent
