// What the Image repository says of one image (docs/formats.md, "Image repository").
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crypto/digest.h"
#include "manifest/json.h"
#include "manifest/keys.h"
#include "manifest/metadata.h"
#include "manifest/names.h"

namespace layby::manifest {

// Over which connection an image's payloads may come (P2.3); stricter ones last.
enum class NetworkNeed : std::uint8_t { kAny, kNotRoaming, kUnmetered };
std::string_view to_string(NetworkNeed need);  // "any", "not-roaming", "unmetered"
Result<NetworkNeed> parse_network_need(std::string_view text);

// A condition of the package's own (P4.1), as it is signed.
struct PackageCondition {
  // In the language of condition_expression.h. It may be one that this build cannot read: that is
  // for who installs it to refuse, and for who publishes it.
  std::string expression;
  // What the driver is told while it does not hold, by language ("en", "de"); always with "en".
  std::map<std::string, std::string> texts;
  bool operator==(const PackageCondition&) const = default;
};

// `mustMatch`: what Director and Image repository must say alike, byte for byte.
struct ImageFacts {
  ImageKind kind;
  Slot slot;
  std::string version;  // for people
  std::uint64_t release_counter = 1;
  std::uint64_t duration_seconds = 0;
  std::uint64_t battery_percent_min = 0;
  NetworkNeed network = NetworkNeed::kAny;
  std::vector<PackageCondition> conditions;
  // Release notes, by language ("en", "de"); empty, or with "en" among them.
  std::map<std::string, std::string> notes{};
  std::optional<PublicKey> licence_key;  // functions, and only they
};

struct ImageEntry {
  ImageName name;
  std::uint64_t length;
  crypto::Digest256 sha256;
  std::optional<crypto::Digest512> sha512;
  std::vector<HardwareId> hardware_ids;  // at least one
  ImageFacts facts;
  std::string must_match;  // canonical, as signed
};

// kBadFormat, naming the image: also when name, kind and slot do not fit each other, when a
// function has no licence key or something else has one, when a percentage is none.
Result<ImageEntry> read_image_entry(const std::string& name, const Target& target);

// Every condition can be read by this build; kUnsupported with the first that cannot.
Result<void> check_conditions(const ImageFacts& facts);

// One condition as JSON, as it stands in `mustMatch` and in an operator's list of images:
// {"if":EXPRESSION,"texts":{"en":TEXT,…}}. kBadFormat; a field that this build does not know leaves
// the expression empty, which no build can read.
Result<PackageCondition> read_package_condition(const Json& object);

// Release notes as they stand in `mustMatch`: {"en":TEXT,…}, each of one line. kBadFormat.
Result<std::map<std::string, std::string>> read_notes(const Json& object);

// The target to publish. `must_match` of the entry is ignored and made from the facts.
Target make_image_target(const ImageEntry& entry);

// The facts in canonical JSON.
std::string encode_must_match(const ImageFacts& facts);

}  // namespace layby::manifest
