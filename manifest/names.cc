#include "manifest/names.h"

#include <algorithm>
#include <array>

#include "base/assert.h"
#include "crypto/random.h"

namespace layby::manifest {
namespace {

constexpr std::size_t kPlainNameMax = 64;
constexpr std::size_t kImageNameMax = 200;
constexpr std::string_view kCrockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr std::string_view kOrderPrefix = "ord_";

bool letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool name_character(char c) {
  return letter_or_digit(c) || c == '.' || c == '_' || c == '-';
}

struct KindForm {
  ImageKind kind;
  std::string_view name;
  std::string_view folder;
  std::string_view extension;
};
constexpr std::array<KindForm, 3> kKinds = {{
    {ImageKind::kMap, "map", "maps/", ".tar"},
    {ImageKind::kFunction, "function", "functions/", ".pkg"},
    {ImageKind::kSoftware, "software", "software/", ".img"},
}};

const KindForm& form_of(ImageKind kind) {
  return kKinds.at(static_cast<std::size_t>(kind));
}

}  // namespace

Result<std::string> parse_plain_name(std::string_view text, std::string_view what) {
  if (text.empty() || text.size() > kPlainNameMax)
    return fail(ErrorCode::kInvalidArgument, "{}: 1 to {} characters, not {}", what, kPlainNameMax,
                text.size());
  if (!letter_or_digit(text.front()) || !std::all_of(text.begin(), text.end(), name_character))
    return fail(ErrorCode::kInvalidArgument,
                "{}: letters, digits, '.', '_' and '-' only, beginning with a letter or digit",
                what);
  return std::string(text);
}

std::string_view to_string(ImageKind kind) {
  return form_of(kind).name;
}

Result<ImageKind> parse_image_kind(std::string_view text) {
  for (const KindForm& form : kKinds)
    if (form.name == text) return form.kind;
  return fail(ErrorCode::kInvalidArgument, "kind: map, function or software");
}

Result<Slot> Slot::parse(std::string_view text) {
  if (text == "software") return software();
  if (text.starts_with("software.")) return software(TRY(HardwareId::parse(text.substr(9))));
  if (text.starts_with("map.")) return map(TRY(RegionId::parse(text.substr(4))));
  if (text.starts_with("function.")) return function(TRY(FunctionId::parse(text.substr(9))));
  return fail(ErrorCode::kInvalidArgument,
              "slot: map.REGION, function.ID, software or software.HARDWARE_ID");
}

Slot Slot::map(const RegionId& region) {
  return Slot(ImageKind::kMap, "map." + region.text());
}

Slot Slot::function(const FunctionId& id) {
  return Slot(ImageKind::kFunction, "function." + id.text());
}

Slot Slot::software() {
  return Slot(ImageKind::kSoftware, "software");
}

Slot Slot::software(const HardwareId& hardware) {
  return Slot(ImageKind::kSoftware, "software." + hardware.text());
}

std::string_view Slot::id() const {
  const auto dot = text_.find('.');
  return dot == std::string::npos ? std::string_view{} : std::string_view(text_).substr(dot + 1);
}

Result<ImageName> ImageName::parse(std::string_view text) {
  if (text.size() > kImageNameMax)
    return fail(ErrorCode::kInvalidArgument, "an image's name has at most {} characters, not {}",
                kImageNameMax, text.size());
  for (const KindForm& form : kKinds) {
    if (!text.starts_with(form.folder)) continue;
    const std::string_view rest = text.substr(form.folder.size());
    const auto slash = rest.find('/');
    if (slash == std::string_view::npos || !rest.ends_with(form.extension)) break;
    TRY_VOID(parse_plain_name(rest.substr(0, slash), "image's owner"));
    const std::string_view file = rest.substr(slash + 1);
    TRY_VOID(
        parse_plain_name(file.substr(0, file.size() - form.extension.size()), "image's version"));
    return ImageName(form.kind, text);
  }
  return fail(ErrorCode::kInvalidArgument,
              "an image is named maps/REGION/VERSION.tar, functions/ID/VERSION.pkg or "
              "software/HARDWARE_ID/VERSION.img");
}

std::string_view ImageName::owner() const {
  const std::string_view rest = std::string_view(text_).substr(form_of(kind_).folder.size());
  return rest.substr(0, rest.find('/'));
}

std::string_view ImageName::version() const {
  const std::string_view file = std::string_view(text_).substr(text_.rfind('/') + 1);
  return file.substr(0, file.size() - form_of(kind_).extension.size());
}

Slot ImageName::slot() const {
  // The owner was checked by parse.
  switch (kind_) {
    case ImageKind::kMap: return Slot::map(*RegionId::parse(owner()));
    case ImageKind::kFunction: return Slot::function(*FunctionId::parse(owner()));
    case ImageKind::kSoftware: return Slot::software();
  }
  LAYBY_ASSERT(false);
}

bool ImageName::may_go_to(const Slot& slot) const {
  return slot == this->slot() ||
         (slot.is_secondary() && kind_ == ImageKind::kSoftware && slot.id() == owner());
}

Result<OrderId> OrderId::parse(std::string_view text) {
  const bool form = text.size() == kOrderPrefix.size() + 26 && text.starts_with(kOrderPrefix) &&
                    text[kOrderPrefix.size()] <= '7';  // 26 characters hold 130 bits, 128 are used
  if (!form ||
      text.substr(kOrderPrefix.size()).find_first_not_of(kCrockford) != std::string_view::npos)
    return fail(ErrorCode::kInvalidArgument,
                "an order is ord_ and 26 characters of Crockford base32");
  return OrderId(std::string(text));
}

OrderId OrderId::generate(UnixSeconds now) {
  LAYBY_ASSERT(now >= 0);
  // 10 characters of time, 16 of randomness.
  std::uint64_t milliseconds = static_cast<std::uint64_t>(now) * 1000;
  std::string id(10, '0');
  for (std::size_t i = id.size(); i-- > 0; milliseconds >>= 5)
    id[i] = kCrockford[milliseconds & 31];
  return OrderId(std::string(kOrderPrefix) + id + crypto::random_text(kCrockford, 16));
}

}  // namespace layby::manifest
