#include "server/payloads/payload_routes.h"

#include <charconv>

#include "manifest/json_value.h"
#include "manifest/vin.h"
#include "server/http/problem.h"
#include "server/http/served_file.h"
#include "server/payloads/transfer_json.h"

namespace layby::server {

using manifest::Json;

namespace {

using Kind = PayloadCaller::Kind;

constexpr std::uint64_t kUploadRequestBytesMax = 4 * kKiB;

struct Room {
  const Services& services;
  Uploads& uploads;
  IdentifyPayloadCaller identify;
  MayFetchPayload may_fetch;
};

Result<PayloadCaller> require(const Room& room, const Request& request,
                              std::initializer_list<Kind> allowed) {
  PayloadCaller caller = TRY(room.identify(request));
  for (const Kind kind : allowed)
    if (caller.kind == kind) return caller;
  if (caller.kind == Kind::kAnyone)
    return fail(ErrorCode::kUnauthenticated, "this needs a token or a vehicle's certificate");
  return fail(ErrorCode::kForbidden, "this is not for you");
}

// The digest that a path names. What is none cannot be there.
Result<crypto::Digest256> digest_in_path(const Request& request, const std::string& name) {
  auto digest = array_from_hex<32>(request.path_values.at(name));
  if (!digest) return fail(ErrorCode::kNotFound, "there is nothing with this digest");
  return *digest;
}

Result<std::uint64_t> offset_header(const Request& request) {
  const std::string_view text = request.header("upload-offset");
  std::uint64_t offset = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), offset);
  if (text.empty() || error != std::errc() || end != text.data() + text.size())
    return fail(ErrorCode::kInvalidArgument, "Upload-Offset must be a number of bytes");
  return offset;
}

Result<Response> begin_upload(const Room& room, const Request& request) {
  TRY(require(room, request, {Kind::kOperator}));
  const Json body = TRY(manifest::parse_strict(as_bytes(request.body), {kUploadRequestBytesMax}));
  if (!body.is_object() || body.size() != 2)
    return fail(ErrorCode::kBadFormat, "an object with \"length\" and \"sha256\" is needed");
  const std::uint64_t length = TRY(manifest::uint_field(body, "length"));
  const crypto::Digest256 id = TRY(manifest::digest_field(body, "sha256"));
  const UploadState state = TRY(room.uploads.begin(id, length));
  if (state.length != length)
    return fail(ErrorCode::kConflict, "the bytes with this digest are {}, not {}", state.length,
                length);
  const bool complete = state.offset == state.length;
  Json answer{{"id", to_hex(id)}, {"offset", state.offset}};
  if (complete) answer["complete"] = true;
  Response response;
  response.status = complete ? 200 : 201;
  response.headers = {{"Content-Type", "application/json"},
                      {"Location", room.services.public_base_url + "/v1/uploads/" + to_hex(id)}};
  response.body = TRY(manifest::to_wire(answer));
  return response;
}

void set_upload_headers(Response& response, const UploadState& state) {
  response.headers["Upload-Offset"] = std::to_string(state.offset);
  response.headers["Upload-Length"] = std::to_string(state.length);
  response.headers["Cache-Control"] = "no-store";
}

Result<Response> show_upload(const Room& room, const Request& request) {
  TRY(require(room, request, {Kind::kOperator}));
  const crypto::Digest256 id = TRY(digest_in_path(request, "id"));
  Response response;
  set_upload_headers(response, TRY(room.uploads.state(id)));
  return response;
}

Result<Response> append_upload(const Room& room, const Request& request) {
  TRY(require(room, request, {Kind::kOperator}));
  const crypto::Digest256 id = TRY(digest_in_path(request, "id"));
  if (request.header("content-type") != "application/octet-stream")
    return problem(415, "unsupported-media-type", "the body must be application/octet-stream");
  const std::uint64_t offset = TRY(offset_header(request));
  const Result<UploadState> appended = room.uploads.append(id, offset, as_bytes(request.body));
  if (!appended && appended.error().code() == ErrorCode::kConflict) {
    Response wrong = problem(409, "wrong-offset", appended.error().message());
    set_upload_headers(wrong, TRY(room.uploads.state(id)));
    return wrong;
  }
  if (!appended && appended.error().code() == ErrorCode::kWrongImage)
    return problem(422, "digest-mismatch", appended.error().message());
  if (!appended) return fail(appended.error());
  Response response;
  response.status = 204;
  set_upload_headers(response, *appended);
  return response;
}

