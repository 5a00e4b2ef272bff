// The next root of a repository, made offline (`layby root`), handed to the cars.
#pragma once

#include "base/bytes.h"
#include "manifest/metadata.h"
#include "server/release/role_signers.h"
#include "server/services.h"

namespace layby::server {

// Rules and errors of publish_image_root (image_repository.h) for either repository. Of the
// Director each car's metadata is signed anew when it polls the next time. The version that is
// published then. Any thread.
Result<manifest::Version> publish_root(const Services& services, Repository repository,
                                       ByteSpan root);

// A waiting key that the published roots name, and not the present one beside it, takes its place:
// at the start, before anything is signed. The next licence key does once the functions of the
// Image repository name it, and none of them the present one.
Result<void> promote_next_keys(const Services& services, const std::string& keys_dir,
                               OnlineKeys& keys);

}  // namespace layby::server
