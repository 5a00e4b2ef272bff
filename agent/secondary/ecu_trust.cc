#include "agent/secondary/ecu_trust.h"

#include <algorithm>

#include "agent/kept_file.h"
#include "base/assert.h"
#include "base/limits.h"
#include "manifest/url_names.h"

namespace layby::secondary {
namespace {

// So long a question for the time waits for its answer. What was counted since the last time is no
// floor beside it: a server whose clock was ahead for an hour would never be believed again.
constexpr std::int64_t kNonceMsMax = 300 * 1000;

using manifest::Role;

std::string file_of(const std::string& directory, Role role) {
  return directory + "/" + std::string(manifest::to_string(role)) + ".json";
}

std::optional<Bytes> read_role(Disk& disk, const std::string& directory, Role role) {
  auto bytes = agent::read_kept(disk, file_of(directory, role), kTargetsBytesMax);
  if (!bytes) return std::nullopt;  // it is asked for again, and the engine leaves damaged ones out
  return std::move(*bytes);
}

Result<manifest::TrustedRepository> load(Disk& disk, const std::string& directory) {
  manifest::StoredRoles stored;
  stored.root = TRY(agent::read_kept(disk, file_of(directory, Role::kRoot), kRootBytesMax));
  stored.timestamp = read_role(disk, directory, Role::kTimestamp);
  stored.snapshot = read_role(disk, directory, Role::kSnapshot);
  stored.targets = read_role(disk, directory, Role::kTargets);
  return manifest::TrustedRepository::load(stored);
}

}  // namespace

Result<EcuTrust> EcuTrust::open(Disk& disk, const Clock& clock, const EcuLayout& layout,
                                const EcuIdentity& identity) {
  auto director = TRY_CONTEXT(load(disk, layout.director_trust()), layout.director_trust());
  director.expect_vehicle(identity.vin);
  EcuTrust trust(disk, clock, layout, identity, std::move(director));
  if (trust.is_full())
    trust.image_ = TRY_CONTEXT(load(disk, layout.image_trust()), layout.image_trust());
  return trust;
}

// ---- time ---------------------------------------------------------------------------------------

manifest::TimeNonce EcuTrust::new_nonce() {
  nonce_ = manifest::make_time_nonce();
  nonce_at_ms_ = clock_->monotonic_ms();
  has_asked_ = true;
  return *nonce_;
}

Result<void> EcuTrust::take_time(const TimeBody& body, EcuState& state) {
  // Who starts anew in the middle of a look has only forgotten its question.
  if (!has_asked_)
    return fail(ErrorCode::kUntrustedTime, "this ECU has not asked for the time since its start");
  if (!nonce_ || std::ranges::find(body.nonces, *nonce_) == body.nonces.end())
    return fail(ErrorCode::kReplay, "a signed time that answers no question of this ECU");
  if (clock_->monotonic_ms() - nonce_at_ms_ > kNonceMsMax) {
    nonce_.reset();
    return fail(ErrorCode::kReplay, "a signed time that was held back");
  }
  const UnixSeconds signed_time = TRY(manifest::verify_server_time(
      body.document, manifest::join_time_nonces(body.nonces), director_));
  TRY_VOID(manifest::check_time_witness(signed_time, *director_.root()));
  manifest::TimeKeys keys = manifest::time_keys(*director_.root());
  const bool holds = manifest::still_holds(state.time_keys, keys);
  state.time = TRY(manifest::accept_signed_time(signed_time, holds ? state.time : 0));
  state.time_keys = std::move(keys);
  // What was noted in a future that a thief made must not keep a refusal in the reports for years.
  state.attack_well_since = std::min(state.attack_well_since, state.time);
  nonce_.reset();
  time_at_ms_ = clock_->monotonic_ms();
  return {};
}

UnixSeconds EcuTrust::now(const EcuState& state) const {
  if (!time_at_ms_) return state.time;
  return state.time + (clock_->monotonic_ms() - *time_at_ms_) / 1000;
}

// ---- metadata -----------------------------------------------------------------------------------

Result<void> EcuTrust::begin_look(LookFor look_for, const EcuState& state) {
  stage_ = Stage::kNone;
  if (look_for == LookFor::kAll && !time_at_ms_)
    return fail(ErrorCode::kUntrustedTime, "no time was signed for this ECU since it started");
  look_for_ = look_for;
  look_time_ = now(state);
  search_.reset();
  // Whether the last root is expired only a trusted time can tell.
  refresh_.emplace(director_, look_for == LookFor::kRoots ? 0 : look_time_);
  stage_ = Stage::kDirectorRoot;
  return {};
}

Result<std::optional<WantBody>> EcuTrust::next() {
  const auto want = [](RepositoryName name, std::string file, std::uint64_t bytes_max) {
    return std::optional<WantBody>(
        WantBody{name, static_cast<std::uint32_t>(bytes_max), std::move(file)});
  };
  switch (stage_) {
    case Stage::kNone:
    case Stage::kDone: return std::optional<WantBody>{};
    case Stage::kDirectorTargets:
      return want(RepositoryName::kDirector, "targets.json", kTargetsBytesMax);
    case Stage::kDirectorRoot:
    case Stage::kDirector:
    case Stage::kImage:
    case Stage::kDelegated: break;
  }
  const auto request = stage_ == Stage::kDelegated ? search_->next() : refresh_->next();
  LAYBY_ASSERT(request.has_value());  // `give` goes on when one is complete
  const bool is_director = stage_ == Stage::kDirectorRoot || stage_ == Stage::kDirector;
  return want(is_director ? RepositoryName::kDirector : RepositoryName::kImage, request->file,
              request->bytes_max);
}

Result<void> EcuTrust::give(const std::optional<Bytes>& file) {
  const Stage before = stage_;
  auto given = [&]() -> Result<void> {
    switch (before) {
      case Stage::kNone:
      case Stage::kDone: return fail(ErrorCode::kConflict, "no file was asked for");
      case Stage::kDirectorRoot: return give_root(file);
      case Stage::kDirectorTargets: {
        if (!file) return fail(ErrorCode::kNotFound, "the primary has no targets of the Director");
        TRY_VOID(director_.accept_targets_alone(*file, look_time_));
        stage_ = Stage::kDone;
        return store(layout_->director_trust(), {Role::kTargets, file});
      }
      case Stage::kDirector:
      case Stage::kImage: return give_to_refresh(file);
      case Stage::kDelegated: return give_to_search(file);
    }
    LAYBY_ASSERT(false);
  }();
  if (!given && stage_ == Stage::kDelegated) delegated_.keep_within_bounds(search_->visited());
  if (!given) stage_ = Stage::kNone;
  return given;
}

// The Director's roots come first, with either way to verify: a signed time may be one of their
// newer keys'.
Result<void> EcuTrust::give_root(const std::optional<Bytes>& file) {
  TRY_VOID(give_one(file));
  if (refresh_->next()->role == Role::kRoot) return {};
  if (look_for_ == LookFor::kRoots)
    stage_ = Stage::kDone;
  else
    stage_ = is_full() ? Stage::kDirector : Stage::kDirectorTargets;
  return {};
}

Result<void> EcuTrust::give_one(const std::optional<Bytes>& file) {
  const auto given = file ? refresh_->give(*file) : refresh_->give_absent();
  TRY_VOID(persist());  // also what came before an error
  return given;
}

Result<void> EcuTrust::give_to_refresh(const std::optional<Bytes>& file) {
  TRY_VOID(give_one(file));
  if (!refresh_->complete()) return {};
  const bool names_something =
      director_.targets() != nullptr && !(*director_.targets())->targets.empty();
  // A Director that names nothing needs no Image repository.
  if (stage_ == Stage::kDirector && names_something) {
    stage_ = Stage::kImage;
    refresh_.emplace(*image_, look_time_);
    return {};
  }
  if (stage_ == Stage::kImage) return begin_search();
  stage_ = Stage::kDone;
  return {};
}

// Who speaks of the one image that this ECU was given: what else the Director names is the business
// of others.
Result<void> EcuTrust::begin_search() {
  const auto name =
      TRY(manifest::own_image_name(**director_.targets(), identity_->vin, identity_->serial));
  stage_ = Stage::kDone;
  if (!name) return {};
  stage_ = Stage::kDelegated;
  search_.emplace(*image_, *name, look_time_, identity_->hardware);
  return go_on_searching();
}

Result<void> EcuTrust::give_to_search(const std::optional<Bytes>& file) {
  const auto given = file ? search_->give(*file) : search_->give_absent();
  for (const manifest::StoredChange& change : search_->take_changes())
    delegated_.write(change.delegated, *change.bytes);
  TRY_VOID(given);
  return go_on_searching();
}

// Over what lies here, to the role that must be asked for.
Result<void> EcuTrust::go_on_searching() {
  while (const auto request = search_->next()) {
    TRY_VOID(manifest::check_delegated_bounds(search_->visited(), **image_->snapshot()));
    TRY_VOID(agent::DelegatedFiles::check_name(request->delegated));
    const auto stored = delegated_.read(request->delegated);
    if (!stored || search_->offer_stored(*stored) == manifest::TargetSearch::Stored::kFetch)
      return {};
  }
  TRY(search_->found());  // none at all is for verify_ecu_image to refuse
  delegated_.keep_only(search_->visited());
  stage_ = Stage::kDone;
  return {};
}

Result<void> EcuTrust::persist() {
  const std::string directory =
      stage_ == Stage::kImage ? layout_->image_trust() : layout_->director_trust();
  for (const manifest::StoredChange& change : refresh_->take_changes())
    TRY_VOID(store(directory, change));
  return {};
}

Result<void> EcuTrust::store(const std::string& directory, const manifest::StoredChange& change) {
  const std::string path = file_of(directory, change.role);
  // With partial verification the targets are all that remembers their version: one bad block must
  // not take the floor away.
  const bool is_kept_twice =
      change.role == Role::kRoot || (change.role == Role::kTargets && !is_full());
  if (change.bytes && is_kept_twice) return agent::write_kept(*disk_, path, *change.bytes);
  if (change.bytes) return replace_file(*disk_, path, *change.bytes);
  if (is_kept_twice) return agent::remove_kept(*disk_, path);
  TRY_VOID(disk_->remove(path));
  return disk_->sync_dir(directory);
}

UnixSeconds EcuTrust::expires() const {
  const auto* targets = is_full() ? director_.targets() : director_.targets_alone();
  LAYBY_ASSERT(stage_ == Stage::kDone && targets != nullptr);
  return (*targets)->expires;
}

Result<std::optional<manifest::VerifiedEcuImage>> EcuTrust::own_image(const EcuState& state) const {
  const auto* targets = is_full() ? director_.targets() : director_.targets_alone();
  if (stage_ != Stage::kDone || targets == nullptr)
    return fail(ErrorCode::kConflict, "the look is not over");
  const manifest::EcuFacts ecu{
      .vin = identity_->vin,
      .serial = identity_->serial,
      .hardware = identity_->hardware,
      .release_counter = state.installed ? state.installed->release_counter : 0};
  return manifest::verify_ecu_image(*targets, is_full() ? &*image_ : nullptr, ecu);
}

}  // namespace layby::secondary
