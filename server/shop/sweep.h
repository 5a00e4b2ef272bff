// What time brings about: orders whose 28 days are over (P1.6), orders whose payload has come,
// records that have had their time, cars that have
// fallen silent. Plain functions: a thread of `laybyd` calls them, tests do too.
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string_view>

#include "server/services.h"

namespace layby::server {

// Does all that is due at `now`, each in a commit of its own, so that being killed in between loses
// nothing. Finds it by range scans: what is not due costs nothing. Returns when the next deadline
// is, or nothing if there is none; `now` where it broke off before the end, because of `stop` or
// after `done_max`, so that what else the caller has to do gets its turn.
Result<std::optional<UnixSeconds>> sweep_due(const Services& services, UnixSeconds now,
                                             std::size_t done_max = SIZE_MAX,
                                             const std::stop_token& stop = {});

// The orders that waited for this image's payload: to be called when it has been published
// (Services::image_available). Those whose other images are still missing go on waiting.
Result<void> stage_waiting_orders(const Services& services, std::string_view image);

// The same for all images: at start, for what was published while nobody listened.
Result<void> stage_all_waiting_orders(const Services& services);

}  // namespace layby::server
