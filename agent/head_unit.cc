#include "agent/head_unit.h"

#include <algorithm>
#include <utility>

#include "agent/dates.h"
#include "agent/durations.h"
#include "agent/map_wish.h"
#include "agent/requirements.h"

namespace layby::agent {
namespace {

// What a person calls it: "DE, FR 1.1.61", "adaptive-cruise".
std::string title(const OrderRecord& order) {
  std::string regions, version;
  for (const ImageProgress& image : order.images) {
    if (!regions.empty()) regions += ", ";
    regions += image.slot.id().empty() ? image.name.owner() : image.slot.id();
    version = image.version;
  }
  if (order.images.empty()) return order.id.text();
  return regions + " " + version;
}

std::string code_of(const std::optional<Error>& error) {
  return error ? std::to_string(static_cast<unsigned>(error->code())) : "-";
}

unsigned percent(const OrderRecord& order) {
  const std::uint64_t total = order.bytes_total();
  return total == 0 ? 0 : static_cast<unsigned>(order.bytes_done() * 100 / total);
}

bool waits_for(const OrderRecord& order, Wait wait) {
  return std::find(order.waiting_for.begin(), order.waiting_for.end(), to_string(wait)) !=
         order.waiting_for.end();
}

// Private mode is said once, for all orders.
constexpr std::pair<Wait, Text> kWhyNothingComes[] = {
    {Wait::kConnection, Text::kNoConnection},
    {Wait::kSpace, Text::kNoSpace},
    {Wait::kRoaming, Text::kRoaming},
    {Wait::kWifi, Text::kWaitsForWifi},
    {Wait::kCall, Text::kCallOn2g},
    {Wait::kDataBudget, Text::kDataBudgetSpent},
    {Wait::kFunction, Text::kWaitsForFunction},
    {Wait::kEarlierOrder, Text::kWaitsForEarlier},
    {Wait::kPartnerPackage, Text::kWaitsForPartner},
};

// In the largest unit of which there is a whole one; never nothing before the end.
std::string remaining(UnixSeconds seconds, Language language) {
  const auto whole = static_cast<std::uint64_t>(std::max<UnixSeconds>(0, seconds));
  if (whole >= kDaySeconds) return counted(whole / kDaySeconds, Unit::kDay, language);
  if (whole >= 3600) return counted(whole / 3600, Unit::kHour, language);
  return counted((whole + 59) / 60, Unit::kMinute, language);
}

class Lines {
 public:
  Lines(const HeadUnitView& view, Language language) : view_(view), language_(language) {}

  void add(Text which) { push(std::string(text(which, language_))); }
  void add(Text which, const std::string& argument) { push(text_with(which, language_, argument)); }
  std::vector<std::string> take() { return std::move(lines_); }

  void condition(const Reason& reason, const Requirements& needs) {
    std::string wanted = condition_text(reason, needs);
    if (reason.why == Why::kNotFulfilled) return push(std::move(wanted));
    add(Text::kSignalMissing, wanted);
  }

  // In the driver's language, or in English, which every package has.
  const std::string& package_text(const std::map<std::string, std::string>& texts) const {
    const auto own = texts.find(std::string(to_string(language_)));
    return own != texts.end() ? own->second : texts.at("en");
  }

  void duration(const OrderRecord& order) {
    const std::uint64_t seconds = shown_seconds(order, view_.record);
    if (seconds > 0) add(Text::kDuration, duration_text(seconds, language_));
  }

  void downloading(const OrderRecord& order) {
    const bool is_found = order.id.text() == view_.record.map_found;
    // An order without images has no name that a person would know.
    if (!order.images.empty()) add(is_found ? Text::kFoundMaps : Text::kOffered, title(order));
    if (order.state == State::kDownloading) add(Text::kDownloading, std::to_string(percent(order)));
    for (const auto& [wait, why] : kWhyNothingComes)
      if (waits_for(order, wait)) add(why);
    if (waits_for(order, Wait::kBootControl)) add(Text::kWaitsForBootControl, code_of(order.error));
  }

  void downloaded(const OrderRecord& order) {
    if (order.error) add(Text::kRetryLater, code_of(order.error));
    if (waits_for(order, Wait::kLicence)) {
      add(Text::kWaitsForLicence);
    } else {
      add(Text::kDownloaded, title(order));
      add(Text::kExitAndLock);
      duration(order);
      const Requirements needs = requirements_of(order, view_.record);
      const Verdict verdict = evaluate(view_.facts, needs, std::nullopt, view_.now_ms, order.latch);
      for (const Reason& reason : verdict.reasons) condition(reason, needs);
    }
  }

  void waiting(const OrderRecord& order) {
    if (waits_for(order, Wait::kLicence)) return add(Text::kWaitsForLicence);
    if (waits_for(order, Wait::kEarlierOrder)) return add(Text::kWaitsForEarlier);
    if (waits_for(order, Wait::kBootControl)) add(Text::kWaitsForBootControl, code_of(order.error));
    add(Text::kDownloaded, title(order));
    if (waits_for(order, Wait::kConnection)) add(Text::kWaitsForEcus);
    duration(order);
    const Requirements needs = requirements_of(order, view_.record);
    const Verdict verdict =
        evaluate(view_.facts, needs, owner_time_now(), view_.now_ms, order.latch);
    for (const Reason& reason : verdict.reasons) condition(reason, needs);
  }

  void installing(const OrderRecord& order) { add(Text::kInstalling, title(order)); }

