// With which of the server's keys a role is signed now: those that the published root names.
#pragma once

#include <memory>
#include <vector>

#include "crypto/keys.h"
#include "manifest/metadata.h"
#include "server/director/online_keys.h"
#include "server/services.h"
#include "server/store/change.h"

namespace layby::server {

using manifest::Repository;
std::string_view to_string(Repository repository);  // "director", "image"

std::string role_key_name(Repository repository, manifest::Role role);  // "image-timestamp"
// Whether the root lets this key sign the role.
bool names_key(const manifest::Root& root, manifest::Role role, const crypto::Signer& signer);

// Present and waiting keys of the role that the root names, a copy once; its threshold of them, or
// kConflict, which says what to do.
Result<std::vector<const crypto::Signer*>> role_signers(const OnlineKeys& keys,
                                                        Repository repository, manifest::Role role,
                                                        const manifest::Root& root);

// kBadFormat for a root under which cars would ask for what this server does not have; one that
// lasts less than 30 days is logged.
Result<void> check_serves_cars(const Services& services, Repository repository,
                               const manifest::Root& root);

// The Director's root as the store has it; that there is no newer one becomes an expectation of the
// change. (The Image repository's stands in its state: image_repository.h.)
Result<manifest::Root> present_director_root(Change& change);
void save_director_root_version(Change& change, manifest::Version version);
Result<manifest::Version> director_root_version(Change& change);

Result<manifest::Root> read_root(std::string_view document);

// As this process knows it: from the store the first time. Any thread.
Result<std::shared_ptr<const manifest::Root>> published_director_root(const Services& services);

}  // namespace layby::server
