#include "agent/news.h"

#include <algorithm>

#include "agent/kept_file.h"
#include "base/limits.h"
#include "base/time_text.h"
#include "manifest/metadata_checks.h"
#include "manifest/server_time.h"
#include "manifest/url_names.h"

namespace layby::agent {
namespace {

constexpr std::int64_t kMetadataDeadlineMs = 60'000;
constexpr std::uint64_t kTimeBytesMax = 16 * kKiB;
constexpr std::size_t kEtagMax = 256;
constexpr int kReadsOfRole = 3;
// Old roots that the ECUs of the car may have the server asked for in one look, all together.
constexpr std::size_t kOldRootsMax = 16;
constexpr std::uint64_t kOldRootsBytesMax = kMiB;
// Images of one look that the top-level targets do not have: for each of them the roles on the way
// are gone through. A partner orders up to 100 regions at once (P3.1).
constexpr std::string_view kDirectorUrl = "/v1/vehicle/director/";
constexpr std::string_view kImageRepositoryUrl = "/v1/repositories/image/metadata/";

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

// It goes into the journal and back to the server: nothing else than what RFC 9110 allows.
std::string plain_etag(const std::string& text) {
  const bool is_plain =
      text.size() <= kEtagMax &&
      std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
  return is_plain ? text : std::string{};
}

}  // namespace

Result<News> News::open(Disk& disk, Transport& transport, const Layout& layout,
                        const CarIdentity& identity, Secondaries& secondaries) {
  auto director = TRY_CONTEXT(load(disk, layout.director_trust()), layout.director_trust());
  director.expect_vehicle(identity.vin);
  auto image = TRY_CONTEXT(load(disk, layout.image_trust()), layout.image_trust());
  return News(disk, transport, layout, identity, secondaries, std::move(director),
              std::move(image));
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

Result<void> News::fetch_time(TrustedTime& time, Record& record) {
  // One question for all: the ECUs that do not answer now have no time until the next look.
  std::vector<manifest::TimeNonce> nonces = secondaries_->nonces();
  const manifest::TimeNonce own = manifest::make_time_nonce();
  const bool is_alone = nonces.empty();
  nonces.push_back(own);
  const manifest::TimeNonce nonce = is_alone ? own : manifest::join_time_nonces(nonces);
  const HttpResponse response =
      TRY(get({.path = "/v1/vehicle/time?nonce=" + to_hex(nonce), .bytes_max = kTimeBytesMax}));
  if (response.status != 200)
    return fail(ErrorCode::kUnavailable, "the server answered {} to the request for its time",
                response.status);
  const UnixSeconds signed_time =
      TRY(manifest::verify_server_time(as_bytes(response.body), nonce, director_));
  TRY_VOID(manifest::check_time_witness(signed_time, *director_.root()));
  TRY_VOID(time.accept(signed_time, manifest::time_keys(*director_.root()), record));
  time_ = {.nonces = std::move(nonces), .document = to_bytes(response.body)};
  return {};
}

Result<UnixSeconds> News::fetch_package_time(TrustedTime& time, Record& record) {
  const HttpResponse response = TRY(get({.path = "/v1/vehicle/time", .bytes_max = kTimeBytesMax}));
  if (response.status != 200) return fail(ErrorCode::kBadFormat, "the package has no time");
  const UnixSeconds made =
      TRY(manifest::verify_package_time(as_bytes(response.body), identity_->vin, director_));
  TRY_VOID(manifest::check_time_witness(made, *director_.root()));
  time.advance_to(made, manifest::time_keys(*director_.root()), record);
  return made;
}

// A time that is not believed may be one of a newer root's keys: the root chain comes first then,
// as always in TUF. It needs no time, since its expiry is checked by the refresh that follows.
Result<void> News::with_newer_roots(Record& record, const std::function<Result<void>()>& attempt) {
  auto taken = attempt();
  if (taken ||
      (taken.error().code() != ErrorCode::kBadSignature &&
       taken.error().code() != ErrorCode::kRollback && taken.error().code() != ErrorCode::kFreeze))
    return taken;
  const auto before = director_.root()->version;
  TRY_VOID(refresh(director(record), 0, Until::kRoots));
  if (director_.root()->version == before) return taken;
  return attempt();
}

Result<void> News::persist(const Source& source, std::vector<manifest::StoredChange> changes) {
  for (manifest::StoredChange& change : changes) {
    if (held_)
      held_->push_back({source.directory, std::move(change)});
    else
      TRY_VOID(store(source.directory, change));
  }
  return {};
}

Result<void> News::store(const std::string& directory, const manifest::StoredChange& change) {
  if (!change.delegated.empty()) {
    delegated_.write(change.delegated, *change.bytes);
    return {};
  }
  const std::string path = directory + "/" + file_of(change.role);
  if (change.bytes && change.role == manifest::Role::kRoot)
    return write_kept(*disk_, path, *change.bytes);
  if (change.bytes) return replace_file(*disk_, path, *change.bytes);
  TRY_VOID(disk_->remove(path));
  return disk_->sync_dir(directory);
}

// One file of a refresh or a search.
template <typename Walk>
Result<void> News::fetch_one(const Source& source, Walk& walk,
                             const manifest::MetadataRequest& request) {
  HttpRequest http{.path = source.url + request.file, .bytes_max = request.bytes_max};
  const bool is_timestamp = request.role == manifest::Role::kTimestamp;
  const auto* trusted = source.repository.timestamp();
  if (is_timestamp && trusted != nullptr && !source.etag.empty())
    http.headers["If-None-Match"] = source.etag;
  const HttpResponse response = TRY(get(std::move(http)));
  if (response.status == 304 && is_timestamp && trusted != nullptr) {
    const Bytes kept = trusted->bytes();
    return walk.give(kept);  // its expiry is checked as always
  }
  if (response.status == 404 || response.status == 403) {
    auto given = walk.give_absent();
    is_incomplete_ = !given && given.error().code() == ErrorCode::kNotFound && !is_timestamp;
    return given;
  }
  if (response.status != 200)
    return fail(ErrorCode::kUnavailable, "the server answered {} to the request for {}{}",
                response.status, source.url, request.file);
  TRY_VOID(walk.give(as_bytes(response.body)));
  if (is_timestamp) source.etag = plain_etag(response.header("etag"));
  return {};
}

template <typename Walk>
Result<void> News::take_one(const Source& source, Walk& walk,
                            const manifest::MetadataRequest& request) {
  const Result<void> given = fetch_one(source, walk, request);
  const Result<void> kept = persist(source, walk.take_changes());  // also what came before an error
  if (!kept) {
    is_ahead_of_disk_ = true;
    source.etag.clear();
    return kept;
  }
  if (!given) return fail(given.error().with_context(source.url + request.file));
  return {};
}

Result<void> News::refresh(const Source& source, UnixSeconds now, Until until) {
  manifest::Refresh refresh(source.repository, now);
  while (const auto request = refresh.next()) {
    if (until == Until::kRoots && request->role != manifest::Role::kRoot) break;
    TRY_VOID(take_one(source, refresh, *request));
  }
  return {};
}

// What we have of a delegated role is offered before it is asked for: a look with nothing new costs
// no further request, after a restart either.
Result<void> News::search(const Source& source, const manifest::AssignedTarget& image,
                          UnixSeconds now, manifest::VerifiedRoles& roles) {
  if (interrupted_ && interrupted_())
    return fail(ErrorCode::kCancelled, "{}: the connection is not what it was", image.name);
  manifest::TargetSearch search(image_, image.name, now, image.hardware, &roles);
  const auto note_roles = [&] {
    roles_->insert(search.visited().begin(), search.visited().end());
    return manifest::check_delegated_bounds(*roles_, **image_.snapshot());
  };
  while (const auto request = search.next()) {
    TRY_VOID(note_roles());
    TRY_VOID(DelegatedFiles::check_name(request->delegated));
    const auto stored = delegated_.read(request->delegated);
    if (stored && search.offer_stored(*stored) == manifest::TargetSearch::Stored::kSettled)
      continue;
    TRY_VOID(take_one(source, search, *request));
  }
  TRY_CONTEXT(search.found(), image.name);  // none at all is for verify_plan to refuse
  return note_roles();
}

Result<void> News::look_for_images(UnixSeconds now, Record& record, const manifest::CarFacts& car) {
  const Source source{image_, std::string(kImageRepositoryUrl), layout_->image_trust(),
                      record.image_etag};
  TRY_VOID(refresh(source, now, Until::kTargets));
  roles_.emplace();
  manifest::VerifiedRoles roles;
  std::size_t searches = 0;
  for (const auto& image : TRY(manifest::assigned_targets(director_, car))) {
    if (image_.find_target(image.name, image.hardware) != nullptr) continue;
    if (++searches > manifest::kSearchesMax)
      return fail(ErrorCode::kTooLarge, "more than {} images of suppliers at once",
                  manifest::kSearchesMax);
    TRY_VOID(search(source, image, now, roles));
  }
  return {};
}

// Roles of which this car needs nothing, that were revoked, or that the snapshot does not list any
// more. As long as the Director names nothing all stay: what comes next may need them.
void News::drop_other_roles() {
  if (roles_) delegated_.keep_only(*roles_);
}

// What could not be kept must not be what we go on from: the next start would know the older
// timestamp by the newer one's etag, and believe that nothing is new.
Result<void> News::reload(Record& record) {
  auto director = TRY(load(*disk_, layout_->director_trust()));
  director.expect_vehicle(identity_->vin);
  auto image = TRY(load(*disk_, layout_->image_trust()));
  director_ = std::move(director);
  image_ = std::move(image);
  record.director_etag.clear();
  record.image_etag.clear();
  is_ahead_of_disk_ = false;
  return {};
}

News::Source News::director(Record& record) {
  return {director_, std::string(kDirectorUrl), layout_->director_trust(), record.director_etag};
}

Result<manifest::VerifiedPlan> News::look(UnixSeconds now, Record& record) {
  TRY_VOID(refresh(director(record), now, Until::kTargets));
  const manifest::CarFacts car = car_facts(record);
  const auto* targets = director_.targets();
  if (targets != nullptr && !(*targets)->targets.empty())
    TRY_VOID(look_for_images(now, record, car));
  return manifest::verify_plan(director_, image_, car, now);
}

manifest::CarFacts News::car_facts(const Record& record) const {
  manifest::CarFacts car{.vin = identity_->vin, .ecus = {}, .release_counters = {}};
  car.primary = identity_->ecu;
  car.ecus.emplace(identity_->ecu, identity_->hardware);
  for (const PairedEcu& ecu : secondaries_->paired()) car.ecus.emplace(ecu.serial, ecu.hardware);
  for (const auto& [slot, held] : record.slots)
    car.release_counters.emplace(slot, held.release_counter);
  return car;
}

Result<manifest::VerifiedPlan> News::poll(TrustedTime& time, Record& record,
                                          std::optional<std::int64_t>& retry_after_seconds) {
  retry_after_seconds_.reset();
  is_incomplete_ = false;
  const auto attempt = [&]() -> Result<manifest::VerifiedPlan> {
    if (is_ahead_of_disk_) TRY_VOID(reload(record));
    TRY_VOID(with_newer_roots(record, [&] { return fetch_time(time, record); }));
    return look(time.now(), record);
  };
  roles_.reset();
  // Also before a look: a disk that is full of them takes nothing new, not even a root.
  delegated_.keep_within_bounds({});
  auto plan = attempt();
  if (plan)
    drop_other_roles();
  else if (roles_)
    delegated_.keep_within_bounds(*roles_);
  retry_after_seconds = retry_after_seconds_;
  return plan;
}

// ---- handing on ---------------------------------------------------------------------------------

// The server keeps all roots; we only the newest. An ECU that asks for one was away for a while, or
// plays with the car's connection: each is asked for once in a look, and no more than a few.
// Whoever needs more of them goes on with the next look.
Result<std::optional<Bytes>> News::old_root(const std::string& path) {
  if (const auto known = old_roots_.answers.find(path); known != old_roots_.answers.end())
    return known->second;
  if (old_roots_.has_failed || old_roots_.answers.size() >= kOldRootsMax ||
      old_roots_.bytes >= kOldRootsBytesMax)
    return fail(ErrorCode::kUnavailable, "{}: no more is asked for in this look", path);
  old_roots_.has_failed = true;  // unless it goes well
  const HttpResponse response = TRY(get({.path = path, .bytes_max = kRootBytesMax}));
  std::optional<Bytes> root;
  if (response.status == 200)
    root = to_bytes(response.body);
  else if (response.status != 404 && response.status != 403)
    return fail(ErrorCode::kUnavailable, "the server answered {} to the request for {}",
                response.status, path);
  old_roots_.has_failed = false;
  old_roots_.bytes += response.body.size();
  old_roots_.answers.emplace(path, root);
  return root;
}

// A delegated role just as the snapshot names it: what we needed ourselves, and so what any ECU of
// this car needs.
std::optional<Bytes> News::delegated_file(const std::string& file) const {
  constexpr std::string_view kEnding = ".json";
  const std::size_t dot = file.find('.');
  if (image_.snapshot() == nullptr || dot == std::string::npos || !file.ends_with(kEnding) ||
      file.size() < dot + 1 + kEnding.size())
    return std::nullopt;
  const auto role =
      manifest::percent_decoded(file.substr(dot + 1, file.size() - dot - 1 - kEnding.size()));
  if (!role) return std::nullopt;
  const auto& files = (*image_.snapshot())->files;
  const auto entry = files.find(*role + ".json");
  if (entry == files.end() || file.substr(0, dot) != std::to_string(entry->second.version))
    return std::nullopt;
  // What an earlier look needed may be in memory alone.
  const Bytes* held = image_.delegated(*role);
  auto bytes = held == nullptr ? delegated_.read(*role) : std::optional(*held);
  if (!bytes || !manifest::check_against_parent(entry->second, *bytes, *role)) return std::nullopt;
  return bytes;
}

Result<std::optional<Bytes>> News::file_for_ecus(const secondary::WantBody& want) {
  const bool is_director = want.repository == secondary::RepositoryName::kDirector;
  const manifest::TrustedRepository& repository = is_director ? director_ : image_;
  const std::string url =
      is_director ? std::string(kDirectorUrl) : std::string(kImageRepositoryUrl);
  const auto named = [&](const auto* verified, std::string_view role) -> std::optional<Bytes> {
    if (verified == nullptr) return std::nullopt;
    const std::string name = fmt::format("{}.{}.json", (*verified)->version, role);
    return want.file == name ? std::optional(verified->bytes()) : std::nullopt;
  };
  if (want.file == "timestamp.json")
    return repository.timestamp() ? std::optional(repository.timestamp()->bytes()) : std::nullopt;
  if (want.file == "targets.json")
    return repository.targets() ? std::optional(repository.targets()->bytes()) : std::nullopt;
  if (auto file = named(repository.snapshot(), "snapshot")) return file;
  if (auto file = named(repository.targets(), "targets")) return file;
  if (auto file = named(&repository.root(), "root")) return file;
  if (auto file = is_director ? std::nullopt : delegated_file(want.file)) return file;
  constexpr std::size_t kVersionDigitsMax = 9;
  const std::string digits = want.file.substr(0, want.file.find('.'));
  const bool is_root = want.file == digits + ".root.json" && !digits.empty() &&
                       digits.size() <= kVersionDigitsMax && !digits.starts_with('0') &&
                       std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; });
  if (!is_root || std::stoull(digits) > repository.root()->version) return std::optional<Bytes>{};
  return old_root(url + want.file);
}

void News::begin_handing_on() {
  is_handing_on_ = !secondaries_->is_empty();
}

void News::hand_on(Record& record, UnixSeconds now, const MaySwitch& may_switch) {
  const auto round = secondaries_->hand_on(
      time_, [this](const secondary::WantBody& want) { return file_for_ecus(want); }, record, now,
      may_switch);
  if (round == Secondaries::Round::kMore) return;
  is_handing_on_ = false;
  old_roots_ = {};
}

// ---- offline ------------------------------------------------------------------------------------

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
  drop_other_roles();
  return plan;
}

}  // namespace layby::agent
