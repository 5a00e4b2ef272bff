// The keys of a car's ECUs, and how far their reports have counted. What a car last said
// (vehicle_state.h) is forgotten when it is paired anew or a part is exchanged; up to which counter
// reports under a key were taken is not, or an old one could be brought again (P5.1).
//
// `v/<VIN>/ecu-key/<public key>`: a key that an ECU of the car had, with its last counter.
#pragma once

#include <vector>

#include "server/fleet/car_affairs.h"
#include "server/fleet/named_ecus.h"

namespace layby::server {

// Why the keys of `next` are not taken; nothing where they are. An ECU that has had another key, or
// none, shows by a report of its own that it holds it: signed with it, about itself, above what has
// counted under this key, and not from the future. Its counter is noted in `next`, so that this
// report counts once. The primary shows its key by its first manifest, and by nothing before.
Result<std::vector<Reason>> check_proofs(CarAffairs& affairs, std::vector<CarEcu>& next,
                                         const NamedEcus& named,
                                         const manifest::EcuSerial& primary);

// `next`, all with a key, are the car's ECUs from now on; whoever calls saves the car, and calls
// before what it last said is forgotten. Where serial and key stay, reports count on from where
// they were. Another key begins above the counter in `next`, and above what it has counted if it
// was the car's before.
Result<void> change_keys(CarAffairs& affairs, std::vector<CarEcu> next);

}  // namespace layby::server
