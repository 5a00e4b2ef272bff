#include "manifest/ecu_image.h"

#include <algorithm>

#include "base/assert.h"
#include "manifest/json_value.h"
#include "manifest/target_search.h"

namespace layby::manifest {
namespace {

Result<void> check_vin(const Targets& director, const Vin& vin) {
  if (director.custom.empty())
    return fail(ErrorCode::kWrongVehicle, "the Director's targets name no car");
  const Json custom =
      TRY(parse_strict(as_bytes(director.custom), {.bytes_max = director.custom.size()}));
  const std::string named = TRY_CONTEXT(text_field(custom, "vin"), "Director");
  if (named == vin.text()) return {};
  return fail(ErrorCode::kWrongVehicle, "the Director's targets are for {}, this is {}", named,
              vin.text());
}

Result<Json> read_custom(const Target& target) {
  return parse_strict(as_bytes(target.custom), {.bytes_max = target.custom.size()});
}

// The Director's entry in the form that the Image repository has: what it says of payloads is the
// primary's business.
Result<ImageEntry> read_entry(const std::string& name, const Target& target, const Json& custom,
                              const HardwareId& hardware) {
  const Json* must_match = TRY(object_field(custom, "mustMatch"));
  const Json own{{"hardwareIds", {hardware.text()}}, {"mustMatch", *must_match}};
  Target as_image = target;
  as_image.custom = TRY(to_wire(own));
  return read_image_entry(name, as_image);
}

Result<void> check_agreement(const std::string& name, const Target& target,
                             const ImageEntry& claimed, const TrustedRepository& image) {
  const HardwareId& hardware = claimed.hardware_ids.front();
  const Target* at = TRY(find_image(image, name, hardware));
  const ImageEntry entry = TRY(read_image_entry(name, *at));
  if (at->length != target.length || at->hashes != target.hashes ||
      entry.must_match != claimed.must_match)
    return fail(ErrorCode::kRepositoriesDisagree,
                "{}: Director and Image repository do not say the same", name);
  if (std::ranges::find(entry.hardware_ids, hardware) == entry.hardware_ids.end())
    return fail(ErrorCode::kWrongEcu, "{}: not made for the hardware {}", name, hardware.text());
  return {};
}

// Of the entries that name this ECU.
Result<ImageEntry> read_own(const std::string& name, const Target& target, const Json& custom,
                            const Json& claim, const TrustedRepository* image,
                            const EcuFacts& ecu) {
  const std::string hardware = TRY(text_field(claim, "hardwareId"));
  if (hardware != ecu.hardware.text())
    return fail(ErrorCode::kWrongEcu, "{}: the ECU {} is {}, not {}", name, ecu.serial.text(),
                ecu.hardware.text(), hardware);
  const std::string slot = TRY(text_field(*TRY(object_field(custom, "mustMatch")), "slot"));
  if (slot != Slot::software(ecu.hardware).text())
    return fail(ErrorCode::kWrongEcu, "{}: {} is no slot of the ECU {}", name, slot,
                ecu.serial.text());
  ImageEntry entry = TRY(read_entry(name, target, custom, ecu.hardware));
  if (image != nullptr) TRY_VOID(check_agreement(name, target, entry, *image));
  if (entry.facts.release_counter < ecu.release_counter)
    return fail(ErrorCode::kImageRollback, "{}: release counter {}, installed is {}", name,
                entry.facts.release_counter, ecu.release_counter);
  return entry;
}

}  // namespace

Result<std::optional<std::string>> own_image_name(const Targets& director, const Vin& vin,
                                                  const EcuSerial& serial) {
  TRY_VOID(check_vin(director, vin));
  if (director.delegations)
    return fail(ErrorCode::kBadFormat, "the Director's targets delegate, which Uptane forbids");
  std::optional<std::string> found;
  for (const auto& [name, target] : director.targets) {
    const Json custom = TRY_CONTEXT(read_custom(target), name);
    const Json* ecus = TRY_CONTEXT(object_field(custom, "ecuIdentifiers"), name);
    if (find_field(*ecus, serial.text()) == nullptr) continue;
    if (found)
      return fail(ErrorCode::kWrongEcu, "{}: the ECU {} is given two images", name, serial.text());
    found = name;
  }
  return found;
}

Result<std::optional<VerifiedEcuImage>> verify_ecu_image(const Verified<Targets>& director,
                                                         const TrustedRepository* image,
                                                         const EcuFacts& ecu) {
  const auto name = TRY(own_image_name(*director, ecu.vin, ecu.serial));
  if (!name) return std::optional<VerifiedEcuImage>{};
  const Target& target = director->targets.at(*name);
  const Json custom = TRY(read_custom(target));
  const Json& claim = custom["ecuIdentifiers"][ecu.serial.text()];
  return VerifiedEcuImage(TRY(read_own(*name, target, custom, claim, image, ecu)));
}

}  // namespace layby::manifest
