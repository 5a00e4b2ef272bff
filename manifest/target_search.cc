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

// Delegated roles that one search looks into.
constexpr std::size_t kDelegationsMax = 32;

}  // namespace

TargetSearch::TargetSearch(TrustedRepository& repository, std::string target_name,
                           UnixSeconds start_time)
    : repository_(repository), target_name_(std::move(target_name)), start_time_(start_time) {
  LAYBY_ASSERT(repository_.targets());
  visit(**repository_.targets());
  go_on();
}

std::optional<MetadataRequest> TargetSearch::next() const {
  if (to_visit_.empty()) return std::nullopt;
  const Step& step = to_visit_.back();
  const FileEntry* entry = entry_of(step);
  const std::string name = percent_encoded(step.name);
  // What the snapshot does not list is still named, so that the error comes from give_absent or
  // give, and not from silence.
  const Version version = entry ? entry->version : 1;
  const std::uint64_t length = entry ? entry->length.value_or(kTargetsBytesMax) : 0;
  return MetadataRequest{Role::kTargets,
                         repository_.root()->consistent_snapshot
                             ? fmt::format("{}.{}.json", version, name)
                             : fmt::format("{}.json", name),
                         std::min(length, kTargetsBytesMax), step.name};
}

Result<void> TargetSearch::give(ByteSpan bytes) {
  const auto request = next();
  LAYBY_ASSERT(request);
  const Step step = std::move(to_visit_.back());
  to_visit_.pop_back();
  auto targets = bytes.size() <= request->bytes_max || !entry_of(step)
                     ? verify(step, bytes)
                     : fail(ErrorCode::kEndlessData, "{}: more than {} bytes", request->file,
                            request->bytes_max);
  if (!targets) {
    to_visit_.clear();
    return fail(std::move(targets.error()));
  }
  const Bytes kept(bytes.begin(), bytes.end());
  repository_.delegated_.insert_or_assign(step.name, kept);
  changes_.push_back({Role::kTargets, kept, step.name});
  visit(*targets);
  go_on();
  return {};
}

Result<void> TargetSearch::give_absent() {
  const auto request = next();
  LAYBY_ASSERT(request);
  to_visit_.clear();
  return fail(ErrorCode::kNotFound, "{}: the server does not have it", request->file);
}

TargetSearch::Stored TargetSearch::offer_stored(ByteSpan bytes) {
  LAYBY_ASSERT(next());
  const Step step = to_visit_.back();
  const auto targets = verify(step, bytes);
  if (!targets) return Stored::kNotGood;
  to_visit_.pop_back();
  repository_.delegated_.insert_or_assign(step.name, Bytes(bytes.begin(), bytes.end()));
  visit(*targets);
  go_on();
  return Stored::kTaken;
}

std::vector<StoredChange> TargetSearch::take_changes() {
  return std::exchange(changes_, {});
}

const Target* TargetSearch::found() const {
  return to_visit_.empty() ? repository_.find_target(target_name_) : nullptr;
}

const FileEntry* TargetSearch::entry_of(const Step& step) const {
  const auto& files = (*repository_.snapshot())->files;
  const auto at = files.find(step.name + ".json");
  return at == files.end() ? nullptr : &at->second;
}

// By this delegator's keys: another one may delegate the same role to other keys.
Result<Targets> TargetSearch::verify(const Step& step, ByteSpan bytes) const {
  const FileEntry* entry = entry_of(step);
  if (!entry)
    return fail(ErrorCode::kMixAndMatch, "{}: delegated, but not in the snapshot", step.name);
  TRY_VOID(check_against_parent(*entry, bytes, step.name));
  const Envelope envelope = TRY_CONTEXT(Envelope::parse(bytes, kTargetsBytesMax), step.name);
  TRY_VOID(verify_threshold(envelope, step.keys, step.role, step.name));
  Targets targets = TRY_CONTEXT(decode_targets(envelope.signed_part()), step.name);
  TRY_VOID(check_version_against_parent(*entry, targets.version, step.name));
  TRY_VOID(check_expiry(step.name, targets.expires, start_time_));
  return targets;
}

// Finds the target here, or learns where to look next: in order of priority, and nowhere else after
// a terminating delegation.
void TargetSearch::visit(const Targets& targets) {
  const auto at = targets.targets.find(target_name_);
  if (at != targets.targets.end()) {
    repository_.resolved_.insert_or_assign(target_name_, at->second);
    to_visit_.clear();
    return;
  }
  if (!targets.delegations) return;
  std::vector<Step> children;
  for (const Delegation& role : targets.delegations->roles) {
    if (!role.covers(target_name_)) continue;
    children.push_back({role.name, targets.delegations->keys, role.keys});
    if (!role.terminating) continue;
    to_visit_.clear();
    break;
  }
  to_visit_.insert(to_visit_.end(), std::make_move_iterator(children.rbegin()),
                   std::make_move_iterator(children.rend()));
}

// Skips what was visited and what we hold already, to the role that must be fetched.
void TargetSearch::go_on() {
  while (!to_visit_.empty()) {
    if (visited_.contains(to_visit_.back().name)) {
      to_visit_.pop_back();
      continue;
    }
    if (visited_.size() == kDelegationsMax) {
      to_visit_.clear();
      return;
    }
    visited_.insert(to_visit_.back().name);
    const auto kept = repository_.delegated_.find(to_visit_.back().name);
    if (kept == repository_.delegated_.end()) return;
    const auto targets = verify(to_visit_.back(), kept->second);
    if (!targets) return;  // another version, or not what this delegator signs: fetch it
    to_visit_.pop_back();
    visit(*targets);
  }
}

}  // namespace layby::manifest
