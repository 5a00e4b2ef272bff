#include "manifest/target_search.h"

#include <algorithm>

#include "base/assert.h"
#include "base/limits.h"
#include "manifest/envelope.h"
#include "manifest/metadata_checks.h"
#include "manifest/metadata_json.h"
#include "manifest/url_names.h"

namespace layby::manifest {
namespace {

// What is more than kDelegatedBytesMax is fetched again by a later search, or offered again by a
// caller that stores it.
void hold(std::map<std::string, Bytes>& held, const std::string& name, const Bytes& bytes) {
  held.erase(name);
  std::size_t sum = bytes.size();
  for (const auto& [other, document] : held) sum += document.size();
  if (sum > kDelegatedBytesMax) held.clear();
  if (bytes.size() <= kDelegatedBytesMax) held.emplace(name, bytes);
}

// Of an image that the top-level targets do not have.
std::string why_missing(const Targets& top, const std::string& name, const HardwareId& hardware) {
  if (!top.delegations) return "it is not among its targets, and nobody else may speak";
  if (top.delegations->succinct_roles) return "neither its targets nor the role of its bin have it";
  bool is_delegated = false;
  for (const Delegation& role : top.delegations->roles) {
    if (!role.covers(name)) continue;
    if (role.covers(hardware))
      return "neither its targets nor the roles that may speak of it have it";
    is_delegated = true;
  }
  return is_delegated ? "its path is delegated, but for other hardware"
                      : "it is not among its targets, and its path is delegated to nobody";
}

const PublicKey* key_of(const KeyMap& keys, const KeyId& id) {
  const auto at = keys.find(id);
  return at == keys.end() ? nullptr : &at->second;
}

}  // namespace

Result<void> check_delegated_bounds(const std::set<std::string>& roles, const Snapshot& snapshot) {
  if (roles.size() > kDelegatedRolesMax)
    return fail(ErrorCode::kTooLarge, "more than {} delegated roles for the images of one car",
                kDelegatedRolesMax);
  std::uint64_t bytes = 0;
  for (const std::string& role : roles)
    bytes += snapshot.files.at(role + ".json").length.value_or(kTargetsBytesMax);
  if (bytes > kDelegatedBytesMax)
    return fail(ErrorCode::kTooLarge,
                "{} bytes of delegated roles for the images of one car, {} are allowed", bytes,
                kDelegatedBytesMax);
  return {};
}

// By value, not by id: two delegators may call different keys by the same id.
bool VerifiedRoles::Delegator::has_same_keys(const Delegator& other) const {
  if (keys == other.keys && role == other.role) return true;  // the same delegation
  return *role == *other.role && std::ranges::all_of(role->key_ids, [&](const KeyId& id) {
    const PublicKey* key = key_of(*keys, id);
    const PublicKey* others = key_of(*other.keys, id);
    return key && others ? *key == *others : key == others;
  });
}

std::shared_ptr<const Targets> VerifiedRoles::find(const std::string& name, const FileEntry& entry,
                                                   const Delegator& by) const {
  const auto at = roles_.find(name);
  if (at == roles_.end() || at->second.entry != entry) return nullptr;
  const bool is_verified = std::ranges::any_of(
      at->second.delegators, [&](const Delegator& other) { return by.has_same_keys(other); });
  return is_verified ? at->second.targets : nullptr;
}

void VerifiedRoles::add(const std::string& name, const FileEntry& entry, const Delegator& by,
                        std::size_t document_bytes, std::shared_ptr<const Targets> targets) {
  const auto at = roles_.find(name);
  if (at != roles_.end() && at->second.entry == entry && !entry.hashes.empty()) {
    at->second.delegators.push_back(by);  // the same bytes
    return;
  }
  if (at != roles_.end()) {
    document_bytes_ -= at->second.document_bytes;
    roles_.erase(at);
  }
  if (roles_.size() >= kDelegatedRolesMax ||
      document_bytes_ + document_bytes > kDelegatedBytesMax) {
    roles_.clear();
    document_bytes_ = 0;
  }
  if (document_bytes > kDelegatedBytesMax) return;
  document_bytes_ += document_bytes;
  roles_.emplace(name, Role{entry, document_bytes, std::move(targets), {by}});
}

TargetSearch::TargetSearch(TrustedRepository& repository, std::string target_name,
                           UnixSeconds start_time, std::optional<HardwareId> hardware,
                           VerifiedRoles* roles)
    : repository_(repository),
      target_name_(std::move(target_name)),
      hardware_(std::move(hardware)),
      start_time_(start_time),
      roles_(roles) {
  LAYBY_ASSERT(repository_.targets());
  visit(repository_.targets()->model());
  go_on();
}

std::optional<MetadataRequest> TargetSearch::next() const {
  if (to_visit_.empty()) return std::nullopt;
  const Step& step = to_visit_.back();
  const FileEntry& entry = *entry_of(step);
  const std::string name = percent_encoded(step.name);
  return MetadataRequest{Role::kTargets,
                         repository_.root()->consistent_snapshot
                             ? fmt::format("{}.{}.json", entry.version, name)
                             : fmt::format("{}.json", name),
                         entry.length.value_or(kTargetsBytesMax), step.name};
}

Result<void> TargetSearch::give(ByteSpan bytes) {
  const auto request = next();
  LAYBY_ASSERT(request);
  const Step step = to_visit_.back();
  auto targets = bytes.size() <= request->bytes_max
                     ? verify(step, bytes)
                     : fail(ErrorCode::kEndlessData, "{}: more than {} bytes", request->file,
                            request->bytes_max);
  if (!targets) {
    end(targets.error());
    return fail(std::move(targets.error()));
  }
  to_visit_.pop_back();
  const Bytes kept(bytes.begin(), bytes.end());
  hold(repository_.delegated_, step.name, kept);
  changes_.push_back({Role::kTargets, kept, step.name});
  visit(*targets);
  go_on();
  return {};
}

Result<void> TargetSearch::give_absent() {
  const auto request = next();
  LAYBY_ASSERT(request);
  Error error(ErrorCode::kNotFound, request->file + ": the server does not have it");
  end(error);
  return fail(std::move(error));
}

// An earlier search of this look has verified the next role, for a delegator with the same keys.
bool TargetSearch::take_verified() {
  if (roles_ == nullptr) return false;
  const Step& step = to_visit_.back();
  const auto targets = roles_->find(step.name, *entry_of(step), step.by);
  if (!targets || !check_expiry(step.name, targets->expires, start_time_)) return false;
  to_visit_.pop_back();
  visit(targets);
  return true;
}

// What we have of the next role, held in memory or stored by the caller.
TargetSearch::Held TargetSearch::try_held(ByteSpan bytes) {
  const Step step = to_visit_.back();
  auto targets = verify(step, bytes);
  if (targets) {
    to_visit_.pop_back();
    visit(*targets);
    return Held::kTaken;
  }
  const FileEntry& entry = *entry_of(step);
  const bool are_the_named = !entry.hashes.empty() && check_against_parent(entry, bytes, "");
  if (!are_the_named) return Held::kFetch;
  end(std::move(targets.error()));
  return Held::kRefused;
}

TargetSearch::Stored TargetSearch::offer_stored(ByteSpan bytes) {
  LAYBY_ASSERT(next());
  const std::string name = to_visit_.back().name;
  const Held held = try_held(bytes);
  if (held == Held::kFetch) return Stored::kFetch;
  if (held == Held::kTaken) {
    hold(repository_.delegated_, name, Bytes(bytes.begin(), bytes.end()));
    go_on();
  }
  return Stored::kSettled;
}

void TargetSearch::end(Error why) {
  to_visit_.clear();
  failure_ = std::move(why);
}

std::vector<StoredChange> TargetSearch::take_changes() {
  return std::exchange(changes_, {});
}

Result<const Target*> TargetSearch::found() const {
  LAYBY_ASSERT(to_visit_.empty());
  if (failure_) return fail(*failure_);
  return repository_.find_target(target_name_, hardware_);
}

const FileEntry* TargetSearch::entry_of(const Step& step) const {
  const auto& files = (*repository_.snapshot())->files;
  const auto at = files.find(step.name + ".json");
  return at == files.end() ? nullptr : &at->second;
}

// By this delegator's keys: another one may delegate the same role to other keys.
Result<std::shared_ptr<const Targets>> TargetSearch::verify(const Step& step, ByteSpan bytes) {
  const FileEntry& entry = *entry_of(step);
  TRY_VOID(check_against_parent(entry, bytes, step.name));
  if (roles_) ++roles_->readings_;
  const Envelope envelope = TRY_CONTEXT(Envelope::parse(bytes, kGivenLengthMax), step.name);
  TRY_VOID(verify_threshold(envelope, *step.by.keys, *step.by.role, step.name));
  Targets targets = TRY_CONTEXT(decode_targets(envelope.signed_part()), step.name);
  TRY_VOID(check_version_against_parent(entry, targets.version, step.name));
  TRY_VOID(check_expiry(step.name, targets.expires, start_time_));
  auto verified = std::make_shared<const Targets>(std::move(targets));
  if (roles_) roles_->add(step.name, entry, step.by, bytes.size(), verified);
  return verified;
}

// Finds the target here, or learns where to look next: in order of priority, and nowhere else after
// a terminating delegation.
void TargetSearch::visit(const std::shared_ptr<const Targets>& targets) {
  const auto at = targets->targets.find(target_name_);
  if (at != targets->targets.end()) {
    repository_.resolved_.insert_or_assign({target_name_, hardware_}, at->second);
    to_visit_.clear();
    return;
  }
  if (!targets->delegations) return;
  const Delegations& delegations = *targets->delegations;
  // What a step needs of the document holds all of it, and copies nothing.
  const auto step = [&](std::string name, const RoleKeys& role) {
    return Step{std::move(name), {{targets, &delegations.keys}, {targets, &role}}};
  };
  if (const auto& succinct = delegations.succinct_roles) {
    to_visit_.clear();
    to_visit_.push_back(step(succinct->role_for(target_name_), succinct->keys));
    return;
  }
  std::vector<Step> children;
  // One more than can be visited shows that the bound was hit; further ones would only take memory.
  const std::size_t children_max = kSearchRolesMax - visited_.size() + 1;
  for (const Delegation& role : delegations.roles) {
    if (!may_speak(role)) continue;
    if (!visited_.contains(role.name) && children.size() < children_max)
      children.push_back(step(role.name, role.keys));
    if (!role.terminating) continue;
    to_visit_.clear();
    break;
  }
  to_visit_.insert(to_visit_.end(), std::make_move_iterator(children.rbegin()),
                   std::make_move_iterator(children.rend()));
}

// By path, and by hardware where we know for which it is (Uptane 2.1.0, 5.4.4.7(4.1)).
bool TargetSearch::may_speak(const Delegation& role) const {
  return role.covers(target_name_) && (!hardware_ || role.covers(*hardware_));
}

// Skips what was visited and what we hold already, to the role that must be fetched.
void TargetSearch::go_on() {
  while (!to_visit_.empty()) {
    if (visited_.contains(to_visit_.back().name)) {
      to_visit_.pop_back();
      continue;
    }
    if (visited_.size() == kSearchRolesMax)
      return end(Error(ErrorCode::kTooLarge,
                       fmt::format("target {}: more than {} delegated roles may speak of it",
                                   target_name_, kSearchRolesMax)));
    const std::string name = to_visit_.back().name;
    visited_.insert(name);
    if (entry_of(to_visit_.back()) == nullptr)
      return end(Error(ErrorCode::kMixAndMatch, name + ": delegated, but not in the snapshot"));
    auto fits =
        check_given_length(*entry_of(to_visit_.back()), kTargetsBytesMax, repository_.rules_, name);
    if (!fits) return end(std::move(fits.error()));
    if (take_verified()) continue;
    const auto held = repository_.delegated_.find(name);
    if (held == repository_.delegated_.end()) return;
    if (try_held(held->second) != Held::kTaken) return;
  }
}

Result<const Target*> find_image(const TrustedRepository& repository, const std::string& name,
                                 const HardwareId& hardware) {
  LAYBY_ASSERT(repository.targets());
  if (const Target* found = repository.find_target(name, hardware)) return found;
  return fail(ErrorCode::kRepositoriesDisagree,
              "{}: the Image repository does not have it for the hardware {}: {}", name,
              hardware.text(), why_missing(**repository.targets(), name, hardware));
}

}  // namespace layby::manifest
