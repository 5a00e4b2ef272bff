// What the head unit says, in the languages of P4.3.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "agent/policy.h"

namespace layby::agent {

enum class Language : std::uint8_t { kGerman, kEnglish, kFrench, kItalian, kDutch };
inline constexpr std::array kLanguages = {Language::kGerman, Language::kEnglish, Language::kFrench,
                                          Language::kItalian, Language::kDutch};
std::optional<Language> language_from(std::string_view code);  // "de", "en", "fr", "it", "nl"
// What suits best, by RFC 4647, section 3.4 (lookup): of the language tags in `ranges`, parted by
// commas, the first that is one of ours when subtags are taken off its end. "fr-CH" is French;
// English where none is.
Language look_up_language(std::string_view ranges);
std::string_view to_string(Language language);

// A text that takes an argument has one `{}`; the comment says what it is.
enum class Text : std::uint8_t {
  // conditions (P4.1), in the order of `Condition`
  kSelectPark,
  kParkingBrakeOn,
  kPowerOff,
  kDriverOut,
  kCloseDoors,
  kLockDoors,
  kUnplugCable,
  kChargeTraction,  // percent that the package asks for
  kChargeLowVoltage,
  kOwnerTime,         // time
  kPackageCondition,  // the package's own text
  // what else an order waits for
  kPrivateMode,
  kNoConnection,
  kNoSpace,
  kRoaming,
  kWaitsForWifi,
  kCallOn2g,
  kDataBudgetSpent,
  kWaitsForFunction,
  kWaitsForEarlier,
  kWaitsForPartner,
  kWaitsForBootControl,  // error code
  kWaitsForEcus,
  kWaitsForLicence,
  kExitAndLock,
  kSignalMissing,  // {}: the text of the condition
  // states; the argument is the name of what is ordered
  kOffered,
  kFoundMaps,    // what the car asked for by itself
  kMapsToOrder,  // names of regions
  kDownloading,  // name and percent in one: "cities DE 45 %"
  kDownloaded,
  kDuration,  // "2 minutes"
  kInstalling,
  kRollingBack,
  kUndoFails,  // error code
  kRetryLater,
  kActive,
  kActiveUntil,  // name and date in one
  kActiveUnlimited,
  kRemaining,  // "10 days"
  kGrace,      // name, and in brackets when it will be off
  kDeactivated,
  kExpired,
  kNotLicensed,
  kRefused,
  kFailed,  // error code
};
constexpr std::size_t kTextCount = static_cast<std::size_t>(Text::kFailed) + 1;

std::string_view text(Text text, Language language);

enum class Unit : std::uint8_t { kMinute, kHour, kDay };
// "1 minute", "2 minutes".
std::string counted(std::uint64_t count, Unit unit, Language language);
std::string text_with(Text text, Language language, std::string_view argument);
Text text_of(Condition condition);

}  // namespace layby::agent
