#include "manifest/vin.h"

#include <array>

#include "base/assert.h"

namespace layby::manifest {
namespace {

constexpr std::size_t kCheckPosition = 8;  // position 9, counted from one

// 49 CFR 565.15, table III and IV; GB 16735 has the same.
int transliterate(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  constexpr std::string_view kLetters = "ABCDEFGHJKLMNPRSTUVWXYZ";
  constexpr std::string_view kValues = "12345678123457923456789";
  static_assert(kLetters.size() == kValues.size());
  return kValues[kLetters.find(c)] - '0';
}

bool market_demands_check_digit(std::string_view country) {
  return country == "US" || country == "CA" || country == "CN";
}

}  // namespace

Result<Vin> Vin::parse(std::string_view text) {
  if (text.size() != 17)
    return fail(ErrorCode::kInvalidArgument, "a VIN has 17 characters, not {}", text.size());
  for (const char c : text) {
    if (c == 'I' || c == 'O' || c == 'Q')
      return fail(ErrorCode::kInvalidArgument, "a VIN has no I, O or Q");
    if (!((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')))
      return fail(ErrorCode::kInvalidArgument, "a VIN has capital letters and digits only");
  }
  return Vin(text);
}

Result<Vin> Vin::parse_for_market(std::string_view text, std::string_view country) {
  Vin vin = TRY(parse(text));
  if (!market_demands_check_digit(country)) return vin;
  const char right = vin_check_digit(vin);
  if (vin.text()[kCheckPosition] != right)
    return fail(ErrorCode::kInvalidArgument,
                "the check digit in position 9 of {}, which {} demands, is {} and should be {}",
                text, country, vin.text()[kCheckPosition], right);
  return vin;
}

char vin_check_digit(const Vin& vin) {
  constexpr std::array<int, 17> kWeights = {8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2};
  int sum = 0;
  for (std::size_t i = 0; i < kWeights.size(); ++i)
    sum += kWeights[i] * transliterate(vin.text()[i]);
  const int rest = sum % 11;
  return rest == 10 ? 'X' : static_cast<char>('0' + rest);
}

}  // namespace layby::manifest
