// A repository whose targets delegate, and who looks for something in it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "manifest/target_search.h"
#include "tests/manifest/test_repository.h"

namespace layby::tests {

// Searches with what `from` serves; the names asked for go to `asked`.
inline Result<const manifest::Target*> search_for(
    const TestRepository& from, manifest::TrustedRepository& client, const std::string& name,
    const std::optional<manifest::HardwareId>& hardware = std::nullopt,
    std::vector<std::string>* asked = nullptr, manifest::VerifiedRoles* roles = nullptr) {
  manifest::TargetSearch search(client, name, kNow, hardware, roles);
  while (const auto request = search.next()) {
    if (asked) asked->push_back(request->file);
    const auto file = from.files.find(request->file);
    TRY_VOID(file == from.files.end() ? search.give_absent() : search.give(file->second));
  }
  return search.found();
}

// A repository whose targets delegate to roles with keys of their own.
struct Delegating {
  TestRepository repository;
  std::map<std::string, KeyPointer> keys;
  std::map<std::string, manifest::Targets> roles;

  enum class Terminating { kNo, kYes };
  // `from` delegates `paths` to `name`, for any hardware or for `hardware`.
  void delegate(manifest::Targets& from, const std::string& name, const std::string& paths,
                Terminating terminating = Terminating::kNo,
                const std::vector<manifest::HardwareId>& hardware = {}) {
    if (!keys.contains(name)) keys[name] = new_key();
    const manifest::PublicKey key = manifest::PublicKey::from_ed25519(keys[name]->public_key());
    if (!from.delegations) from.delegations.emplace();
    from.delegations->keys.insert_or_assign(key.id(), key);
    from.delegations->roles.push_back(
        {name, {{key.id()}, 1}, terminating == Terminating::kYes, {paths}, {}, hardware});
    roles[name].expires = kLater;
  }

  void publish_role(const std::string& name, const std::string& file) {
    const crypto::Signer* const by[] = {keys[name].get()};
    const Bytes bytes = must(manifest::make_targets(roles[name], by));
    repository.files[fmt::format("{}.{}.json", roles[name].version, file)] = bytes;
    repository.snapshot.files[name + ".json"] = manifest::describe_file(roles[name].version, bytes);
  }

  void publish() {
    for (const auto& [name, role] : roles) publish_role(name, name);
    repository.release();
  }

  manifest::TrustedRepository client() {
    manifest::TrustedRepository made = repository.client();
    must(repository.refresh(made));
    return made;
  }

  Result<const manifest::Target*> search(
      manifest::TrustedRepository& client, const std::string& name,
      std::vector<std::string>* asked = nullptr,
      const std::optional<manifest::HardwareId>& hardware = std::nullopt) const {
    return search_for(repository, client, name, hardware, asked);
  }

  Result<const manifest::Target*> search(manifest::TrustedRepository& client,
                                         const std::string& name,
                                         manifest::VerifiedRoles& verified) const {
    return search_for(repository, client, name, std::nullopt, nullptr, &verified);
  }
};

}  // namespace layby::tests
