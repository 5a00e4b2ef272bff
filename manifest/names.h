// Names that server and car agree on (docs/formats.md, "Names"). Each is a type of its own, made
// only by `parse`, so that an unchecked text can not stand where a checked one is meant.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace layby::manifest {

// `[A-Za-z0-9._-]{1,64}`, beginning with a letter or digit. kInvalidArgument otherwise; `what` is
// for the message.
Result<std::string> parse_plain_name(std::string_view text, std::string_view what);

template <typename Tag>
class PlainName {
 public:
  static Result<PlainName> parse(std::string_view text) {
    return PlainName(TRY(parse_plain_name(text, Tag::kWhat)));
  }
  const std::string& text() const { return text_; }
  auto operator<=>(const PlainName&) const = default;

 private:
  explicit PlainName(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

struct FunctionTag {
  static constexpr std::string_view kWhat = "function";
};
struct RegionTag {
  static constexpr std::string_view kWhat = "region";
};
struct HardwareTag {
  static constexpr std::string_view kWhat = "hardware id";
};
struct EcuTag {
  static constexpr std::string_view kWhat = "ECU serial";
};
using FunctionId = PlainName<FunctionTag>;
using RegionId = PlainName<RegionTag>;
using HardwareId = PlainName<HardwareTag>;
using EcuSerial = PlainName<EcuTag>;

// What an image is. The names are those of `mustMatch.kind`.
enum class ImageKind { kMap, kFunction, kSoftware };
std::string_view to_string(ImageKind kind);  // "map", "function", "software"
Result<ImageKind> parse_image_kind(std::string_view text);

// Where an image goes in a car: `map.REGION`, `function.ID`, `software`, which is the primary's
// own, or `software.HARDWARE_ID`, which is that of every other ECU with that hardware.
class Slot {
 public:
  static Result<Slot> parse(std::string_view text);
  static Slot map(const RegionId& region);
  static Slot function(const FunctionId& id);
  static Slot software();
  static Slot software(const HardwareId& hardware);

  ImageKind kind() const { return kind_; }
  const std::string& text() const { return text_; }
  // The region, function or hardware; empty for the primary's own software.
  std::string_view id() const;
  // Software of an ECU that is not the primary.
  bool is_secondary() const { return kind_ == ImageKind::kSoftware && !id().empty(); }
  auto operator<=>(const Slot&) const = default;

 private:
  Slot(ImageKind kind, std::string text) : kind_(kind), text_(std::move(text)) {}
  ImageKind kind_;
  std::string text_;
};

// An image, which is a TUF target path: `maps/REGION/VERSION.tar`, `functions/ID/VERSION.pkg`,
// `software/HARDWARE_ID/VERSION.img`; at most 200 characters.
class ImageName {
 public:
  static Result<ImageName> parse(std::string_view text);

  ImageKind kind() const { return kind_; }
  const std::string& text() const { return text_; }
  std::string_view owner() const;    // the region, function or hardware id
  std::string_view version() const;  // what stands before the extension
  // Where it goes; of software that may also be `software.HARDWARE_ID`, as the image's signed facts
  // say.
  Slot slot() const;
  bool may_go_to(const Slot& slot) const;
  auto operator<=>(const ImageName&) const = default;

 private:
  ImageName(ImageKind kind, std::string_view text) : kind_(kind), text_(text) {}
  ImageKind kind_;
  std::string text_;
};

// `ord_` and 26 characters of Crockford base32 in capitals: 48 bits of time in milliseconds and 80
// random bits, so that ids sort by time.
class OrderId {
 public:
  static Result<OrderId> parse(std::string_view text);
  static OrderId generate(UnixSeconds now);
  const std::string& text() const { return text_; }
  auto operator<=>(const OrderId&) const = default;

 private:
  explicit OrderId(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

}  // namespace layby::manifest
