// What every Store must do. A second implementation runs the same suite with its own factory.
#pragma once

#include <functional>
#include <memory>

#include "server/store/store.h"

namespace layby::tests {

// Opens the store that belongs to this test, the same one each time it is called; at most one is
// open at once.
using StoreFactory = std::function<std::unique_ptr<server::Store>()>;

void check_reads_and_writes(const StoreFactory& open);
void check_expectations(const StoreFactory& open);
void check_scans(const StoreFactory& open);
void check_concurrent_increments(const StoreFactory& open);
void check_commits_are_seen_whole(const StoreFactory& open);
void check_reopening(const StoreFactory& open);
// `files` gives all bytes of the store's files.
void check_purge(const StoreFactory& open, const std::function<std::string()>& files);
// Forks: call it before this process has opened the store or started a thread.
void check_kill_keeps_what_was_acknowledged(const StoreFactory& open, int kills);

}  // namespace layby::tests
