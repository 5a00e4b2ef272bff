#include "tuf/session.h"

#include "manifest/metadata_json.h"
#include "manifest/url_names.h"
#include "tuf/target_directory.h"

namespace layby::tuf {
namespace {

std::string with_slash(std::string url) {
  if (!url.ends_with('/')) url += '/';
  return url;
}

}  // namespace

Result<Session> Session::open(Disk& disk, HttpClient& http, const std::string& metadata_directory,
                              std::string metadata_url, UnixSeconds start_time,
                              std::chrono::milliseconds metadata_time) {
  MetadataDirectory metadata(disk, metadata_directory);
  const manifest::StoredRoles stored = TRY(metadata.load());
  auto repository = TRY(manifest::TrustedRepository::load(stored, manifest::Rules::kTuf));
  return Session(disk, http, std::move(metadata), with_slash(std::move(metadata_url)), start_time,
                 metadata_time, std::move(repository));
}

Session::Session(Disk& disk, HttpClient& http, MetadataDirectory metadata, std::string metadata_url,
                 UnixSeconds start_time, std::chrono::milliseconds metadata_time,
                 manifest::TrustedRepository repository)
    : disk_(disk),
      http_(http),
      metadata_(std::move(metadata)),
      metadata_url_(std::move(metadata_url)),
      start_time_(start_time),
      metadata_time_left_(metadata_time),
      repository_(std::move(repository)) {}

// One file of a walk: fetched, given, and what is accepted by it stored, whatever the end.
template <typename Walk>
Result<void> Session::fetch(Walk& walk, const manifest::MetadataRequest& request) {
  using std::chrono::steady_clock;
  if (!request.delegated.empty()) TRY(manifest::delegated_file_name(request.delegated));
  if (metadata_time_left_ <= std::chrono::milliseconds::zero())
    return fail(ErrorCode::kSlowRetrieval, "{}: the time for all metadata is over", request.file);
  Bytes body;
  const auto collect = [&](ByteSpan bytes) -> Result<void> {
    body.insert(body.end(), bytes.begin(), bytes.end());
    return {};
  };
  const auto begun = steady_clock::now();
  const auto answer =
      TRY(http_.get(metadata_url_ + request.file, request.bytes_max, collect, metadata_time_left_));
  metadata_time_left_ -=
      std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now() - begun);
  const auto given = answer == HttpClient::Answer::kAbsent ? walk.give_absent() : walk.give(body);
  const auto applied = metadata_.apply(walk.take_changes());
  // An attack has the first word, whatever is wrong with the disk.
  return given ? applied : given;
}

Result<void> Session::refresh() {
  manifest::Refresh refresh(repository_, start_time_);
  while (const auto request = refresh.next()) TRY_VOID(fetch(refresh, *request));
  return {};
}

Result<const manifest::Target*> Session::find(const std::string& target_name) {
  manifest::TargetSearch search(repository_, target_name, start_time_, std::nullopt, &roles_);
  while (const auto request = search.next()) {
    const auto stored = metadata_.delegated(request->delegated);
    if (stored && search.offer_stored(*stored) == manifest::TargetSearch::Stored::kSettled)
      continue;
    TRY_VOID(fetch(search, *request));
  }
  const manifest::Target* target = TRY(search.found());
  if (target == nullptr)
    return fail(ErrorCode::kNotFound, "target {}: no role that may speak of it lists it",
                target_name);
  return target;
}

Result<void> Session::download(const std::string& target_name, const std::string& target_directory,
                               const std::string& target_base_url) {
  if (manifest::percent_encoded_file_name(target_name).size() > manifest::kFileNameBytesMax)
    return fail(ErrorCode::kInvalidArgument, "target {}: the name is too long for a file",
                target_name);
  const manifest::Target target = *TRY(find(target_name));
  if (target.hashes.empty())
    return fail(ErrorCode::kUnsupported, "target {}: no hash of a known algorithm", target_name);
  if (has_target(disk_, target_directory, target_name, target)) return {};
  const std::string hash =
      target.hashes.sha256 ? to_hex(*target.hashes.sha256) : to_hex(*target.hashes.sha512);
  const std::string path = repository_.root()->consistent_snapshot
                               ? manifest::target_file_path(target_name, hash)
                               : target_name;
  IncomingTarget incoming = TRY(IncomingTarget::create(disk_, target_directory));
  const auto answer =
      TRY(http_.get(with_slash(target_base_url) + manifest::url_path(path), target.length,
                    [&](ByteSpan bytes) { return incoming.write(bytes); }));
  if (answer == HttpClient::Answer::kAbsent)
    return fail(ErrorCode::kNotFound, "target {}: the server does not have it", target_name);
  return incoming.publish(target_name, target);
}

}  // namespace layby::tuf
