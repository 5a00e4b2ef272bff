#include "server/release/routes.h"

#include "base/limits.h"
#include "manifest/json_value.h"
#include "manifest/metadata_json.h"
#include "server/fleet/auth.h"
#include "server/fleet/json_answer.h"
#include "server/http/problem.h"
#include "server/http/served_file.h"
#include "server/release/image_repository.h"
#include "server/release/metadata_file.h"
#include "server/release/payload_job.h"

namespace layby::server {

namespace {

using manifest::Json;

Result<Response> put_targets(const Services& services, const Request& request) {
  const Caller caller = TRY(require_role(services, request, Role::kOperator));
  const Publication publication = TRY(publish_targets(services, as_bytes(request.body)));
  services.log(LogLevel::kInfo, "image targets published",
               {{"version", std::to_string(publication.version)},
                {"by", caller.name()},
                {"new", std::to_string(publication.new_images.size())},
                {"withdrawn", std::to_string(publication.withdrawn.size())}});
  return json_response(200, Json{{"version", publication.version},
                                 {"new_images", publication.new_images},
                                 {"withdrawn", publication.withdrawn},
                                 {"jobs", publication.jobs}});
}

Result<Response> get_metadata(const Services& services, const Request& request) {
  const std::string& name = request.path_values.at("file");
  const std::optional<MetadataFile> file = parse_metadata_file(name);
  if (file && file->role == manifest::Role::kTimestamp)
    return document_response(request, TRY(image_timestamp(services)), Caching::kRevalidate);
  std::optional<std::string> bytes;
  if (file) bytes = TRY(image_document(services.store, file->role, file->version));
  if (!bytes) return fail(ErrorCode::kNotFound, "the Image repository has no {}", name);
  return document_response(request, std::move(*bytes), Caching::kImmutable);
}

// "maps/DE/HASH.2.tar" -> the name "maps/DE/2.tar" and HASH.
Result<Response> get_image(const Services& services, const Request& request) {
  const std::string& path = request.path_values.at("path");
  const auto absent = [&] { return fail(ErrorCode::kNotFound, "there is no image {}", path); };
  const std::size_t file = path.rfind('/') == std::string::npos ? 0 : path.rfind('/') + 1;
  const std::size_t dot = path.find('.', file);
  if (dot == std::string::npos) return absent();
  const std::string hash = path.substr(file, dot - file);
  const std::string name = path.substr(0, file) + path.substr(dot + 1);
  const std::optional<Image> found = TRY(image(services.store, name));
  if (!found || found->listing == Listing::kWithdrawn) return absent();
  const auto& sha512 = found->entry.sha512;
  if (hash != to_hex(found->entry.sha256) && !(sha512 && hash == to_hex(*sha512))) return absent();
  std::string local_path = TRY(services.payloads.local_path(found->entry.sha256));
  return serve_file(request, {.path = std::move(local_path),
                              .size = found->entry.length,
                              .etag = "\"" + to_hex(found->entry.sha256) + "\""});
}

Result<Response> get_jobs(const Services& services, const Request& request) {
  TRY_VOID(require_role(services, request, Role::kOperator));
  Page page = TRY(read_page(request));
  if (!request.query.contains("limit")) page.limit = kPageLimitMax;
  Json jobs = Json::array();
  for (const PayloadJob& job : TRY(list_jobs(services.store, page.after, page.limit))) {
    Json entry = TRY(parse_stored(job.id, encode_job(job)));
    entry["bytes"] = job.payload_bytes;
    entry["seconds"] = (job.wall_ms + 999) / 1000;
    jobs.push_back(std::move(entry));
  }
  return json_response(200, Json{{"jobs", std::move(jobs)}});
}

using Action = Result<Response> (*)(const Services&, const Request&);

Handler handler(const Services& services, Action action) {
  return [&services, action](const Request& request) {
    Result<Response> response = action(services, request);
    return response ? std::move(*response) : problem(response.error());
  };
}

}  // namespace

void add_release_routes(Router& router, const Services& services) {
  router.add({.method = Method::kPut,
              .path = "/v1/repositories/image/targets",
              .handler = handler(services, put_targets),
              .body_bytes_max = kTargetsBytesMax});
  router.add({.method = Method::kGet,
              .path = "/v1/repositories/image/metadata/{file}",
              .handler = handler(services, get_metadata)});
  router.add({.method = Method::kGet,
              .path = "/v1/repositories/image/targets/{path...}",
              .handler = handler(services, get_image)});
  router.add(
      {.method = Method::kGet, .path = "/v1/payload-jobs", .handler = handler(services, get_jobs)});
}

}  // namespace layby::server
