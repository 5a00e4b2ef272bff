// Work::merge: from what the Director lists to what the journal holds.
#include <algorithm>

#include "agent/requirements.h"
#include "agent/work.h"
#include "base/assert.h"
#include "manifest/json_value.h"

namespace layby::agent {
namespace {

ImageProgress progress_of(const manifest::PlannedImage& planned) {
  const manifest::ImageFacts& facts = planned.entry.facts;
  ImageProgress image{.name = planned.entry.name, .slot = facts.slot};
  image.version = facts.version;
  image.length = planned.entry.length;
  image.sha256 = planned.entry.sha256;
  image.release_counter = facts.release_counter;
  image.duration_seconds = facts.duration_seconds;
  image.battery_percent_min = facts.battery_percent_min;
  image.network = facts.network;
  image.conditions = facts.conditions;
  image.notes = facts.notes;
  if (facts.licence_key) {
    const auto key = manifest::to_canonical(facts.licence_key->to_json());
    LAYBY_ASSERT(key.has_value());  // it was read from canonical JSON
    image.licence_key = *key;
  }
  image.payloads = planned.payloads;
  if (facts.slot.is_secondary()) image.ecus = planned.ecus;
  return image;
}

OrderRecord record_of(const manifest::PlannedOrder& planned) {
  OrderRecord order{.id = planned.id};
  order.action = planned.action;
  order.delivery = planned.delivery;
  for (const manifest::PlannedImage& image : planned.images)
    order.images.push_back(progress_of(image));
  // Refused for conditions that cannot be read, it is never asked about them, and the journal must
  // not hold what cannot be read again.
  if (planned.refusal)
    for (ImageProgress& image : order.images) image.conditions.clear();
  note_demands(order);
  return order;
}

bool same_images(const OrderRecord& order, const manifest::PlannedOrder& planned) {
  return order.action == planned.action &&
         std::equal(order.images.begin(), order.images.end(), planned.images.begin(),
                    planned.images.end(), [](const ImageProgress& a, const auto& b) {
                      return a.name == b.entry.name && a.sha256 == b.entry.sha256 &&
                             (!a.slot.is_secondary() || a.ecus == b.ecus);
                    });
}

bool is_on_its_way(State state) {
  return !is_final(state) && !is_past_no_return(state);
}

// The same id stands for something else now: other images, or what comes after the installation, a
// renewal or a deactivation; also when it was over, as an order that has failed here comes back as
// a deactivation. What has started is finished first.
bool is_another(const OrderRecord& order, const manifest::PlannedOrder& planned) {
  if (is_past_no_return(order.state)) return false;
  if (!same_images(order, planned)) return true;
  return is_final(order.state) && order.action != manifest::OrderAction::kInstall &&
         !planned.licence.empty() && planned.licence != order.licence;
}

}  // namespace

void Work::update(OrderRecord& order, const manifest::PlannedOrder& planned) {
  if (!is_on_its_way(order.state)) return;
  if (planned.refusal) {
    order.error = recordable(*planned.refusal);
    apply(order, Event::kRefuse);
    return;
  }
  order.delivery = planned.delivery;
  for (std::size_t i = 0; i < order.images.size(); ++i)
    if (!order.images[i].chosen) order.images[i].payloads = planned.images[i].payloads;
  if (planned.licence.empty() || planned.licence == order.licence) return;
  const Bytes before = std::exchange(order.licence, planned.licence);
  const auto checked = installer_.check(order, journal_.record());
  if (checked) return;
  const bool is_install = order.action == manifest::OrderAction::kInstall;
  // It came before its function, which Work::take_licence waits for.
  if (!is_install && checked.error().code() == ErrorCode::kNotFound) return;
  // Not for this car, or older than what it has: an installation waits for a better one.
  if (is_install) order.licence = before;
  order.error = recordable(checked.error());
  note_attack(journal_.record(), *order.error);
  if (!is_install) apply(order, Event::kRefuse);
}

Result<void> Work::merge(const manifest::VerifiedPlan& plan) {
  Record& record = journal_.record();
  std::vector<OrderRecord> merged;
  std::vector<OrderRecord> dropped;
  // What has started goes on, listed or not.
  for (const OrderRecord& order : record.orders) {
    const bool listed = std::any_of(plan.orders().begin(), plan.orders().end(),
                                    [&](const auto& planned) { return planned.id == order.id; });
    if (listed) continue;
    if (is_past_no_return(order.state)) {
      merged.push_back(order);
    } else {
      LAYBY_ASSERT(next_state(order.state, Event::kDrop) == State::kIdle);
      dropped.push_back(order);
    }
  }
  for (const manifest::PlannedOrder& planned : plan.orders()) {
    OrderRecord* known = record.order(planned.id);
    if (known != nullptr && is_another(*known, planned)) {
      dropped.push_back(*known);
      known = nullptr;  // it begins anew
    }
    if (known == nullptr) {
      OrderRecord fresh = record_of(planned);
      apply(fresh, Event::kOffer);
      fresh.offered_at = fresh.since;
      update(fresh, planned);
      merged.push_back(std::move(fresh));
    } else {
      update(*known, planned);
      merged.push_back(*known);
    }
  }
  record.orders = std::move(merged);
  // First the journal: it never speaks of files that are gone.
  TRY_VOID(journal_.save());
  for (const OrderRecord& order : dropped) downloads_.discard(order);
  // What a try that failed had put beside what is live.
  if (!dropped.empty()) sweep();
  return {};
}

}  // namespace layby::agent
