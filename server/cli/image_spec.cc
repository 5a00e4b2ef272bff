#include "server/cli/image_spec.h"

#include <algorithm>
#include <array>

#include "crypto/digest.h"
#include "manifest/json_value.h"
#include "manifest/region_image.h"

namespace layby::cli {
namespace {

constexpr std::uint64_t kSpecBytesMax = kMiB;

constexpr std::array<std::string_view, 13> kSpecFields = {"kind",
                                                          "region",
                                                          "id",
                                                          "path",
                                                          "version",
                                                          "hardware",
                                                          "release_counter",
                                                          "duration_seconds",
                                                          "battery_percent_min",
                                                          "network",
                                                          "conditions",
                                                          "notes",
                                                          "slot"};

Result<std::string> optional_text(const Json& object, std::string_view key) {
  if (manifest::find_field(object, key) == nullptr) return std::string();
  return manifest::text_field(object, key);
}

Result<std::uint64_t> optional_uint(const Json& object, std::string_view key) {
  if (manifest::find_field(object, key) == nullptr) return 0;
  return manifest::uint_field(object, key);
}

Result<std::vector<std::string>> texts_of(const Json& object, std::string_view key) {
  std::vector<std::string> out;
  for (const Json& value : *TRY(manifest::array_field(object, key))) {
    if (!value.is_string()) return fail(ErrorCode::kBadFormat, "{}: not all texts", key);
    out.push_back(*value.get_ptr<const std::string*>());
  }
  return out;
}

Result<ImageSpec> spec_from(const Json& object, const std::string& directory) {
  if (!object.is_object()) return fail(ErrorCode::kBadFormat, "an image must be an object");
  for (const auto& [key, value] : object.items())
    if (std::find(kSpecFields.begin(), kSpecFields.end(), key) == kSpecFields.end())
      return fail(ErrorCode::kBadFormat, "unknown field {}", key);
  ImageSpec spec;
  spec.kind = TRY(manifest::text_field(object, "kind"));
  spec.id = TRY(optional_text(object, spec.kind == "map" ? "region" : "id"));
  spec.path = TRY(manifest::text_field(object, "path"));
  if (!spec.path.starts_with('/')) spec.path = directory + "/" + spec.path;
  spec.version = TRY(manifest::text_field(object, "version"));
  spec.hardware = TRY(texts_of(object, "hardware"));
  spec.release_counter = TRY(manifest::uint_field(object, "release_counter"));
  spec.duration_seconds = TRY(optional_uint(object, "duration_seconds"));
  spec.battery_percent_min = TRY(optional_uint(object, "battery_percent_min"));
  spec.network = TRY(optional_text(object, "network"));
  spec.slot = TRY(optional_text(object, "slot"));
  if (const Json* notes = manifest::find_field(object, "notes"))
    spec.notes = TRY_CONTEXT(manifest::read_notes(*notes), "notes");
  if (manifest::find_field(object, "conditions") != nullptr)
    for (const Json& condition : *TRY(manifest::array_field(object, "conditions")))
      spec.conditions.push_back(TRY(manifest::read_package_condition(condition)));
  return spec;
}

// Read as if it stood in the file, so that it has the same bounds.
Result<std::vector<manifest::PackageCondition>> conditions_of(const ImageSpec& spec) {
  std::vector<manifest::PackageCondition> conditions = spec.conditions;
  if (spec.condition.empty()) return conditions;
  Json texts = Json::object();
  for (const std::string& text : spec.condition_texts) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos)
      return fail(ErrorCode::kInvalidArgument, "--condition-text {}: LANGUAGE=TEXT is wanted",
                  text);
    texts[text.substr(0, equals)] = text.substr(equals + 1);
  }
  conditions.push_back(TRY(
      manifest::read_package_condition(Json{{"if", spec.condition}, {"texts", std::move(texts)}})));
  return conditions;
}

