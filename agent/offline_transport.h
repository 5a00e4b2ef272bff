// A Transport that answers from an offline package what the server would have answered: metadata,
// its time, ranges of payloads. What the package does not have is 404, as there.
#pragma once

#include "agent/transport.h"
#include "manifest/offline_package.h"

namespace layby::agent {

class OfflineTransport final : public Transport {
 public:
  // `package` must outlive it.
  explicit OfflineTransport(const manifest::OfflinePackage& package) : package_(&package) {}

  // kUnavailable for a POST: nothing can be told to a package. kEndlessData as any transport.
  Result<HttpResponse> exchange(const HttpRequest& request, const BodySink& sink = {}) override;

 private:
  const manifest::OfflinePackage* package_;
};

}  // namespace layby::agent
