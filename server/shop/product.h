// The catalogue: products `c/product/<id>` and what they fit (P1.2).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "manifest/json.h"
#include "manifest/names.h"
#include "server/fleet/car.h"
#include "server/fleet/vehicle_state.h"
#include "server/http/problem.h"
#include "server/release/image.h"
#include "server/shop/order.h"
#include "server/shop/term.h"

namespace layby::server {

// `SLOT` or `SLOT>=N`: something installed in the car, with at least this release counter. A
// function counts while its licence lets it run.
struct SlotRule {
  manifest::Slot slot;
  std::uint64_t release_counter_min = 0;
};

// An absent or empty list demands nothing.
struct FitRules {
  std::vector<std::string> models;
  std::optional<std::uint64_t> model_year_min;
  std::optional<std::uint64_t> model_year_max;
  std::vector<std::string> countries;
  std::vector<std::string> hardware;  // all of them fitted
  std::vector<SlotRule> needs;        // all of them
  std::vector<SlotRule> excludes;     // none of them
};

struct Product {
  std::string id;
  manifest::ImageName image;  // of kind function
  Price price;
  Term term;
  FitRules fit;
  std::optional<std::uint64_t> withdrawal_days;  // P1.7; absent: cannot be withdrawn from
  bool renewable = false;                        // fixed terms and subscriptions
  bool protects = false;                         // or tracks the car: P1.12

  manifest::FunctionId function() const;
};

// Checks and reads what an operator sends; kBadFormat.
Result<Product> read_product(std::string_view id, const manifest::Json& json);

std::string product_key(std::string_view id);
// kNotFound.
Result<Product> load_product(Change& change, std::string_view id);

// What a product has to fit.
struct FitFacts {
  const Car& car;
  const VehicleState* state = nullptr;  // null: the car has not spoken yet, nothing is installed
  const Image* image = nullptr;         // null: not published
  const std::vector<Order>& orders;     // of the car
  const std::vector<Product>& beside;   // the products of those that are on their way or active
  bool had_inclusive = false;           // the car has had the function's inclusive period
};

// Every rule that the car does not fulfil; empty where it fits. Pure. What a product needs must be
// installed; what it excludes, or what excludes it, may not even be ordered.
std::vector<Reason> check_fit(const Product& product, const FitFacts& facts);

// The products of orders that are on their way into the car or active in it. One that is in the
// catalogue no more says nothing.
Result<std::vector<Product>> products_beside(const Store& store, const std::vector<Order>& orders);

}  // namespace layby::server
