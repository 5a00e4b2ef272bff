#include "server/shop/entitlement.h"

#include <algorithm>

#include "server/release/image.h"
#include "server/shop/desired.h"
#include "server/shop/order.h"

namespace layby::server {

bool may_bring_payloads(const Order& order, UnixSeconds now) {
  if (awaits_download(order.phase) && now >= order.download_by) return false;
  // An active one that the car is to install has lost its package (renew_seal).
  return entitles_to_payload(order.phase) || order.phase == OrderPhase::kActive;
}

namespace {

Result<bool> makes(const Store& store, const crypto::Digest256& payload,
                   const OrderedImage& ordered) {
  const std::vector<manifest::Payload> payloads = TRY(payloads_of(scanner(store), ordered.sha256));
  const bool named = std::any_of(payloads.begin(), payloads.end(),
                                 [&](const auto& one) { return one.sha256 == payload; });
  if (!named) return false;
  const std::optional<Image> published = TRY(image(store, ordered.name.text()));
  return published && published->listing == Listing::kListed;
}

}  // namespace

Result<bool> may_fetch_payload(const Services& services, const manifest::Vin& vin,
                               const crypto::Digest256& payload) {
  const Store& store = services.store;
  for (const std::string& id : TRY(desired_installs(store, vin))) {
    const Order order = TRY(load_order(store, vin, id));
    if (!may_bring_payloads(order, services.clock.now())) continue;
    if (order.delivery == manifest::Delivery::kOffline) continue;
    for (const OrderedImage& ordered : order.images)
      if (TRY(makes(store, payload, ordered))) return true;
    if (order.exchange && TRY(makes(store, payload, order.exchange->release))) return true;
  }
  return false;
}

}  // namespace layby::server
