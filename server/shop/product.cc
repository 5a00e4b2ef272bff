#include "server/shop/product.h"

#include <algorithm>
#include <charconv>

#include "base/assert.h"
#include "manifest/json_value.h"
#include "server/fleet/json_answer.h"

namespace layby::server {

using manifest::Json;

namespace {

constexpr std::uint64_t kPriceCentsMax = 100'000'000;
constexpr std::uint64_t kWithdrawalDaysMin = 14;
constexpr std::uint64_t kWithdrawalDaysMax = 365;
constexpr std::uint64_t kYearMax = 2200;
constexpr std::size_t kListMax = 200;
constexpr std::size_t kTextBytesMax = 4000;

Result<SlotRule> parse_slot_rule(const std::string& text) {
  const std::size_t at = text.find(">=");
  auto slot = TRY(manifest::Slot::parse(std::string_view(text).substr(0, at)));
  SlotRule rule{.slot = std::move(slot), .release_counter_min = 0};
  if (at == std::string::npos) return rule;
  const char* begin = text.data() + at + 2;
  const char* end = text.data() + text.size();
  const auto [read, error] = std::from_chars(begin, end, rule.release_counter_min);
  if (error != std::errc{} || read != end)
    return fail(ErrorCode::kBadFormat, "\"{}\": SLOT or SLOT>=NUMBER", text);
  return rule;
}

Result<std::vector<SlotRule>> slot_rules(const Json& fit, std::string_view key) {
  std::vector<SlotRule> rules;
  for (const std::string& text : TRY(texts_field(fit, key, kListMax)))
    rules.push_back(TRY_CONTEXT(parse_slot_rule(text), key));
  return rules;
}

Result<std::optional<std::uint64_t>> optional_year(const Json& fit, std::string_view key) {
  if (!manifest::find_field(fit, key)) return std::nullopt;
  return TRY(manifest::uint_field(fit, key, kYearMax));
}

Result<FitRules> read_fit(const Json& fit) {
  TRY_VOID(check_fields(fit, {"models", "model_year_min", "model_year_max", "countries", "hardware",
                              "needs", "excludes"}));
  auto models = TRY(texts_field(fit, "models", kListMax));
  auto model_year_min = TRY(optional_year(fit, "model_year_min"));
  auto model_year_max = TRY(optional_year(fit, "model_year_max"));
  auto countries = TRY(texts_field(fit, "countries", kListMax));
  auto hardware = TRY(texts_field(fit, "hardware", kListMax));
  auto needs = TRY(slot_rules(fit, "needs"));
  auto excludes = TRY(slot_rules(fit, "excludes"));
  return FitRules{.models = std::move(models),
                  .model_year_min = std::move(model_year_min),
                  .model_year_max = std::move(model_year_max),
                  .countries = std::move(countries),
                  .hardware = std::move(hardware),
                  .needs = std::move(needs),
                  .excludes = std::move(excludes)};
}

// Texts by language: `{"en": "…", "de": "…"}`.
Result<void> check_texts(const Json& json, std::string_view key) {
  for (const auto& [language, text] : TRY(manifest::object_field(json, key))->items()) {
    const auto* value = text.get_ptr<const std::string*>();
    if (language.size() != 2 || value == nullptr || value->size() > kTextBytesMax)
      return fail(ErrorCode::kBadFormat, "\"{}\": texts by language of two letters", key);
  }
  return {};
}

Result<Price> read_price(const Json& json, const Term& term) {
  auto cents = TRY(manifest::uint_field(json, "price_cents", kPriceCentsMax));
  Price price{.cents = std::move(cents), .currency = {}};
  if (price.cents > 0 && term.kind == Term::Kind::kInclusive)
    return fail(ErrorCode::kBadFormat, "an inclusive period costs nothing: price_cents is 0");
  if (price.cents == 0 && !manifest::find_field(json, "currency")) return price;
  price.currency = TRY(manifest::text_field(json, "currency"));
  const auto is_capital = [](char c) { return c >= 'A' && c <= 'Z'; };
  if (price.currency.size() != 3 ||
      !std::all_of(price.currency.begin(), price.currency.end(), is_capital))
    return fail(ErrorCode::kBadFormat, "\"currency\": three capital letters of ISO 4217");
  return price;
}

bool installed(const SlotRule& rule, const VehicleState* state) {
  if (state == nullptr) return false;
  const auto found = state->installed.find(rule.slot);
  if (found == state->installed.end() || found->second.release_counter < rule.release_counter_min)
    return false;
  if (rule.slot.kind() != manifest::ImageKind::kFunction) return true;
  const Result<manifest::FunctionId> id = manifest::FunctionId::parse(rule.slot.id());
  return id && state->has_active(*id);
}

std::string describe(const SlotRule& rule) {
  return rule.release_counter_min == 0 ? rule.slot.text()
                                       : fmt::format("{} with release {} or later",
                                                     rule.slot.text(), rule.release_counter_min);
}

// Ordered and on its way, or active as far as the server knows.
bool is_bought(const SlotRule& rule, const std::vector<Order>& orders) {
  return std::any_of(orders.begin(), orders.end(), [&](const Order& order) {
    if (!is_coming(order.phase) && order.phase != OrderPhase::kActive) return false;
    return std::any_of(order.images.begin(), order.images.end(), [&](const OrderedImage& image) {
      return order.function && image.slot == rule.slot;
    });
  });
}

bool contains(const std::vector<std::string>& list, const std::string& text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

void check_build(const FitRules& fit, const Car& car, std::vector<Reason>& reasons) {
  if (!fit.models.empty() && !contains(fit.models, car.model))
    reasons.push_back({"model", fmt::format("not for the model {}", car.model)});
  if (fit.model_year_min && car.model_year < *fit.model_year_min)
    reasons.push_back({"model-year", fmt::format("only from model year {} on; the car is of {}",
                                                 *fit.model_year_min, car.model_year)});
  if (fit.model_year_max && car.model_year > *fit.model_year_max)
    reasons.push_back({"model-year", fmt::format("only up to model year {}; the car is of {}",
                                                 *fit.model_year_max, car.model_year)});
  if (!fit.countries.empty() && !contains(fit.countries, car.country))
    reasons.push_back({"country", fmt::format("not sold in {}", car.country)});
  for (const std::string& part : fit.hardware) {
    if (!contains(car.hardware, part))
      reasons.push_back({"hardware", fmt::format("the car has no {}", part)});
  }
}

Result<void> read_withdrawal(const Json& json, Product& product) {
  if (product.term.kind == Term::Kind::kUnlimited) product.withdrawal_days = kWithdrawalDaysMin;
  if (!manifest::find_field(json, "withdrawal_days")) return {};
  const std::uint64_t days = TRY(manifest::uint_field(json, "withdrawal_days", kWithdrawalDaysMax));
  if (days < kWithdrawalDaysMin || product.term.kind == Term::Kind::kInclusive)
    return fail(ErrorCode::kBadFormat,
                "\"withdrawal_days\": at least {}, for products that are paid for",
                kWithdrawalDaysMin);
  product.withdrawal_days = days;
  return {};
}

Result<void> read_switches(const Json& json, Product& product) {
  product.protects = TRY(flag_field(json, "protects")).value_or(false);
  const std::optional<bool> renewable = TRY(flag_field(json, "renewable"));
  if (!renewable) return {};
  const bool fits = product.term.kind == Term::Kind::kFixed ||
                    (product.term.kind == Term::Kind::kSubscription && *renewable);
  if (!fits)
    return fail(ErrorCode::kBadFormat,
                "\"renewable\": a fixed term can be or not, a subscription always is");
  product.renewable = *renewable;
  return {};
}

void check_image(const Product& product, const Car& car, const Image* image,
                 std::vector<Reason>& reasons) {
  if (image == nullptr || image->listing != Listing::kListed) {
    reasons.push_back({"image", fmt::format("{} is not published", product.image.text())});
    return;
  }
  const auto& ids = image->entry.hardware_ids;
  const auto is_for = [&](const CarEcu* ecu) {
    return std::ranges::find(ids, ecu->hardware_id) != ids.end();
  };
  if (std::ranges::none_of(car.ecus_of(image->entry.facts.slot), is_for))
    reasons.push_back({"hardware-id", "not made for any control unit of the car"});
}

}  // namespace

manifest::FunctionId Product::function() const {
  Result<manifest::FunctionId> named = manifest::FunctionId::parse(image.owner());
  LAYBY_ASSERT(named);  // an image name of kind function holds one
  return std::move(*named);
}

Result<Product> read_product(std::string_view id, const Json& json) {
  TRY_VOID(check_fields(json, {"title", "description", "image", "price_cents", "currency", "term",
                               "fit", "withdrawal_days", "renewable", "protects"}));
  TRY_VOID(check_texts(json, "title"));
  if (manifest::find_field(json, "description")) TRY_VOID(check_texts(json, "description"));
  const Json& term_field = *TRY(manifest::object_field(json, "term"));
  const Term term = TRY(read_term(term_field));
  auto plain_id = TRY(manifest::parse_plain_name(id, "product"));
  auto image = TRY(manifest::text_field(json, "image").and_then(manifest::ImageName::parse));
  auto price = TRY(read_price(json, term));
  Product product{
      .id = std::move(plain_id),
      .image = std::move(image),
      .price = std::move(price),
      .term = term,
      .fit = {},
      .withdrawal_days = {},
      .renewable = term.kind == Term::Kind::kFixed || term.kind == Term::Kind::kSubscription,
      .protects = false};
  if (product.image.kind() != manifest::ImageKind::kFunction)
    return fail(ErrorCode::kBadFormat, "\"image\": a product is a function");
  if (manifest::find_field(json, "fit")) {
    const Json& fit = *TRY(manifest::object_field(json, "fit"));
    product.fit = TRY_CONTEXT(read_fit(fit), "fit");
  }
  TRY_VOID(read_withdrawal(json, product));
  TRY_VOID(read_switches(json, product));
  return product;
}

std::string product_key(std::string_view id) {
  return "c/product/" + std::string(id);
}

Result<Product> load_product(Change& change, std::string_view id) {
  const std::optional<std::string> text = TRY(change.get(product_key(id)));
  if (!text) return fail(ErrorCode::kNotFound, "no product {}", id);
  const Json json = TRY(parse_stored(product_key(id), *text));
  return read_product(id, json);
}

std::vector<Reason> check_fit(const Product& product, const FitFacts& facts) {
  std::vector<Reason> reasons;
  check_build(product.fit, facts.car, reasons);
  for (const SlotRule& rule : product.fit.needs) {
    if (!installed(rule, facts.state))
      reasons.push_back({"needs", fmt::format("needs {}", describe(rule))});
  }
  for (const SlotRule& rule : product.fit.excludes) {
    if (installed(rule, facts.state) || is_bought(rule, facts.orders))
      reasons.push_back({"excludes", fmt::format("not together with {}", describe(rule))});
  }
  for (const Product& other : facts.beside) {
    for (const SlotRule& rule : other.fit.excludes) {
      if (rule.slot == product.image.slot())
        reasons.push_back({"excludes", fmt::format("{} excludes it", other.id)});
    }
  }
  if (product.term.kind == Term::Kind::kInclusive && facts.had_inclusive)
    reasons.push_back({"already-had", "the car has had its inclusive period; there is one"});
  check_image(product, facts.car, facts.image, reasons);
  return reasons;
}

Result<std::vector<Product>> products_beside(const Store& store, const std::vector<Order>& orders) {
  std::vector<Product> products;
  for (const Order& order : orders) {
    if (!order.product || (!is_coming(order.phase) && order.phase != OrderPhase::kActive)) continue;
    const std::optional<std::string> text = TRY(store.get(product_key(*order.product)));
    if (!text) continue;
    const Json json = TRY(parse_stored(product_key(*order.product), *text));
    products.push_back(TRY(read_product(*order.product, json)));
  }
  return products;
}

}  // namespace layby::server
