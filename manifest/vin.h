// Vehicle identification numbers (ISO 3779).
#pragma once

#include <compare>
#include <string>
#include <string_view>

#include "base/result.h"

namespace layby::manifest {

// 17 capital letters and digits without I, O and Q.
class Vin {
 public:
  // kInvalidArgument, saying what is wrong.
  static Result<Vin> parse(std::string_view text);

  // As sold in `country` (ISO 3166-1 alpha-2): where the market demands the check digit in
  // position 9 (US and CA by 49 CFR 565 and CMVSS 115, CN by GB 16735), it must be right.
  static Result<Vin> parse_for_market(std::string_view text, std::string_view country);

  const std::string& text() const { return text_; }
  auto operator<=>(const Vin&) const = default;

 private:
  explicit Vin(std::string_view text) : text_(text) {}
  std::string text_;
};

// What position 9 would have to be: a digit or X. `text` is 17 characters of the VIN's alphabet;
// what stands in position 9 counts nothing.
char vin_check_digit(const Vin& vin);

}  // namespace layby::manifest
