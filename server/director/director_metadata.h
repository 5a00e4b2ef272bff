// The Director: signed metadata of each car.
//
// It is signed when it has changed and kept: a poll with nothing new is one point read. Whoever
// changes what the metadata says deletes `v/<VIN>/director/timestamp` in the same commit; the next
// poll finds it missing and signs. Versions of a car's documents only ever rise. A numbered
// document lives until the second one after it is made, so that a car in the middle of a refresh
// still finds what its timestamp leads to.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "manifest/metadata.h"
#include "manifest/vin.h"
#include "server/director/director_plan.h"
#include "server/release/cached_document.h"
#include "server/services.h"

namespace layby::server {

// Targets and snapshot of a car; timestamps live as long as those of the Image repository.
constexpr UnixSeconds kDirectorLifeSeconds = 28 * kDaySeconds;

// The present timestamp as it lies in the store, if it is there and need not be signed anew: one
// read, no write.
Result<std::optional<CachedDocument>> cached_director_timestamp(const Services& services,
                                                                const manifest::Vin& vin);

// The present timestamp; signs what has changed or must be signed anew. kNotFound for a car that is
// not paired. Any thread, also several at once for one car.
Result<CachedDocument> director_timestamp(const Services& services, const manifest::Vin& vin);

// A numbered document of this car; the root is the same for all. Nothing if there is none.
Result<std::optional<std::string>> director_document(const Store& store, const manifest::Vin& vin,
                                                     manifest::Role role,
                                                     manifest::Version version);

// Orders that the last signed metadata left out, and why.
Result<std::vector<HeldOrder>> held_orders(const Store& store, const manifest::Vin& vin);

}  // namespace layby::server
