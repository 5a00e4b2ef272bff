#include "server/director/routes.h"

#include "manifest/server_time.h"
#include "server/director/director_metadata.h"
#include "server/fleet/auth.h"
#include "server/fleet/check_in.h"
#include "server/http/problem.h"
#include "server/release/metadata_file.h"
#include "server/release/role_signers.h"

namespace layby::server {

namespace {

// The poll: nothing but one point read, also to know the caller; that it has called is a look into
// memory. The document carries the
// fingerprint of the car's present certificate and is deleted in the commit that changes it.
std::optional<Response> poll_from_cache(const Services& services, const Request& request) {
  if (!request.peer || !request.header("authorization").empty()) return std::nullopt;
  const Result<manifest::Vin> vin = manifest::Vin::parse(request.peer->common_name);
  if (!vin) return std::nullopt;
  Result<std::optional<CachedDocument>> cached = cached_director_timestamp(services, *vin);
  if (!cached || !*cached || (*cached)->certificate != request.peer->fingerprint)
    return std::nullopt;
  if (services.check_ins != nullptr) services.check_ins->heard(services, *vin);
  return document_response(request, std::move((*cached)->bytes), Caching::kPrivate);
}

Result<Response> director_file(const Services& services, const Request& request) {
  const std::string& name = request.path_values.at("file");
  const std::optional<MetadataFile> file = parse_metadata_file(name);
  const manifest::Vin vin = TRY(require_vehicle(services, request));
  if (file && file->role == manifest::Role::kTimestamp) {
    CachedDocument timestamp = TRY(director_timestamp(services, vin));
    return document_response(request, std::move(timestamp.bytes), Caching::kPrivate);
  }
  std::optional<std::string> bytes;
  if (file) bytes = TRY(director_document(services.store, vin, file->role, file->version));
  if (!bytes) return fail(ErrorCode::kNotFound, "the Director has no {}", name);
  return document_response(request, std::move(*bytes), Caching::kPrivate);
}

Result<Response> server_time(const Services& services, const Request& request) {
  TRY_VOID(require_vehicle(services, request));
  const auto asked = request.query.find("nonce");
  const auto nonce = array_from_hex<16>(asked == request.query.end() ? "" : asked->second);
  if (!nonce) return fail(ErrorCode::kInvalidArgument, "nonce: 16 bytes in lower-case hexadecimal");
  const auto root = TRY(published_director_root(services));
  const auto by =
      TRY(role_signers(services.keys, Repository::kDirector, manifest::Role::kTimestamp, *root));
  const Bytes signed_time = TRY(manifest::make_server_time(*nonce, services.clock.now(), by));
  Response response;
  response.headers = {{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}};
  response.body = std::string(as_text(signed_time));
  return response;
}

}  // namespace

void add_director_routes(Router& router, const Services& services) {
  router.add({Method::kGet, "/v1/vehicle/director/{file}", [&services](const Request& request) {
                if (request.path_values.at("file") == "timestamp.json")
                  if (auto answer = poll_from_cache(services, request)) return std::move(*answer);
                Result<Response> response = director_file(services, request);
                return response ? std::move(*response) : problem(response.error());
              }});
  router.add({Method::kGet, "/v1/vehicle/time", [&services](const Request& request) {
                Result<Response> response = server_time(services, request);
                return response ? std::move(*response) : problem(response.error());
              }});
}

}  // namespace layby::server
