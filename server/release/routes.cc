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
#include "server/release/root_publication.h"

namespace layby::server {

namespace {

using manifest::Json;

Result<delta::Profile> asked_profile(const Request& request) {
  const auto asked = request.query.find("profile");
  if (asked == request.query.end()) return delta::Profile::kSmall;
  return delta::parse_profile(asked->second);
}

Response published(const Services& services, const Caller& caller, const std::string& role,
                   const Publication& publication) {
  services.log(LogLevel::kInfo, "image targets published",
               {{"role", role},
                {"version", std::to_string(publication.version)},
                {"by", caller.name()},
                {"new", std::to_string(publication.new_images.size())},
                {"withdrawn", std::to_string(publication.withdrawn.size())}});
  return json_response(200, Json{{"version", publication.version},
                                 {"new_images", publication.new_images},
                                 {"withdrawn", publication.withdrawn},
                                 {"listed_again", publication.listed_again},
                                 {"jobs", publication.jobs},
                                 {"warnings", publication.warnings}});
}

Result<Response> put_targets(const Services& services, const Request& request) {
  const Caller caller = TRY(require_role(services, request, Role::kOperator));
  const Publication publication =
      TRY(publish_targets(services, as_bytes(request.body), TRY(asked_profile(request))));
  return published(services, caller, "targets", publication);
}

Result<Response> put_delegated(const Services& services, const Request& request) {
  const Caller caller = TRY(require_role(services, request, Role::kOperator));
  const std::string& role = request.path_values.at("role");
  const Publication publication =
      TRY(publish_delegated(services, role, as_bytes(request.body), TRY(asked_profile(request))));
  return published(services, caller, role, publication);
}

Result<Response> put_root(const Services& services, const Request& request, Repository repository) {
  const Caller caller = TRY(require_role(services, request, Role::kOperator));
  const manifest::Version version = TRY(publish_root(services, repository, as_bytes(request.body)));
  services.log(LogLevel::kInfo, "root published",
               {{"repository", std::string(to_string(repository))},
                {"version", std::to_string(version)},
                {"by", caller.name()}});
  return json_response(200, Json{{"version", version}});
}

Result<Response> put_image_root(const Services& services, const Request& request) {
  return put_root(services, request, Repository::kImage);
}

Result<Response> put_director_root(const Services& services, const Request& request) {
  return put_root(services, request, Repository::kDirector);
}

Result<Response> get_metadata(const Services& services, const Request& request) {
  const std::string& name = request.path_values.at("file");
  const std::optional<MetadataFile> file = parse_metadata_file(name);
  if (file && file->role == manifest::Role::kTimestamp)
    return document_response(request, TRY(image_timestamp(services)), Caching::kRevalidate);
  std::optional<std::string> bytes;
  if (file)
    bytes = TRY(image_document(services.store, file->role, file->version));
  else if (const auto delegated = parse_delegated_file(name))
    bytes = TRY(delegated_document(services.store, *delegated));
  if (!bytes) return fail(ErrorCode::kNotFound, "the Image repository has no {}", name);
  return document_response(request, std::move(*bytes), Caching::kImmutable);
}

// Packages of functions are sold: cars get them by their orders (P1.6), not here.
Result<void> require_staff(const Services& services, const Request& request) {
  const Caller caller = TRY(require_account(services, request));
  if (caller.role == Role::kOperator || caller.role == Role::kPartner) return {};
  return fail(ErrorCode::kForbidden, "packages of functions are for operators and partners");
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
  ServedFile served;
  served.path = TRY(services.payloads.local_path(found->entry.sha256));
  served.size = found->entry.length;
  served.etag = "\"" + to_hex(found->entry.sha256) + "\"";
  if (found->entry.facts.kind == manifest::ImageKind::kFunction) {
    TRY_VOID(require_staff(services, request));
    served.cache_control = "private, no-cache";
  }
  return serve_file(request, served);
}

Result<Json> job_json(const PayloadJob& job) {
  Json entry = TRY(parse_stored(job.id, encode_job(job)));
  entry["bytes"] = job.payload_bytes;
  entry["seconds"] = (job.wall_ms + 999) / 1000;
  return entry;
}

Result<Response> get_jobs(const Services& services, const Request& request) {
  TRY_VOID(require_role(services, request, Role::kOperator));
  Page page = TRY(read_page(request));
  if (!request.query.contains("limit")) page.limit = kPageLimitMax;
  Json jobs = Json::array();
  for (const PayloadJob& job : TRY(list_jobs(services.store, page.after, page.limit)))
    jobs.push_back(TRY(job_json(job)));
  return json_response(200, Json{{"jobs", std::move(jobs)}});
}

Result<Response> post_retry(const Services& services, const Request& request) {
  const Caller caller = TRY(require_role(services, request, Role::kOperator));
  const Result<PayloadJob> job =
      retry_job(services.store, request.path_values.at("id"), services.clock.now());
  if (!job && job.error().code() == ErrorCode::kConflict)
    return problem(409, "wrong-state", job.error().message());
  if (!job) return fail(job.error());
  services.log(LogLevel::kInfo, "payload job queued again",
               {{"job", job->id}, {"by", caller.name()}});
  services.wake_payload_worker();
  return json_response(200, TRY(job_json(*job)));
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
  // Not five megabytes from anybody who asks.
  const auto admit = [&services](const Request& request) -> std::optional<Response> {
    const auto caller = require_role(services, request, Role::kOperator);
    if (caller) return std::nullopt;
    return problem(caller.error());
  };
  for (const auto& [path, action] :
       {std::pair<const char*, Action>{"/v1/repositories/image/targets", put_targets},
        std::pair<const char*, Action>{"/v1/repositories/image/delegated/{role}", put_delegated}})
    router.add({.method = Method::kPut,
                .path = path,
                .handler = handler(services, action),
                .body_bytes_max = kTargetsBytesMax,
                .admit = admit});
  for (const auto& [path, action] :
       {std::pair<const char*, Action>{"/v1/repositories/image/root", put_image_root},
        std::pair<const char*, Action>{"/v1/repositories/director/root", put_director_root}})
    router.add({.method = Method::kPut,
                .path = path,
                .handler = handler(services, action),
                .body_bytes_max = kRootBytesMax,
                .admit = admit});
  router.add({.method = Method::kGet,
              .path = "/v1/repositories/image/metadata/{file}",
              .handler = handler(services, get_metadata)});
  router.add({.method = Method::kGet,
              .path = "/v1/repositories/image/targets/{path...}",
              .handler = handler(services, get_image)});
  router.add(
      {.method = Method::kGet, .path = "/v1/payload-jobs", .handler = handler(services, get_jobs)});
  router.add({.method = Method::kPost,
              .path = "/v1/payload-jobs/{id}/retry",
              .handler = handler(services, post_retry)});
}

}  // namespace layby::server
