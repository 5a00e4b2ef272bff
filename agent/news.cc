#include "agent/news.h"

#include <algorithm>
#include <set>

#include "agent/kept_file.h"
#include "base/limits.h"
#include "base/time_text.h"
#include "manifest/server_time.h"

namespace layby::agent {
namespace {

constexpr std::int64_t kMetadataDeadlineMs = 60'000;
constexpr std::uint64_t kTimeBytesMax = 16 * kKiB;
constexpr std::size_t kEtagMax = 256;
constexpr int kReadsOfRole = 3;

std::string file_of(manifest::Role role) {
  return std::string(manifest::to_string(role)) + ".json";
}

Result<std::optional<Bytes>> read_role(Disk& disk, const std::string& directory,
                                       manifest::Role role) {
  const std::string path = directory + "/" + file_of(role);
  for (int i = 0; i < kReadsOfRole; ++i) {
    auto bytes = read_file(disk, path, kTargetsBytesMax);
    if (bytes) return std::optional<Bytes>(std::move(*bytes));
    if (bytes.error().code() == ErrorCode::kNotFound) return std::optional<Bytes>{};
  }
  // As damaged ones, which the engine leaves out: they are fetched again.
  return std::optional<Bytes>{};
}

Result<manifest::TrustedRepository> load(Disk& disk, const std::string& directory) {
  manifest::StoredRoles stored;
  stored.root =
      TRY(read_kept(disk, directory + "/" + file_of(manifest::Role::kRoot), kRootBytesMax));
  stored.timestamp = TRY(read_role(disk, directory, manifest::Role::kTimestamp));
  stored.snapshot = TRY(read_role(disk, directory, manifest::Role::kSnapshot));
  stored.targets = TRY(read_role(disk, directory, manifest::Role::kTargets));
  return manifest::TrustedRepository::load(stored);
}

// Who may sign time: changes with every key that comes or goes, and with the threshold.
crypto::Digest256 time_keys(const manifest::Root& root) {
  const manifest::RoleKeys& role = root.roles.at(manifest::Role::kTimestamp);
  std::set<manifest::PublicKey> keys;
  for (const manifest::KeyId& id : role.key_ids)
    if (const auto key = root.keys.find(id); key != root.keys.end()) keys.insert(key->second);
  std::string text = std::to_string(role.threshold);
  for (const manifest::PublicKey& key : keys) text += "\n" + key.id();
  return crypto::sha256(as_bytes(text));
}

// It goes into the journal and back to the server: nothing else than what RFC 9110 allows.
std::string plain_etag(const std::string& text) {
  const bool is_plain =
      text.size() <= kEtagMax &&
      std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
  return is_plain ? text : std::string{};
}

}  // namespace

Result<News> News::open(Disk& disk, Transport& transport, const Layout& layout,
                        const CarIdentity& identity) {
  auto director = TRY_CONTEXT(load(disk, layout.director_trust()), layout.director_trust());
  auto image = TRY_CONTEXT(load(disk, layout.image_trust()), layout.image_trust());
  return News(disk, transport, layout, identity, std::move(director), std::move(image));
}

Result<HttpResponse> News::get(HttpRequest request) {
  if (interrupted_ && interrupted_())
    return fail(ErrorCode::kCancelled, "{}: the connection is not what it was", request.path);
  request.deadline_ms = kMetadataDeadlineMs;
  auto response = TRY(transport_->exchange(request));
  if (response.status == 429 || response.status >= 500)
    retry_after_seconds_ = response.retry_after_seconds();
  return response;
}

namespace {

// A signed time can leap no further than its own witness is good for: past the expiry of the root
// nobody's word counts, so a time from there is none, and moves no clock. A newer root may know of
// a later one.
Result<void> check_witness(UnixSeconds signed_time, const manifest::Root& root) {
  if (signed_time < root.expires) return {};
  return fail(ErrorCode::kFreeze, "the signed time {} is past the expiry of root {}, {}",
              format_utc(signed_time), root.version, format_utc(root.expires));
}

}  // namespace

Result<void> News::fetch_time(TrustedTime& time, Record& record) {
  const manifest::TimeNonce nonce = manifest::make_time_nonce();
  const HttpResponse response =
      TRY(get({.path = "/v1/vehicle/time?nonce=" + to_hex(nonce), .bytes_max = kTimeBytesMax}));
  if (response.status != 200)
    return fail(ErrorCode::kUnavailable, "the server answered {} to the request for its time",
                response.status);
  const UnixSeconds signed_time =
      TRY(manifest::verify_server_time(as_bytes(response.body), nonce, director_));
  TRY_VOID(check_witness(signed_time, *director_.root()));
  return time.accept(signed_time, time_keys(*director_.root()), record);
}

Result<UnixSeconds> News::fetch_package_time(TrustedTime& time, Record& record) {
  const HttpResponse response = TRY(get({.path = "/v1/vehicle/time", .bytes_max = kTimeBytesMax}));
  if (response.status != 200) return fail(ErrorCode::kBadFormat, "the package has no time");
  const UnixSeconds made =
      TRY(manifest::verify_package_time(as_bytes(response.body), identity_->vin, director_));
  TRY_VOID(check_witness(made, *director_.root()));
  time.advance_to(made, time_keys(*director_.root()), record);
  return made;
}

// A time that is not believed may be one of a newer root's keys: the root chain comes first then,
// as always in TUF. It needs no time, since its expiry is checked by the refresh that follows.
Result<void> News::with_newer_roots(Record& record, const std::function<Result<void>()>& attempt) {
  auto taken = attempt();
  if (taken || (taken.error().code() != ErrorCode::kBadSignature &&
                taken.error().code() != ErrorCode::kRollback &&
                taken.error().code() != ErrorCode::kFreeze))
    return taken;
  const auto before = director_.root()->version;
  TRY_VOID(refresh(director(record), 0, Until::kRoots));
  if (director_.root()->version == before) return taken;
  return attempt();
}

Result<void> News::persist(const Source& source, manifest::Refresh& refresh) {
  for (manifest::Refresh::Change& change : refresh.take_changes()) {
    if (held_)
      held_->push_back({source.directory, std::move(change)});
    else
      TRY_VOID(store(source.directory, change));
  }
  return {};
}

Result<void> News::store(const std::string& directory, const manifest::StoredChange& change) {
  const std::string path = directory + "/" + file_of(change.role);
  if (change.bytes && change.role == manifest::Role::kRoot)
    return write_kept(*disk_, path, *change.bytes);
  if (change.bytes) return replace_file(*disk_, path, *change.bytes);
  TRY_VOID(disk_->remove(path));
  return disk_->sync_dir(directory);
}

Result<void> News::fetch_one(const Source& source, manifest::Refresh& refresh,
                             const manifest::Refresh::Request& request) {
  HttpRequest http{.path = source.url + request.file, .bytes_max = request.bytes_max};
  const bool is_timestamp = request.role == manifest::Role::kTimestamp;
  const auto* trusted = source.repository.timestamp();
  if (is_timestamp && trusted != nullptr && !source.etag.empty())
    http.headers["If-None-Match"] = source.etag;
  const HttpResponse response = TRY(get(std::move(http)));
  if (response.status == 304 && is_timestamp && trusted != nullptr) {
    const Bytes kept = trusted->bytes();
    return refresh.give(kept);  // its expiry is checked as always
  }
  if (response.status == 404 || response.status == 403) return refresh.give_absent();
  if (response.status != 200)
    return fail(ErrorCode::kUnavailable, "the server answered {} to the request for {}{}",
                response.status, source.url, request.file);
  TRY_VOID(refresh.give(as_bytes(response.body)));
  if (is_timestamp) source.etag = plain_etag(response.header("etag"));
  return {};
}

Result<void> News::refresh(Source source, UnixSeconds now, Until until) {
  manifest::Refresh refresh(source.repository, now);
  while (const auto request = refresh.next()) {
    if (until == Until::kRoots && request->role != manifest::Role::kRoot) break;
    const Result<void> given = fetch_one(source, refresh, *request);
    const Result<void> kept = persist(source, refresh);  // also what came before an error
    if (!kept) {
      is_ahead_of_disk_ = true;
      source.etag.clear();
      return kept;
    }
    if (!given) return fail(given.error().with_context(source.url + request->file));
  }
  return {};
}

// What could not be kept must not be what we go on from: the next start would know the older
// timestamp by the newer one's etag, and believe that nothing is new.
Result<void> News::reload(Record& record) {
  auto director = TRY(load(*disk_, layout_->director_trust()));
  auto image = TRY(load(*disk_, layout_->image_trust()));
  director_ = std::move(director);
  image_ = std::move(image);
  record.director_etag.clear();
  record.image_etag.clear();
  is_ahead_of_disk_ = false;
  return {};
}

News::Source News::director(Record& record) {
  return {director_, "/v1/vehicle/director/", layout_->director_trust(), record.director_etag};
}

Result<manifest::VerifiedPlan> News::look(UnixSeconds now, Record& record) {
  TRY_VOID(refresh(director(record), now, Until::kTargets));
  const auto* targets = director_.targets();
  if (targets != nullptr && !(*targets)->targets.empty())
    TRY_VOID(refresh(
        {image_, "/v1/repositories/image/metadata/", layout_->image_trust(), record.image_etag},
        now, Until::kTargets));
  manifest::CarFacts car{.vin = identity_->vin, .ecus = {}, .release_counters = {}};
  car.primary = identity_->ecu;
  car.ecus.emplace(identity_->ecu, identity_->hardware);
  for (const auto& [slot, held] : record.slots)
    car.release_counters.emplace(slot, held.release_counter);
  return manifest::verify_plan(director_, image_, car, now);
}

Result<manifest::VerifiedPlan> News::poll(TrustedTime& time, Record& record,
                                          std::optional<std::int64_t>& retry_after_seconds) {
  retry_after_seconds_.reset();
  const auto attempt = [&]() -> Result<manifest::VerifiedPlan> {
    if (is_ahead_of_disk_) TRY_VOID(reload(record));
    TRY_VOID(with_newer_roots(record, [&] { return fetch_time(time, record); }));
    return look(time.now(), record);
  };
  auto plan = attempt();
  retry_after_seconds = retry_after_seconds_;
  return plan;
}

Result<manifest::VerifiedPlan> News::take_package(
    TrustedTime& time, Record& record,
    const std::function<Result<void>(const manifest::VerifiedPlan&)>& check) {
  held_.emplace();
  // The roots first: a key that they have revoked says no time any more.
  TRY_VOID(refresh(director(record), 0, Until::kRoots));
  const UnixSeconds made = TRY(fetch_package_time(time, record));
  auto plan = look(time.now(), record);
  const bool by_wall_clock = time.now() > std::max(made, time.counted());
  if (!plan && plan.error().code() == ErrorCode::kFreeze && by_wall_clock)
    return fail(plan.error().with_context(
        fmt::format("it is {} by the car's wall clock, which nobody has signed; set it if it is "
                    "wrong",
                    format_utc(time.now()))));
  if (!plan) return plan;
  TRY_VOID(check(*plan));
  const std::vector<Held> accepted = std::move(*held_);
  held_.reset();
  for (const Held& held : accepted) TRY_VOID(store(held.directory, held.change));
  return plan;
}

}  // namespace layby::agent
