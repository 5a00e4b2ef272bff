#include "manifest/re_encoders.h"

#include <algorithm>

#include "manifest/json_value.h"

namespace layby::manifest {
namespace {

constexpr std::size_t kReEncodersMax = 16;
constexpr std::size_t kTextBytesMax = 64;

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kTextBytesMax &&
         std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; });
}

}  // namespace

bool covers(const ReEncoders& available, const ReEncoders& needs) {
  return std::ranges::all_of(needs, [&](const auto& need) {
    const auto found = available.find(need.first);
    return found != available.end() && found->second == need.second;
  });
}

Result<ReEncoders> re_encoders_field(const Json& object, std::string_view key) {
  ReEncoders found;
  if (find_field(object, key) == nullptr) return found;
  const Json* listed = TRY(object_field(object, key));
  if (listed->size() > kReEncodersMax)
    return fail(ErrorCode::kBadFormat, "\"{}\": more than {}", key, kReEncodersMax);
  for (const auto& item : listed->get_ref<const Json::object_t&>()) {
    std::string version = TRY(text_field(*listed, item.first));
    if (!is_name(item.first) || !is_name(version))
      return fail(ErrorCode::kBadFormat, "\"{}\": a name and a version are printable and short",
                  key);
    found.emplace(item.first, std::move(version));
  }
  return found;
}

}  // namespace layby::manifest
