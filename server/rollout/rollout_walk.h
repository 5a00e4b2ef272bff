// Cars that are known already when a rollout begins. A car sends a manifest only when it has news,
// so one that has none would not come; once, when a rollout is started, the server goes through the
// cars it knows. The rule is the same (rollout.h), and so a car can be met twice without harm.
// Functions that come with a next licence key go to the cars that have them the same way.
#pragma once

#include "server/rollout/rollout.h"
#include "server/services.h"

namespace layby::server {

// Has the walk for this rollout begin, or begin again, when the change is committed.
void begin_walk(Change& change, std::string_view rollout);

// The same for cars with functions whose licence key is exchanged (shop/order_licence.h). At the
// start, where a next key waits. For an image whose payload has come: where it is a function that
// names the next key, or another one than the release before.
Result<void> begin_licence_key_walk(const Services& services);
Result<void> begin_licence_key_walk_for(const Services& services, std::string_view image);

enum class Walks { kDone, kMoreToDo };

// Goes on with all walks that have begun, past at most `cars_max` cars in each; every car is a
// commit of its own, and where it was survives a restart. For the sweep thread.
Result<Walks> continue_walks(const Services& services, std::size_t cars_max);

}  // namespace layby::server