  void rolling_back(const OrderRecord& order) {
    add(Text::kRollingBack, title(order));
    if (order.undo.error) add(Text::kUndoFails, code_of(order.undo.error));
  }

  void order(const OrderRecord& order) {
    switch (order.state) {
      case State::kIdle: break;
      case State::kOffered:
      case State::kDownloading: return downloading(order);
      case State::kDownloaded: return downloaded(order);
      case State::kWaiting: return waiting(order);
      case State::kActivating:
      case State::kConfirming:
        return order.waiting_for.empty() ? installing(order) : waiting(order);
      case State::kInstalling: return installing(order);
      case State::kRollingBack: return rolling_back(order);
      case State::kActive:
        // A renewal shows in the term of its function.
        return order.images.empty() ? void() : add(Text::kActive, title(order));
      case State::kDeactivated: return add(Text::kDeactivated, title(order));
      case State::kFailed: return add(Text::kFailed, code_of(order.error));
      case State::kRefused: return add(Text::kRefused, code_of(order.error));
    }
  }

  void function(const manifest::FunctionId& id, const LicenceVerdict& verdict) {
    switch (verdict.state) {
      case LicenceVerdict::State::kActive: return active(id, verdict);
      case LicenceVerdict::State::kExpired: return add(Text::kExpired, id.text());
      case LicenceVerdict::State::kRevoked: return add(Text::kDeactivated, id.text());
      case LicenceVerdict::State::kRefused: return add(Text::kNotLicensed, id.text());
    }
  }

  // P3.2; an order for maps says more.
  void announced(const std::vector<manifest::RegionId>& regions) {
    std::string names;
    for (const manifest::RegionId& region : regions)
      names += (names.empty() ? "" : ", ") + region.text();
    if (!names.empty()) add(Text::kMapsToOrder, names);
  }

  // P1.13
  void active(const manifest::FunctionId& id, const LicenceVerdict& verdict) {
    const auto known = view_.record.functions.find(id);
    const bool is_on = known != view_.record.functions.end() && known->second.on;
    if (!is_on) return;  // the order says what it waits for
    if (!verdict.until) return add(Text::kActiveUnlimited, id.text());
    if (*verdict.until <= view_.now)
      return add(Text::kGrace, id.text() + " (" + moment(*verdict.ends) + ")");
    push(text_with(Text::kActiveUntil, language_, moment(*verdict.until) + ": " + id.text()) +
         " (" +
         text_with(Text::kRemaining, language_, remaining(*verdict.until - view_.now, language_)) +
         ")");
  }

 private:
  std::string condition_text(const Reason& reason, const Requirements& needs) const {
    const Text which = text_of(reason.condition);
    if (reason.condition == Condition::kTractionBattery)
      return text_with(which, language_, std::to_string(needs.battery_percent_min));
    if (reason.condition == Condition::kOwnerTime)
      return text_with(which, language_, owner_time_text());
    if (reason.condition == Condition::kPackage)
      return text_with(which, language_,
                       package_text(needs.package[reason.demand].as_signed.texts));
    return std::string(text(which, language_));
  }
  OwnerTime owner_time_now() const { return owner_time(view_.facts, view_.record.owner_time); }
  std::string owner_time_text() const {
    const OwnerTime time = owner_time_now();
    const auto* known = std::get_if<std::optional<UnixSeconds>>(&time);
    return known != nullptr && *known ? moment(**known) : "?";
  }
  std::string moment(UnixSeconds time) const {
    return moment_text(time, language_, utc_offset(view_.facts));
  }
  void push(std::string line) {
    if (std::find(lines_.begin(), lines_.end(), line) == lines_.end())
      lines_.push_back(std::move(line));
  }

  const HeadUnitView& view_;
  const Language language_;
  std::vector<std::string> lines_;
};

ScreenUpdate update_of(const OrderRecord& order, const HeadUnitView& view, Language language) {
  ScreenUpdate update{.order = order.id.text(),
                      .title = title(order),
                      .state = std::string(to_string(order.state))};
  if (order.state == State::kDownloading) update.percent = percent(order);
  if (order.error) update.code = static_cast<unsigned>(order.error->code());
  const std::uint64_t seconds = shown_seconds(order, view.record);
  if (seconds > 0) update.duration = duration_text(seconds, language);
  Lines lines(view, language);
  lines.order(order);
  update.lines = lines.take();
  // Images of one update mostly say the same.
  for (const ImageProgress& image : order.images) {
    if (image.notes.empty()) continue;
    const std::string& notes = lines.package_text(image.notes);
    if (update.notes.find(notes) == std::string::npos)
      update.notes += (update.notes.empty() ? "" : "\n") + notes;
  }
  return update;
}

}  // namespace

Screen head_unit_screen(const HeadUnitView& view, Language language) {
  Screen screen{.language = std::string(to_string(language)), .lines = {}};
  Lines lines(view, language), functions(view, language);
  if (view.record.private_mode) lines.add(Text::kPrivateMode);
  for (const OrderRecord& order : view.record.orders) {
    lines.order(order);
    auto update = update_of(order, view, language);
    // A renewal shows in the term of its function.
    if (!update.lines.empty()) screen.updates.push_back(std::move(update));
  }
  if (!has_map_order(view.record)) lines.announced(view.record.maps_announced);
  for (const auto& [id, verdict] : view.licences) {
    lines.function(id, verdict);
    functions.function(id, verdict);
  }
  screen.lines = lines.take();
  screen.functions = functions.take();
  return screen;
}

}  // namespace layby::agent
