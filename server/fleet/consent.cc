#include "server/fleet/consent.h"

#include "base/time_text.h"
#include "manifest/json_value.h"
#include "server/fleet/json_answer.h"

namespace layby::server {

using manifest::Json;

namespace {

Result<std::optional<Consent>> decode(const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  const Json json = TRY(parse_stored("consent", *text));
  auto state = TRY(manifest::text_field(json, "state")) == "given" ? Consent::State::kGiven
                                                                   : Consent::State::kWithdrawn;
  auto language = TRY(manifest::text_field(json, "language"));
  auto text_version = TRY(manifest::text_field(json, "text_version"));
  auto who = TRY(manifest::text_field(json, "who"));
  auto at = TRY(manifest::time_field(json, "at"));
  return Consent{.state = std::move(state),
                 .language = std::move(language),
                 .text_version = std::move(text_version),
                 .who = std::move(who),
                 .at = std::move(at)};
}

}  // namespace

std::string software_consent_key(const manifest::Vin& vin) {
  return car_prefix(vin) + "consent/software-updates";
}

Result<void> end_software_consent(CarAffairs& affairs) {
  const std::string key = software_consent_key(affairs.car().vin);
  if (!TRY(affairs.change().get(key))) return {};
  affairs.change().erase(key);
  affairs.record("consent-ended", "", {{"cause", "owner-changed"}});
  return {};
}

Result<std::optional<Consent>> load_software_consent(Change& change, const manifest::Vin& vin) {
  return decode(TRY(change.get(software_consent_key(vin))));
}

Result<std::optional<Consent>> load_software_consent(const Store& store, const manifest::Vin& vin) {
  return decode(TRY(store.get(software_consent_key(vin))));
}

Json consent_json(const std::optional<Consent>& consent) {
  if (!consent) return {{"state", "none"}};
  return {{"state", consent->state == Consent::State::kGiven ? "given" : "withdrawn"},
          {"language", consent->language},
          {"text_version", consent->text_version},
          {"who", consent->who},
          {"at", format_utc(consent->at)}};
}

void save_software_consent(CarAffairs& affairs, const Consent& consent) {
  const Json json = consent_json(consent);
  affairs.change().put(software_consent_key(affairs.car().vin), to_stored(json));
  affairs.record(consent.state == Consent::State::kGiven ? "consent-given" : "consent-withdrawn",
                 "", json);
}

}  // namespace layby::server
