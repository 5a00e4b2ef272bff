// What must hold of the images in the next targets.json before it is published.
#pragma once

#include <map>
#include <vector>

#include "server/release/image.h"
#include "server/services.h"
#include "server/store/change.h"

namespace layby::server {

struct CheckedImages {
  std::vector<Image> fresh;            // never named before; by slot and rising counter
  std::vector<Image> changed_listing;  // withdrawn by these targets, or listed again
};

// Digests of files in the payload store that were read and hashed in this call.
using KnownBytes = std::map<crypto::Digest256, crypto::Hasher::Digests>;

// See publish_targets for the rules and the errors. Reads through `change` and writes nothing.
Result<CheckedImages> check_images(const Services& services, Change& change,
                                   const manifest::Targets& present, const manifest::Targets& next,
                                   KnownBytes& known);

// The record of a new image, and its place among the releases of its slot.
void put_fresh_image(Change& change, const Image& image);

// Up to `limit` earlier releases for each hardware of the image, nearest first, each content once.
Result<std::vector<Image>> delta_bases_of(Change& change, const Image& image, std::size_t limit);

}  // namespace layby::server
