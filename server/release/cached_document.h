// A signed timestamp as it lies in the Store: everything that a poll needs, in one value.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "crypto/digest.h"
#include "server/http/message.h"

namespace layby::server {

struct CachedDocument {
  UnixSeconds resign_at = 0;  // from then on it is to be signed anew
  // Director only: the certificate of the car for which this was made, so that a poll need not read
  // the car's record. Pairing a car deletes the document in the same commit.
  std::optional<crypto::Digest256> certificate;
  std::string bytes;
  std::uint64_t root = 1;  // version of the root that named the keys it is signed with
};

// One line of text, then the document byte for byte.
std::string encode_cached(const CachedDocument& document);
// kCorrupt for what encode_cached did not write.
Result<CachedDocument> decode_cached(std::string_view value);

// The ETag of these bytes: strong, in quotes (RFC 9110, section 8.8.3).
std::string etag_of(std::string_view bytes);

enum class Caching {
  kRevalidate,  // may change: ask each time
  kImmutable,   // this name will never mean other bytes
  kPrivate,     // the same name means other bytes for another caller
};

// 200 with the document, or 304 if the request's If-None-Match names it already.
Response document_response(const Request& request, std::string bytes, Caching caching);

}  // namespace layby::server
