#include "delta/profile.h"

namespace layby::delta {

std::string_view to_string(Profile profile) {
  switch (profile) {
    case Profile::kSmall: return "small";
    case Profile::kFast: return "fast";
  }
  return "";
}

Result<Profile> parse_profile(std::string_view text) {
  for (const Profile profile : {Profile::kSmall, Profile::kFast})
    if (to_string(profile) == text) return profile;
  return fail(ErrorCode::kBadFormat, "unknown profile \"{}\": small or fast", text);
}

}  // namespace layby::delta
