#include "server/release/delegation_tree.h"

#include <algorithm>
#include <iterator>

#include "base/limits.h"
#include "base/time_text.h"
#include "manifest/metadata_json.h"
#include "manifest/target_search.h"

namespace layby::server {

namespace {

using manifest::Delegation;
using manifest::Target;
using manifest::Targets;

const std::string kTop = "targets";  // no delegated role has this name (read_delegation)

std::size_t usable_keys(const manifest::KeyMap& keys, const manifest::RoleKeys& role) {
  std::set<manifest::PublicKey> different;
  for (const manifest::KeyId& id : role.key_ids)
    if (const auto at = keys.find(id); at != keys.end()) different.insert(at->second);
  return different.size();
}

}  // namespace

Result<void> check_delegations(std::string_view role, const Targets& targets) {
  if (!targets.delegations) return {};
  if (targets.delegations->succinct_roles)
    return fail(ErrorCode::kUnsupported, "{}: succinct_roles cannot be published", role);
  for (const Delegation& delegation : targets.delegations->roles) {
    if (const auto name = manifest::parse_plain_name(delegation.name, "delegated role"); !name)
      return fail(ErrorCode::kBadFormat, "{}: {}", role, name.error().message());
    if (delegation.name == role) return fail(ErrorCode::kBadFormat, "{} delegates to itself", role);
    const std::size_t keys = usable_keys(targets.delegations->keys, delegation.keys);
    if (keys < delegation.keys.threshold)
      return fail(ErrorCode::kBadFormat,
                  "{}: {} keys of role {} are there, of which {} must sign: it never could", role,
                  keys, delegation.name, delegation.keys.threshold);
  }
  return {};
}

Result<DelegationTree> DelegationTree::build(Targets top, const Documents& documents,
                                             UnixSeconds now) {
  DelegationTree tree;
  tree.documents_.emplace(kTop, Document{std::nullopt, std::move(top), 0});
  for (const auto& [role, bytes] : documents) {
    auto envelope = TRY_CONTEXT(manifest::Envelope::parse(bytes, kTargetsBytesMax), role);
    auto targets = TRY_CONTEXT(manifest::decode_targets(envelope.signed_part()), role);
    tree.documents_.emplace(role, Document{std::move(envelope), std::move(targets), bytes.size()});
  }
  tree.follow(now);
  return tree;
}

// Its flaw, and whether the role's document is signed.
void DelegationTree::judge(Delegator& delegator, UnixSeconds now) const {
  const Delegation& delegation = *delegator.delegation;
  const auto at = documents_.find(delegation.name);
  if (at == documents_.end()) {
    delegator.flaw = "nothing of it is published yet";
    return;
  }
  const Document& document = at->second;
  const std::size_t good =
      manifest::count_signatures(*document.envelope, *delegator.keys, delegation.keys);
  delegator.is_signed = good >= delegation.keys.threshold;
  if (!delegator.is_signed)
    delegator.flaw = fmt::format(
        "its version {} has {} of {} signatures by these keys: its next version must be signed by "
        "them",
        document.targets.version, good, delegation.keys.threshold);
  else if (now >= document.targets.expires)
    delegator.flaw = fmt::format("its version {} expired at {}: publish the next one",
                                 document.targets.version, format_utc(document.targets.expires));
}

// Each delegation of a believed role is judged; a role is believed that is so for one of them.
void DelegationTree::follow(UnixSeconds now) {
  believed_ = {kTop};
  std::vector<std::string> to_visit{kTop};
  while (!to_visit.empty()) {
    const std::string role = std::move(to_visit.back());
    to_visit.pop_back();
    const auto& delegations = documents_.at(role).targets.delegations;
    if (!delegations) continue;
    for (const Delegation& delegation : delegations->roles) {
      Delegator delegator{role, &delegations->keys, &delegation, {}};
      judge(delegator, now);
      if (delegator.flaw.empty()) {
        sound_.insert(&delegation);
        if (believed_.insert(delegation.name).second) to_visit.push_back(delegation.name);
      }
      delegators_.push_back(std::move(delegator));
    }
  }
}

std::vector<DelegationTree::Delegator> DelegationTree::delegators_of(
    const std::string& role) const {
  std::vector<Delegator> found;
  std::ranges::copy_if(delegators_, std::back_inserter(found), [&](const Delegator& delegator) {
    return delegator.delegation->name == role;
  });
  return found;
}

std::vector<std::string> DelegationTree::disowned_delegators_of(const std::string& role) const {
  std::vector<std::string> texts;
  for (const auto& [from, document] : documents_) {
    const auto& delegations = document.targets.delegations;
    if (believed_.contains(from) || !delegations ||
        std::ranges::find(delegations->roles, role, &Delegation::name) == delegations->roles.end())
      continue;
    std::string why;
    for (const Delegator& delegator : delegators_of(from))
      why += fmt::format("{}as {} delegates to it, {}", why.empty() ? "" : "; ", delegator.role,
                         delegator.flaw);
    if (why.empty()) why = "nobody whom they believe delegates to it";
    texts.push_back(
        fmt::format("{} delegates to it, but cars do not believe {}: {}", from, from, why));
  }
  return texts;
}

bool DelegationTree::may_speak(const std::string& role, const std::string& image,
                               const manifest::HardwareId& hardware) const {
  std::set<std::string> reached{kTop};
  std::vector<std::string> to_visit{kTop};
  while (!to_visit.empty()) {
    const std::string from = std::move(to_visit.back());
    to_visit.pop_back();
    const auto& delegations = documents_.at(from).targets.delegations;
    if (!delegations) continue;
    for (const Delegation& delegation : delegations->roles)
      if (sound_.contains(&delegation) && delegation.covers(image) && delegation.covers(hardware) &&
          reached.insert(delegation.name).second)
        to_visit.push_back(delegation.name);
  }
  return reached.contains(role);
}

const Target* DelegationTree::find(const std::string& image,
                                   const manifest::HardwareId& hardware) const {
  return walk(image, hardware).found;
}

DelegationTree::Walk DelegationTree::walk(const std::string& image,
                                          const manifest::HardwareId& hardware) const {
  std::uint64_t bytes = 0;
  std::set<std::string> visited;
  std::vector<const Delegation*> to_visit;  // the next one last
  const Targets* here = &documents_.at(kTop).targets;
  for (;;) {
    const auto named = here->targets.find(image);
    if (named != here->targets.end()) return {&named->second, {}};
    std::vector<const Delegation*> children;
    if (here->delegations) {
      for (const Delegation& delegation : here->delegations->roles) {
        if (!delegation.covers(image) || !delegation.covers(hardware)) continue;
        children.push_back(&delegation);
        if (!delegation.terminating) continue;
        to_visit.clear();
        break;
      }
    }
    to_visit.insert(to_visit.end(), children.rbegin(), children.rend());
    while (!to_visit.empty() && visited.contains(to_visit.back()->name)) to_visit.pop_back();
    if (to_visit.empty()) return {};
    if (visited.size() == manifest::kSearchRolesMax)
      return {nullptr,
              fmt::format("more than {} roles may speak of it", manifest::kSearchRolesMax)};
    const Delegation* next = to_visit.back();
    to_visit.pop_back();
    if (!sound_.contains(next)) return {};  // nobody else's word counts then
    visited.insert(next->name);
    const Document& document = documents_.at(next->name);
    bytes += document.bytes;
    if (bytes > manifest::kDelegatedBytesMax)
      return {nullptr, fmt::format("the roles on the way to it have more than {} bytes",
                                   manifest::kDelegatedBytesMax)};
    here = &document.targets;
  }
}

std::map<std::string, std::string> DelegationTree::out_of_bounds() const {
  std::map<std::string, std::string> images;
  for (const std::string& role : believed_) {
    for (const auto& [name, target] : documents_.at(role).targets.targets) {
      const auto entry = manifest::read_image_entry(name, target);
      if (!entry) continue;  // for others to refuse
      for (const manifest::HardwareId& hardware : entry->hardware_ids) {
        std::string excess = walk(name, hardware).excess;
        if (!excess.empty()) images[name] = std::move(excess);
      }
    }
  }
  return images;
}

bool DelegationTree::finds(const manifest::ImageEntry& image, const Target& target) const {
  return std::ranges::all_of(image.hardware_ids, [&](const manifest::HardwareId& hardware) {
    const Target* found = find(image.name.text(), hardware);
    return found != nullptr && *found == target;
  });
}

Result<DelegationTree::ListedImages> DelegationTree::listed() const {
  ListedImages listed = documents_.at(kTop).targets.targets;
  for (const std::string& role : believed_) {
    if (role == kTop) continue;
    for (const auto& [name, target] : documents_.at(role).targets.targets) {
      const auto entry = TRY_CONTEXT(manifest::read_image_entry(name, target), "role " + role);
      if (finds(entry, target)) listed.emplace(name, target);
    }
  }
  return listed;
}

std::set<std::string> DelegationTree::named() const {
  std::set<std::string> names;
  for (const auto& [role, document] : documents_)
    for (const auto& [name, target] : document.targets.targets) names.insert(name);
  return names;
}

DelegationTree::ListedImages DelegationTree::samples(const ListedImages& offered,
                                                     const ListedImages& listed) const {
  ListedImages samples;
  const std::size_t step =
      std::max<std::size_t>(1, (offered.size() + kSamplesMax - 1) / kSamplesMax);
  std::size_t place = 0;
  for (const auto& image : offered)
    if (place++ % step == 0) samples.insert(image);
  for (const std::string& role : believed_) {
    if (role == kTop) continue;
    const auto& images = documents_.at(role).targets.targets;
    const auto first = std::ranges::find_if(
        images, [&](const auto& image) { return listed.contains(image.first); });
    if (first != images.end()) samples.insert(*listed.find(first->first));
  }
  return samples;
}

std::vector<std::string> DelegationTree::gaps() const {
  std::vector<std::string> texts;
  for (const Delegator& delegator : delegators_)
    if (!delegator.flaw.empty())
      texts.push_back(fmt::format("role {}, to which {} delegates: {}; cars take no image by it",
                                  delegator.delegation->name, delegator.role, delegator.flaw));
  return texts;
}

}  // namespace layby::server
