#include "agent/record.h"

#include <algorithm>

#include "base/assert.h"

namespace layby::agent {
namespace {

constexpr std::size_t kErrorTextMax = 400;

}  // namespace

std::string_view to_string(Wait wait) {
  switch (wait) {
    case Wait::kLicence: return "licence";
    case Wait::kExitAndLock: return "exit-and-lock";
    case Wait::kPrivateMode: return "private-mode";
    case Wait::kConnection: return "connection";
    case Wait::kSpace: return "space";
    case Wait::kEarlierOrder: return "earlier-order";
    case Wait::kFunction: return "function";
    case Wait::kRoaming: return "roaming";
    case Wait::kWifi: return "wifi";
    case Wait::kCall: return "call";
    case Wait::kDataBudget: return "data-budget";
    case Wait::kRetryPause: return "retry-pause";
    case Wait::kPartnerPackage: return "partner-package";
    case Wait::kBootControl: return "boot-control";
  }
  LAYBY_ASSERT(false);
}

manifest::FunctionId ImageProgress::function() const {
  const auto id = manifest::FunctionId::parse(slot.id());
  LAYBY_ASSERT(id.has_value());  // a slot of this kind was parsed with such a name
  return *id;
}

void ImageProgress::forget() {
  chosen.reset();
  chunk_count = chunks_done = 0;
  bytes_done = 0;
  complete = false;
  broken_chunk.reset();
}

std::uint64_t OrderRecord::bytes_done() const {
  std::uint64_t sum = 0;
  for (const ImageProgress& image : images) sum += image.bytes_done;
  return sum;
}

std::uint64_t OrderRecord::bytes_total() const {
  std::uint64_t sum = 0;
  for (const ImageProgress& image : images)
    if (const manifest::Payload* payload = image.payload()) sum += payload->length;
  return sum;
}

std::uint64_t OrderRecord::duration_seconds() const {
  std::uint64_t longest = 0;
  for (const ImageProgress& image : images) longest = std::max(longest, image.duration_seconds);
  return longest;
}

std::string printable(std::string_view text, std::size_t characters_max) {
  std::string out(text.substr(0, characters_max));
  for (char& c : out)
    if (c < ' ' || c > '~') c = '?';
  return out;
}

Error recordable(const Error& error) {
  return Error(error.code(), printable(error.message(), kErrorTextMax));
}

void note_attack(Record& record, const Error& error) {
  record.attack = fmt::format("{}: {}", to_string(error.code()), recordable(error).message());
}

bool is_software(const OrderRecord& order) {
  return order.action == manifest::OrderAction::kInstall && !order.images.empty() &&
         order.images.front().slot == manifest::Slot::software();
}

bool is_for_secondaries(const OrderRecord& order) {
  return order.action == manifest::OrderAction::kInstall && !order.images.empty() &&
         order.images.front().slot.is_secondary();
}

bool share_slot(const OrderRecord& a, const OrderRecord& b) {
  return std::ranges::any_of(a.images, [&](const ImageProgress& image) {
    return std::ranges::any_of(
        b.images, [&](const ImageProgress& other) { return other.slot == image.slot; });
  });
}

OrderRecord* Record::order(const manifest::OrderId& id) {
  for (OrderRecord& order : orders)
    if (order.id == id) return &order;
  return nullptr;
}

}  // namespace layby::agent