Result<manifest::ImageName> name_of(const ImageSpec& spec, manifest::ImageKind kind) {
  switch (kind) {
    case manifest::ImageKind::kMap:
      return manifest::ImageName::parse(fmt::format("maps/{}/{}.tar", spec.id, spec.version));
    case manifest::ImageKind::kFunction:
      return manifest::ImageName::parse(fmt::format("functions/{}/{}.pkg", spec.id, spec.version));
    case manifest::ImageKind::kSoftware:
      if (spec.hardware.size() != 1)
        return fail(ErrorCode::kInvalidArgument,
                    "a software image is for exactly one hardware id, not {}",
                    spec.hardware.size());
      return manifest::ImageName::parse(
          fmt::format("software/{}/{}.img", spec.hardware.front(), spec.version));
  }
  return fail(ErrorCode::kInvalidArgument, "unknown kind {}", spec.kind);
}

Result<std::unique_ptr<ReadAt>> open_bytes(Disk& disk, const ImageSpec& spec,
                                           manifest::ImageKind kind) {
  if (kind != manifest::ImageKind::kMap) return disk.open_read(spec.path);
  std::unique_ptr<ReadAt> view = TRY(manifest::RegionImage::open(disk, spec.path));
  return view;
}

}  // namespace

Result<std::vector<ImageSpec>> read_image_specs(Disk& disk, const std::string& file) {
  const Bytes bytes = TRY(read_file(disk, file, kSpecBytesMax));
  const Json document =
      TRY_CONTEXT(manifest::parse_strict(bytes, {.bytes_max = kSpecBytesMax}), file);
  std::vector<ImageSpec> specs;
  for (const Json& image : *TRY_CONTEXT(manifest::array_field(document, "images"), file))
    specs.push_back(TRY_CONTEXT(spec_from(image, parent_dir(file)),
                                fmt::format("{}: image {}", file, specs.size() + 1)));
  return specs;
}

Result<PreparedImage> prepare_image(Disk& disk, const ImageSpec& spec,
                                    const std::optional<manifest::PublicKey>& licence_key) {
  const auto kind = TRY(manifest::parse_image_kind(spec.kind));
  const auto name = TRY(name_of(spec, kind));
  if (spec.release_counter == 0)
    return fail(ErrorCode::kInvalidArgument, "{}: the release counter begins at 1", name.text());
  if (spec.hardware.empty())
    return fail(ErrorCode::kInvalidArgument, "{}: at least one hardware id", name.text());
  if (kind == manifest::ImageKind::kFunction && !licence_key)
    return fail(ErrorCode::kInvalidArgument, "{}: a function needs --licence-key", name.text());

  std::unique_ptr<ReadAt> bytes = TRY_CONTEXT(open_bytes(disk, spec, kind), spec.path);
  const auto digests = TRY(crypto::hash_all(*bytes, crypto::Hasher::With::kSha256AndSha512));
  std::vector<manifest::HardwareId> hardware;
  for (const std::string& id : spec.hardware)
    hardware.push_back(TRY(manifest::HardwareId::parse(id)));
  auto conditions = TRY_CONTEXT(conditions_of(spec), name.text());
  manifest::Slot slot = name.slot();
  if (!spec.slot.empty()) slot = TRY(manifest::Slot::parse(spec.slot));
  if (!name.may_go_to(slot))
    return fail(ErrorCode::kInvalidArgument, "{} does not go to the slot {}", name.text(),
                slot.text());
  manifest::ImageFacts facts{.kind = kind,
                             .slot = std::move(slot),
                             .version = spec.version,
                             .release_counter = spec.release_counter,
                             .duration_seconds = spec.duration_seconds,
                             .battery_percent_min = spec.battery_percent_min,
                             .conditions = std::move(conditions),
                             .notes = spec.notes,
                             .licence_key = {}};
  if (kind == manifest::ImageKind::kFunction) facts.licence_key = licence_key;
  if (!spec.network.empty()) facts.network = TRY(manifest::parse_network_need(spec.network));
  if (auto readable = manifest::check_conditions(facts); !readable)
    return fail(std::move(readable.error()).with_context(name.text()));
  return PreparedImage{.entry = {.name = name,
                                 .length = digests.length,
                                 .sha256 = digests.sha256,
                                 .sha512 = digests.sha512,
                                 .hardware_ids = std::move(hardware),
                                 .facts = std::move(facts),
                                 .must_match = {}},
                       .bytes = std::move(bytes)};
}

}  // namespace layby::cli
