// What must hold of the images that the next targets name before they are published.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "server/release/image.h"
#include "server/services.h"
#include "server/store/change.h"

namespace layby::server {

struct CheckedImages {
  std::vector<Image> fresh;            // never named before; by slot and rising counter
  std::vector<Image> changed_listing;  // withdrawn by this publication, or listed again
};

// Digests of files in the payload store that were read and hashed in this call.
using KnownBytes = std::map<crypto::Digest256, crypto::Hasher::Digests>;

// `listed` is what the repository will stand behind, `named` all that is named by what is published
// now. See publish_targets for the rules and the errors. Reads through `change` and writes nothing.
Result<CheckedImages> check_images(const Services& services, Change& change,
                                   const std::set<std::string>& named,
                                   const std::map<std::string, manifest::Target>& listed,
                                   manifest::Version version, KnownBytes& known);

// Its bytes or facts are not those that were published under this name before.
Result<void> check_unchanged(const std::optional<Image>& before, const std::string& name,
                             const manifest::Target& target);

// The record of a new image, and its place among the releases of its slot.
void put_fresh_image(Change& change, const Image& image);

// Up to `limit` earlier releases for each hardware of the image, nearest first, each content once.
Result<std::vector<Image>> delta_bases_of(Change& change, const Image& image, std::size_t limit);

}  // namespace layby::server
