// BusVehicle in a build without D-Bus (LAYBY_DBUS=OFF): nobody gets one, and nothing is linked.
#include "agent/bus_vehicle.h"

namespace layby::agent {

struct BusVehicle::State {};

BusVehicle::BusVehicle(Vehicle& inner, std::unique_ptr<State> state)
    : inner_(inner), state_(std::move(state)) {}
BusVehicle::~BusVehicle() = default;

Result<std::unique_ptr<BusVehicle>> BusVehicle::open(Vehicle&, const Clock&,
                                                     const std::string& address, Log) {
  return fail(ErrorCode::kUnsupported, "D-Bus ({}): this build is without it", address);
}

bool BusVehicle::take_check_wanted() {
  return false;
}

const Facts& BusVehicle::facts() {
  return inner_.facts();
}

int BusVehicle::descriptor() const {
  return inner_.descriptor();
}

Result<void> BusVehicle::show(const Screen& screen) {
  return inner_.show(screen);
}

}  // namespace layby::agent
