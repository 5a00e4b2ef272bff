// The owner's consent to online software updates (P2.1): who gave it, when, and to which text.
#pragma once

#include <optional>
#include <string>

#include "base/clock.h"
#include "manifest/json.h"
#include "manifest/vin.h"
#include "server/fleet/car_affairs.h"
#include "server/store/change.h"

namespace layby::server {

struct Consent {
  enum class State { kGiven, kWithdrawn };
  State state = State::kGiven;
  std::string language;      // of the text that was shown, "de"
  std::string text_version;  // of that text
  std::string who;           // account
  UnixSeconds at = 0;        // given or withdrawn
};

Result<std::optional<Consent>> load_software_consent(Change& change, const manifest::Vin& vin);
Result<std::optional<Consent>> load_software_consent(const Store& store, const manifest::Vin& vin);

// Puts it with its audit record; what follows from it for orders is the caller's (intake/).
void save_software_consent(CarAffairs& affairs, const Consent& consent);

// The owner leaves: the consent was this person's and holds for nobody else. Erases it; the trail
// keeps that there was one.
Result<void> end_software_consent(CarAffairs& affairs);
// Where it lies.
std::string software_consent_key(const manifest::Vin& vin);

manifest::Json consent_json(const std::optional<Consent>& consent);

}  // namespace layby::server
