#include "manifest/image_entry.h"

#include <algorithm>

#include "base/assert.h"
#include "base/limits.h"
#include "manifest/condition_expression.h"
#include "manifest/json_value.h"

namespace layby::manifest {
namespace {

constexpr std::size_t kConditionsMax = 32;
constexpr std::size_t kConditionTextsMax = 16;
constexpr std::size_t kConditionTextBytesMax = 200;  // two lines of a head unit
constexpr std::size_t kNotesBytesMax = 1000;         // what somebody reads in a parked car
constexpr std::size_t kVersionTextMax = 64;
constexpr std::uint64_t kDurationSecondsMax = 24 * 60 * 60;

bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7f;
}

bool is_language(const std::string& code) {
  return code.size() == 2 && std::ranges::all_of(code, [](char c) { return c >= 'a' && c <= 'z'; });
}

// By language; `texts` must be an object.
Result<std::map<std::string, std::string>> read_texts(const Json* texts, std::size_t bytes_max) {
  if (texts->size() > kConditionTextsMax || find_field(*texts, "en") == nullptr)
    return fail(ErrorCode::kBadFormat, "\"texts\" has 1 to {} languages, \"en\" among them",
                kConditionTextsMax);
  std::map<std::string, std::string> out;
  for (auto at = texts->begin(); at != texts->end(); ++at) {
    std::string text = TRY(text_field(*texts, at.key()));
    if (!is_language(at.key()) || text.empty() || text.size() > bytes_max ||
        std::ranges::any_of(text, is_control))
      return fail(ErrorCode::kBadFormat,
                  "\"texts\": languages of two letters, texts of 1 to {} bytes in one line",
                  bytes_max);
    out.emplace(at.key(), std::move(text));
  }
  return out;
}

Result<std::vector<PackageCondition>> read_conditions(const Json& must_match) {
  const Json* array = TRY(array_field(must_match, "conditions"));
  if (array->size() > kConditionsMax)
    return fail(ErrorCode::kBadFormat, "more than {} conditions", kConditionsMax);
  std::vector<PackageCondition> conditions;
  for (const Json& condition : *array)
    conditions.push_back(TRY_CONTEXT(read_package_condition(condition), "conditions"));
  return conditions;
}

Result<ImageFacts> read_facts(const Json& must_match) {
  const ImageKind kind = TRY(parse_image_kind(TRY(text_field(must_match, "kind"))));
  Slot slot = TRY(Slot::parse(TRY(text_field(must_match, "slot"))));
  ImageFacts facts{.kind = kind,
                   .slot = std::move(slot),
                   .version = {},
                   .conditions = {},
                   .licence_key = std::nullopt};
  facts.version = TRY(text_field(must_match, "version"));
  facts.release_counter = TRY(uint_field(must_match, "releaseCounter"));
  facts.duration_seconds = TRY(uint_field(must_match, "durationSeconds", kDurationSecondsMax));
  facts.battery_percent_min = TRY(uint_field(must_match, "batteryPercentMin", 100));
  // A word of the future is obeyed as the strictest: a car that waits for Wi-Fi does no harm.
  if (find_field(must_match, "network") != nullptr)
    facts.network = parse_network_need(TRY(text_field(must_match, "network")))
                        .value_or(NetworkNeed::kUnmetered);
  facts.conditions = TRY(read_conditions(must_match));
  if (find_field(must_match, "notes") != nullptr)
    facts.notes = TRY_CONTEXT(read_notes(*TRY(object_field(must_match, "notes"))), "notes");
  if (facts.version.empty() || facts.version.size() > kVersionTextMax)
    return fail(ErrorCode::kBadFormat, "\"version\" has 1 to {} characters", kVersionTextMax);
  // It is shown in cars and consoles.
  if (std::ranges::any_of(facts.version, is_control))
    return fail(ErrorCode::kBadFormat, "\"version\" holds control characters");
  if (const Json* key = find_field(must_match, "licenceKey"))
    facts.licence_key = TRY_CONTEXT(PublicKey::from_json(*key), "licenceKey");
  return facts;
}

Result<std::vector<HardwareId>> read_hardware_ids(const Json& custom) {
  const Json* array = TRY(array_field(custom, "hardwareIds"));
  std::vector<HardwareId> ids;
  for (const Json& id : *array) {
    if (!id.is_string()) return fail(ErrorCode::kBadFormat, "\"hardwareIds\": a text each");
    ids.push_back(TRY(HardwareId::parse(id.get_ref<const std::string&>())));
  }
  if (ids.empty()) return fail(ErrorCode::kBadFormat, "\"hardwareIds\" is empty");
  return ids;
}

Result<void> check_consistent(const ImageEntry& entry) {
  const ImageFacts& facts = entry.facts;
  if (facts.kind != entry.name.kind() || !entry.name.may_go_to(facts.slot))
    return fail(ErrorCode::kBadFormat, "kind {} and slot {} do not fit the name",
                to_string(facts.kind), facts.slot.text());
  if (facts.licence_key.has_value() != (facts.kind == ImageKind::kFunction))
    return fail(ErrorCode::kBadFormat, "\"licenceKey\" belongs to functions, and to each of them");
  const bool names_hardware =
      facts.kind != ImageKind::kSoftware ||
      std::any_of(entry.hardware_ids.begin(), entry.hardware_ids.end(),
                  [&](const HardwareId& id) { return id.text() == entry.name.owner(); });
  if (!names_hardware)
    return fail(ErrorCode::kBadFormat, "\"hardwareIds\" lacks the hardware of the name");
  if (facts.slot.is_secondary() && entry.hardware_ids.size() != 1)
    return fail(ErrorCode::kBadFormat, "the slot {} is that of one hardware", facts.slot.text());
  return {};
}

Result<ImageEntry> read_entry(const std::string& name, const Target& target) {
  const Json custom =
      TRY(parse_strict(as_bytes(target.custom), {.bytes_max = target.custom.size()}));
  const Json* must_match = TRY(object_field(custom, "mustMatch"));
  if (!target.hashes.sha256) return fail(ErrorCode::kBadFormat, "no sha256");
  if (target.length > kImageBytesMax)
    return fail(ErrorCode::kTooLarge, "{} bytes, an image has at most {}", target.length,
                kImageBytesMax);
  ImageName image_name = TRY(ImageName::parse(name));
  auto hardware_ids = TRY(read_hardware_ids(custom));
  ImageFacts facts = TRY(read_facts(*must_match));
  std::string canonical = TRY(to_canonical(*must_match));
  ImageEntry entry{.name = std::move(image_name),
                   .length = target.length,
                   .sha256 = *target.hashes.sha256,
                   .sha512 = target.hashes.sha512,
                   .hardware_ids = std::move(hardware_ids),
                   .facts = std::move(facts),
                   .must_match = std::move(canonical)};
  TRY_VOID(check_consistent(entry));
  return entry;
}

Json must_match_json(const ImageFacts& facts) {
  Json object{{"kind", to_string(facts.kind)},
              {"slot", facts.slot.text()},
              {"version", facts.version},
              {"releaseCounter", facts.release_counter},
              {"durationSeconds", facts.duration_seconds},
              {"batteryPercentMin", facts.battery_percent_min},
              {"conditions", Json::array()}};
  for (const PackageCondition& condition : facts.conditions)
    object["conditions"].push_back(
        Json{{"if", condition.expression}, {"texts", Json(condition.texts)}});
  if (!facts.notes.empty()) object["notes"] = Json(facts.notes);
  if (facts.network != NetworkNeed::kAny) object["network"] = to_string(facts.network);
  if (facts.licence_key) object["licenceKey"] = facts.licence_key->to_json();
  return object;
}

}  // namespace

