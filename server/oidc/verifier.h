// Whom a token of the identity provider is for. Any thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "server/oidc/jws.h"
#include "server/oidc/key_source.h"

namespace layby::server {

// What becomes of a subject that has no account yet.
enum class UnknownSubjects { kRefuse, kMakeAccount };

struct OidcOptions {
  std::string issuer;    // the claim "iss", to the letter
  std::string audience;  // the claim "aud" is it or holds it
  // Where the roles stand: a text or a list of texts; "realm_access/roles" for one that lies
  // deeper.
  std::string role_claim = "role";
  // What may stand there -> our role. Of several, the one that may do most counts.
  std::map<std::string, std::string> roles;
  std::string default_role;  // for a subject with none of them; empty: refused
  UnknownSubjects unknown_subjects = UnknownSubjects::kRefuse;
  UnixSeconds skew_seconds = 60;  // that the two clocks may differ
  // Told which keys of the provider's are left out, and why, at each fetch.
  std::function<void(const std::string&)> on_odd_key = [](const std::string&) {};
};

struct OidcIdentity {
  std::string subject;
  std::string role;  // ours
  std::string name;  // the claim "name", or "unnamed"
  std::optional<std::string> email;
  std::optional<UnixSeconds> issued;  // the claim "iat"
};

// How often keys are fetched: because a token names one that is unknown, and because they are old.
constexpr std::int64_t kKeysFetchedAgainMs = 30'000;
constexpr std::int64_t kKeysOldMs = 600'000;
// Without a fetch that worked for this long, nobody is believed any more.
constexpr std::int64_t kKeysStaleMs = 86'400'000;

class OidcVerifier {
 public:
  // `clock` must outlive it; its monotonic time says how old keys are.
  OidcVerifier(OidcOptions options, FetchKeys fetch, const Clock& clock);

  // Fetches the keys now, whatever their age: for a start that tells what is wrong.
  Result<void> load();

  // kUnauthenticated, saying why, for a token that is not to be believed; kForbidden for a subject
  // without a role here; kUnavailable while there are no keys.
  Result<OidcIdentity> verify(std::string_view token, UnixSeconds now);

  const std::string& issuer() const { return options_.issuer; }
  UnknownSubjects unknown_subjects() const { return options_.unknown_subjects; }

 private:
  using Keys = std::shared_ptr<const KeySet>;
  Keys keys() const;
  // The keys, fetched anew where that may help to find this one.
  Result<Keys> keys_for(std::string_view key_id);
  Result<void> fetch_now();
  Result<OidcIdentity> read_claims(const manifest::Json& claims, UnixSeconds now) const;
  Result<std::string> read_role(const manifest::Json& claims) const;

  const OidcOptions options_;
  const FetchKeys fetch_;
  const Clock& clock_;
  std::mutex fetching_;                     // held by the one thread that fetches
  mutable std::mutex mutex_;                // guards what follows
  Keys keys_;                               // null before the first fetch that worked
  std::optional<std::int64_t> tried_ms_;    // the last fetch
  std::optional<std::int64_t> fetched_ms_;  // the last one that worked
};

}  // namespace layby::server
