// `layby image publish` and `layby image list`: images into the Image repository, signed here with
// the offline targets key. The server never sees that key.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/cli/image_spec.h"
#include "server/cli/session.h"

namespace layby::cli {

struct PublishOptions {
  std::vector<ImageSpec> images;
  std::string image_root_file;  // the root that the repository is believed by
  std::string targets_key_file;
  std::string role;              // delegated one that signs; empty: the top-level targets
  std::string passphrase_file;   // empty: the key has an empty passphrase
  std::string licence_key_file;  // functions
  std::uint64_t expires_days = 365;
  std::string profile = "small";  // of the deltas to these images: small or fast
};

// Prepares every image, fetches the current targets and verifies them with the engine that cars
// use, uploads what the server lacks, and puts the next targets.json: one signature for all. An
// image that is published already with the same content is skipped; under its name with other
// content: kAlreadyExists before anything is uploaded.
Result<void> publish_images(Session& session, const PublishOptions& options);

// What the Image repository holds, verified.
Result<void> list_images(Session& session, const std::string& image_root_file);

}  // namespace layby::cli
