// Resumable uploads (docs/api.md, `/v1/uploads`): what the server already has is not sent again.
#pragma once

#include <string>

#include "base/disk.h"
#include "crypto/digest.h"
#include "server/cli/session.h"

namespace layby::cli {

struct UploadOutcome {
  std::uint64_t bytes_sent;  // in this run; 0 when the server had it all
};

// Sends `source`, whose digest is `sha256`, in pieces. After a break it asks the server how far it
// got and goes on there; kUnavailable when several attempts in a row brought nothing. `title` is
// for the progress line.
Result<UploadOutcome> upload(Session& session, const ReadAt& source,
                             const crypto::Digest256& sha256, const std::string& title);

}  // namespace layby::cli
