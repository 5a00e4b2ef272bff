// The roots that are published, as this process knows them: they say with which keys the server
// signs now. The store has the truth; here it lies so that a poll needs no read for it.
#pragma once

#include <memory>
#include <mutex>

#include "manifest/metadata.h"
#include "manifest/offline_package.h"

namespace layby::server {

// Any thread.
class RootCache {
 public:
  using Entry = std::shared_ptr<const manifest::Root>;

  // Null until one was put.
  Entry get(manifest::Repository repository) const {
    const std::lock_guard lock(mutex_);
    return place(repository);
  }
  // One that is older than what is there changes nothing: two threads may be out of order.
  void put(manifest::Repository repository, Entry root) {
    const std::lock_guard lock(mutex_);
    Entry& held = place(repository);
    if (!held || held->version < root->version) held = std::move(root);
  }

 private:
  Entry& place(manifest::Repository repository) {
    return repository == manifest::Repository::kDirector ? director_ : image_;
  }
  const Entry& place(manifest::Repository repository) const {
    return repository == manifest::Repository::kDirector ? director_ : image_;
  }

  mutable std::mutex mutex_;
  Entry director_;
  Entry image_;
};

}  // namespace layby::server
