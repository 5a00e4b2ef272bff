// A car of several ECUs in its small fleet.
#pragma once

#include <catch2/catch.hpp>

#include "server/director/director_plan.h"
#include "tests/server/shop/shop_world.h"

namespace layby::tests {

inline const std::string kCar = "/v1/cars/" + std::string(kVin);
inline const std::string kCamera = "software/cam-2/2.img";
inline const std::string kRadar = "software/rad-1/2.img";

// A primary, two cameras of one kind and a radar; all of them run their first software.
struct EcuFleet : ShopWorld {
  EcuFleet() : car(*this, kVin) {
    car.secondaries = {{"CAM-1", "cam-2"}, {"CAM-2", "cam-2"}, {"RAD-1", "rad-1"}};
    register_car(car);
    car.pair(owner_token);
    car.install("software/hu-4/1.img", 1);
    car.install_secondary("software/cam-2/1.img", 1);
    car.install_secondary("software/rad-1/1.img", 1);
    REQUIRE(car.report().status == 200);
    REQUIRE(put(kCar + "/consents/software-updates", owner_token,
                {{"language", "de"}, {"text_version", "2026-10"}})
                .status == 200);
    publish_for_secondary(kCamera, 2);
    publish_for_secondary(kRadar, 2);
  }
  Answered roll_out(const manifest::Json& images) {
    return put("/v1/rollouts/eyes", operator_token, {{"images", images}, {"state", "running"}});
  }
  std::vector<std::string> orders() {
    std::vector<std::string> ids;
    const Answered all = get(kCar + "/orders", owner_token);
    for (const manifest::Json& order : all.body["orders"]) ids.push_back(order["id"]);
    return ids;
  }
  manifest::Json ecu(const std::string& serial) {
    const Answered shown = get(kCar, operator_token);
    for (const manifest::Json& ecu : shown.body["ecus"])
      if (ecu["serial"] == serial) return ecu;
    return nullptr;
  }
  Answered authorise(const std::string& ecu, const manifest::Json& body) {
    return post(kCar + "/ecus/" + ecu + "/replacement", partner_token, body);
  }
  Answered name_ecus() {
    return call(server::Method::kPost, "/v1/vehicle/ecus", "", {{"ecus", car.named_ecus()}}, "",
                &car.certificate);
  }
  void exchange_radar(const std::string& serial, const std::string& hardware,
                      manifest::Json body = manifest::Json::object()) {
    body["serial"] = serial;
    REQUIRE(authorise(car.secondaries[2].serial, body).status == 201);
    car.secondaries[2] = SimEcu(serial, hardware);
    REQUIRE(name_ecus().status == 200);
  }
  std::size_t records(const std::string& what) {
    std::size_t count = 0;
    const Answered trail = get(kCar + "/audit?limit=1000", operator_token);
    for (const manifest::Json& record : trail.body["records"])
      count += record["what"] == what ? 1 : 0;
    return count;
  }
  server::DirectorPlan plan() {
    server::Change change(services.store);
    const auto vin = manifest::Vin::parse(kVin);
    const auto stored = server::load_car(services.store, *vin);
    REQUIRE(stored);
    auto made = server::plan_for(change, *stored);
    REQUIRE(made);
    return std::move(*made);
  }
  SimCar car;
};

}  // namespace layby::tests