Result<Response> abandon_upload(const Room& room, const Request& request) {
  TRY(require(room, request, {Kind::kOperator}));
  TRY_VOID(room.uploads.abandon(TRY(digest_in_path(request, "id"))));
  Response response;
  response.status = 204;
  return response;
}

Result<Response> get_payload(const Room& room, const Request& request) {
  const PayloadCaller caller = TRY(require(room, request, {Kind::kVehicle, Kind::kOperator}));
  const crypto::Digest256 name = TRY(digest_in_path(request, "sha256"));
  // Before anything tells whether the server has it.
  if (caller.kind == Kind::kVehicle && !TRY(room.may_fetch(caller.vin, name)))
    return problem(403, "not-entitled", "no open order of this car needs this payload");
  ServedFile file;
  file.path = TRY(room.services.payloads.local_path(name));
  file.size = TRY(room.services.disk.status(file.path)).size;
  file.etag = "\"" + to_hex(name) + "\"";
  // For the caller's own cache only: who may have it is decided with each request.
  file.cache_control = "private, max-age=31536000, immutable";
  Response response = serve_file(request, file);
  const FilePart* part = std::get_if<FilePart>(&response.body);
  if (caller.kind != Kind::kVehicle || request.method != Method::kGet || !part) return response;
  response.may_go_on = [may_fetch = room.may_fetch, vin = caller.vin, name] {
    return may_fetch(vin, name).value_or(false);
  };
  response.sent = [&services = room.services, vin = caller.vin, name, offset = part->offset,
                   length = part->length](std::uint64_t bytes) {
    const auto recorded =
        record_transfer(services.store, vin, name, {offset, length, bytes, services.clock.now()});
    if (!recorded)
      services.log(LogLevel::kError, "transfer not recorded",
                   {{"vin", vin}, {"error", recorded.error().message()}});
  };
  return response;
}

Result<Response> list_transfers(const Room& room, const Request& request) {
  TRY(require(room, request, {Kind::kOperator, Kind::kPartner}));
  const auto vin = manifest::Vin::parse(request.path_values.at("vin"));
  if (!vin) return fail(ErrorCode::kNotFound, "there is no such car");
  Json transfers = Json::array();
  for (const Transfer& transfer : TRY(transfers_of(room.services.store, vin->text())))
    transfers.push_back(transfer_json(transfer));
  Response response;
  response.headers["Content-Type"] = "application/json";
  response.headers["Cache-Control"] = "no-store";
  response.body = TRY(manifest::to_wire(Json{{"transfers", std::move(transfers)}}));
  return response;
}

}  // namespace

void add_payload_routes(Router& router, const Services& services, Uploads& uploads,
                        IdentifyPayloadCaller identify, MayFetchPayload may_fetch) {
  const auto room = std::make_shared<const Room>(
      Room{services, uploads, std::move(identify), std::move(may_fetch)});
  const auto handler = [room](Result<Response> (*function)(const Room&, const Request&)) {
    return [room, function](const Request& request) {
      Result<Response> response = function(*room, request);
      return response ? std::move(*response) : problem(response.error());
    };
  };
  router.add({Method::kPost, "/v1/uploads", handler(begin_upload), kUploadRequestBytesMax});
  router.add({Method::kHead, "/v1/uploads/{id}", handler(show_upload)});
  router.add({.method = Method::kPatch,
              .path = "/v1/uploads/{id}",
              .handler = handler(append_upload),
              .body_bytes_max = kUploadPieceBytesMax,
              .admit = [room](const Request& request) -> std::optional<Response> {
                const auto operator_only = require(*room, request, {Kind::kOperator});
                if (operator_only) return std::nullopt;
                return problem(operator_only.error());
              }});
  router.add({Method::kDelete, "/v1/uploads/{id}", handler(abandon_upload)});
  router.add({Method::kGet, "/v1/payloads/{sha256}", handler(get_payload)});
  router.add({Method::kGet, "/v1/cars/{vin}/transfers", handler(list_transfers)});
}

}  // namespace layby::server