std::string_view to_string(NetworkNeed need) {
  switch (need) {
    case NetworkNeed::kAny: return "any";
    case NetworkNeed::kNotRoaming: return "not-roaming";
    case NetworkNeed::kUnmetered: return "unmetered";
  }
  LAYBY_ASSERT(false);
}

Result<NetworkNeed> parse_network_need(std::string_view text) {
  for (const auto need : {NetworkNeed::kAny, NetworkNeed::kNotRoaming, NetworkNeed::kUnmetered})
    if (text == to_string(need)) return need;
  return fail(ErrorCode::kInvalidArgument, "network {}: any, not-roaming or unmetered", text);
}

Result<PackageCondition> read_package_condition(const Json& object) {
  if (!object.is_object()) return fail(ErrorCode::kBadFormat, "a condition is no object");
  PackageCondition condition;
  condition.expression = TRY(text_field(object, "if"));
  condition.texts = TRY(read_texts(TRY(object_field(object, "texts")), kConditionTextBytesMax));
  if (condition.expression.size() > kExpressionBytesMax)
    return fail(ErrorCode::kBadFormat, "a condition of {} bytes, it has at most {}",
                condition.expression.size(), kExpressionBytesMax);
  // What a newer build means by it is not known here.
  if (object.size() > 2) condition.expression.clear();
  return condition;
}

Result<void> check_conditions(const ImageFacts& facts) {
  for (const PackageCondition& condition : facts.conditions) {
    const auto parsed = ConditionExpression::parse(condition.expression);
    if (!parsed)
      return fail(ErrorCode::kUnsupported, "the condition \"{}\": {}", condition.expression,
                  parsed.error().message());
  }
  return {};
}

Result<ImageEntry> read_image_entry(const std::string& name, const Target& target) {
  auto entry = read_entry(name, target);
  // A bad name is bad metadata here, not a caller's bad argument.
  if (!entry && entry.error().code() == ErrorCode::kInvalidArgument)
    return fail(ErrorCode::kBadFormat, "{}: {}", name, entry.error().message());
  if (!entry) return fail(std::move(entry.error()).with_context(name));
  return entry;
}

Target make_image_target(const ImageEntry& entry) {
  Json ids = Json::array();
  for (const HardwareId& id : entry.hardware_ids) ids.push_back(id.text());
  const Json custom{{"hardwareIds", std::move(ids)}, {"mustMatch", must_match_json(entry.facts)}};
  auto text = to_wire(custom);
  LAYBY_ASSERT(text);
  Target target{entry.length, {entry.sha256, entry.sha512}, std::move(*text)};
  LAYBY_ASSERT(read_image_entry(entry.name.text(), target));
  return target;
}

Result<std::map<std::string, std::string>> read_notes(const Json& object) {
  if (!object.is_object()) return fail(ErrorCode::kBadFormat, "notes by language are wanted");
  return read_texts(&object, kNotesBytesMax);
}

std::string encode_must_match(const ImageFacts& facts) {
  auto text = to_canonical(must_match_json(facts));
  LAYBY_ASSERT(text);
  return std::move(*text);
}

}  // namespace layby::manifest
