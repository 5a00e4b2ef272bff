// Deleting an account (P2.7): its access ends and its personal data goes, also from the store's
// files. What the cars did stays, under an id that now stands for nobody.
#pragma once

#include <string>

#include "server/fleet/refusal.h"
#include "server/services.h"

namespace layby::server {

// When it returns, the account, its tokens, messages and kept answers cannot be read any more and
// its cars belong to nobody; purge_erased then takes them out of the files. kNotFound. Any step may
// be the last before a crash: continue_erasures goes on. `by` is for the trail.
Result<void> erase_account(const Services& services, const std::string& id, const std::string& by);

// Goes on with what was begun, then has the store drop what was erased. For a background thread, at
// the start and when services.wake_eraser is called. How many accounts were finished; an error
// where one was not, after all others: that one is tried again by the next call.
Result<std::size_t> continue_erasures(const Services& services);

}  // namespace layby::server
