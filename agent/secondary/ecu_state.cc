#include "agent/secondary/ecu_state.h"

#include <algorithm>
#include <array>

#include "agent/kept_file.h"
#include "agent/secondary/message.h"
#include "base/assert.h"
#include "base/limits.h"
#include "manifest/json_value.h"

namespace layby::secondary {
namespace {

using manifest::Json;

constexpr std::uint64_t kStateBytesMax = 64 * kKiB;
constexpr std::uint64_t kVersion = 1;

constexpr std::array<std::pair<Phase, std::string_view>, 4> kPhases = {{
    {Phase::kIdle, "idle"},
    {Phase::kStaged, "staged"},
    {Phase::kTrial, "trial"},
    {Phase::kPassed, "passed"},
}};

Json image_json(const EcuImage& image) {
  Json json = {{"name", image.name.text()},
               {"sha256", to_hex(image.sha256)},
               {"length", image.length},
               {"releaseCounter", image.release_counter}};
  if (image.sha512) json["sha512"] = to_hex(*image.sha512);
  return json;
}

Result<std::optional<EcuImage>> image_field(const Json& json, std::string_view key) {
  if (manifest::find_field(json, key) == nullptr) return std::optional<EcuImage>{};
  const Json* object = TRY(manifest::object_field(json, key));
  auto name = TRY(manifest::ImageName::parse(TRY(manifest::text_field(*object, "name"))));
  EcuImage image{.name = std::move(name), .sha512 = {}};
  image.sha256 = TRY(manifest::digest_field(*object, "sha256"));
  image.length = TRY(manifest::uint_field(*object, "length"));
  image.release_counter = TRY(manifest::uint_field(*object, "releaseCounter"));
  if (manifest::find_field(*object, "sha512") != nullptr)
    image.sha512 = TRY(array_from_hex<64>(TRY(manifest::text_field(*object, "sha512"))));
  return std::optional<EcuImage>(std::move(image));
}

void put_image(Json& json, const char* key, const std::optional<EcuImage>& image) {
  if (image) json[key] = image_json(*image);
}

Result<Phase> phase_field(const Json& json) {
  const std::string text = TRY(manifest::text_field(json, "phase"));
  const auto phase = phase_from(text);
  if (!phase) return fail(ErrorCode::kBadFormat, "unknown phase {}", text);
  return *phase;
}

Result<void> check_whole(Phase phase, const std::optional<EcuImage>& staged) {
  if ((phase == Phase::kIdle) != staged.has_value()) return {};
  return fail(ErrorCode::kBadFormat, "phase {} does not go with what is staged", to_string(phase));
}

}  // namespace

std::string_view to_string(Phase phase) {
  for (const auto& [one, name] : kPhases)
    if (one == phase) return name;
  LAYBY_ASSERT(false);
}

std::optional<Phase> phase_from(std::string_view name) {
  for (const auto& [phase, text] : kPhases)
    if (text == name) return phase;
  return std::nullopt;
}

Result<void> write_state(Disk& disk, const EcuLayout& layout, const EcuState& state) {
  LAYBY_ASSERT(check_whole(state.phase, state.staged).has_value());
  Json json = {{"version", kVersion},
               {"kept", std::string(1, state.kept)},
               {"phase", to_string(state.phase)},
               {"wasOnTrial", state.was_on_trial},
               {"hasRestarted", state.has_restarted},
               {"wantedUntil", state.wanted_until},
               {"reportCounter", state.report_counter},
               {"time", state.time},
               {"timeKeys", manifest::to_json(state.time_keys)},
               {"attack", state.attack},
               {"attackReported", state.attack_reported},
               {"attackWellSince", state.attack_well_since}};
  put_image(json, "installed", state.installed);
  put_image(json, "staged", state.staged);
  put_image(json, "wanted", state.wanted);
  return agent::write_kept(disk, layout.state(), as_bytes(TRY(manifest::to_wire(json))));
}

Result<EcuState> read_state(Disk& disk, const EcuLayout& layout) {
  const Bytes bytes = TRY(agent::read_kept(disk, layout.state(), kStateBytesMax));
  const Json json =
      TRY_CONTEXT(manifest::parse_strict(bytes, {.bytes_max = kStateBytesMax}), layout.state());
  if (TRY(manifest::uint_field(json, "version")) != kVersion)
    return fail(ErrorCode::kUnsupported, "{}: of another version", layout.state());
  EcuState state;
  const std::string kept = TRY(manifest::text_field(json, "kept"));
  if (kept != "a" && kept != "b") return fail(ErrorCode::kBadFormat, "no slot {}", kept);
  state.kept = kept.front();
  state.phase = TRY(phase_field(json));
  state.installed = TRY(image_field(json, "installed"));
  state.staged = TRY(image_field(json, "staged"));
  state.wanted = TRY(image_field(json, "wanted"));
  TRY_VOID(check_whole(state.phase, state.staged));
  state.wanted_until = static_cast<UnixSeconds>(TRY(manifest::uint_field(json, "wantedUntil")));
  state.was_on_trial = TRY(manifest::bool_field(json, "wasOnTrial"));
  state.has_restarted = TRY(manifest::bool_field(json, "hasRestarted"));
  state.report_counter = TRY(manifest::uint_field(json, "reportCounter"));
  state.time = static_cast<UnixSeconds>(TRY(manifest::uint_field(json, "time")));
  state.time_keys = TRY(manifest::time_keys_field(json, "timeKeys"));
  state.attack = TRY(manifest::text_field(json, "attack"));
  state.attack_reported = TRY(manifest::bool_field(json, "attackReported"));
  state.attack_well_since =
      static_cast<UnixSeconds>(TRY(manifest::uint_field(json, "attackWellSince")));
  return state;
}

Result<Bytes> encode(const EcuStatus& status) {
  Json json = {{"ecu", status.serial.text()},      {"hardware", status.hardware.text()},
               {"key", to_hex(status.key)},        {"verification", to_string(status.verification)},
               {"phase", to_string(status.phase)}, {"attack", status.attack},
               {"wordHolds", status.word_holds}};
  put_image(json, "installed", status.installed);
  put_image(json, "staged", status.staged);
  put_image(json, "wanted", status.wanted);
  return to_bytes(TRY(manifest::to_wire(json)));
}

Result<EcuStatus> decode_status(ByteSpan bytes) {
  const Json json = TRY(manifest::parse_strict(bytes, {.bytes_max = kStatusBytesMax}));
  const auto as_format_error = [](Error error) {
    return Error(ErrorCode::kBadFormat, error.message());
  };
  auto serial = TRY(manifest::EcuSerial::parse(TRY(manifest::text_field(json, "ecu")))
                        .map_error(as_format_error));
  auto hardware = TRY(manifest::HardwareId::parse(TRY(manifest::text_field(json, "hardware")))
                          .map_error(as_format_error));
  EcuStatus status{std::move(serial), std::move(hardware)};
  status.key = TRY(array_from_hex<32>(TRY(manifest::text_field(json, "key"))));
  status.verification = TRY(parse_verification(TRY(manifest::text_field(json, "verification")))
                                .map_error(as_format_error));
  status.phase = TRY(phase_field(json));
  status.installed = TRY(image_field(json, "installed").map_error(as_format_error));
  status.staged = TRY(image_field(json, "staged").map_error(as_format_error));
  status.wanted = TRY(image_field(json, "wanted").map_error(as_format_error));
  TRY_VOID(check_whole(status.phase, status.staged));
  if (manifest::find_field(json, "wordHolds") != nullptr)
    status.word_holds = TRY(manifest::bool_field(json, "wordHolds").map_error(as_format_error));
  status.attack = TRY(manifest::text_field(json, "attack"));
  return status;
}

}  // namespace layby::secondary
