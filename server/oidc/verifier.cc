#include "server/oidc/verifier.h"

#include <algorithm>

#include "manifest/json_value.h"

namespace layby::server {

using manifest::Json;

namespace {

constexpr std::size_t kSubjectBytesMax = 255;  // OpenID Connect Core 1.0, section 2
constexpr std::size_t kTextBytesMax = 200;
constexpr std::string_view kRolesByPower[] = {"operator", "partner", "owner"};

tl::unexpected<Error> refuse_token(std::string_view why) {
  return fail(ErrorCode::kUnauthenticated, "the token {}", why);
}

// A text, or one of a list of texts.
bool holds(const Json& claim, std::string_view wanted) {
  const auto is_it = [&](const Json& value) {
    const auto* text = value.get_ptr<const std::string*>();
    return text != nullptr && *text == wanted;
  };
  if (claim.is_array()) return std::any_of(claim.begin(), claim.end(), is_it);
  return is_it(claim);
}

// A time of the claims: seconds, and no other number.
Result<std::optional<UnixSeconds>> time_claim(const Json& claims, std::string_view name) {
  if (!manifest::find_field(claims, name)) return std::nullopt;
  const Result<std::uint64_t> seconds = manifest::uint_field(claims, name);
  if (!seconds) return refuse_token("has a time that is none");
  return static_cast<UnixSeconds>(*seconds);
}

const Json* find_deep(const Json& claims, std::string_view path) {
  const Json* at = &claims;
  for (;;) {
    const std::size_t slash = path.find('/');
    at = manifest::find_field(*at, path.substr(0, slash));
    if (at == nullptr || slash == std::string_view::npos) return at;
    path.remove_prefix(slash + 1);
  }
}

}  // namespace

OidcVerifier::OidcVerifier(OidcOptions options, FetchKeys fetch, const Clock& clock)
    : options_(std::move(options)), fetch_(std::move(fetch)), clock_(clock) {}

OidcVerifier::Keys OidcVerifier::keys() const {
  const std::lock_guard lock(mutex_);
  const bool stale = !fetched_ms_ || clock_.monotonic_ms() - *fetched_ms_ > kKeysStaleMs;
  return stale ? nullptr : keys_;
}

Result<void> OidcVerifier::fetch_now() {
  {
    const std::lock_guard lock(mutex_);
    tried_ms_ = clock_.monotonic_ms();
  }
  const std::string text = TRY(fetch_());
  auto fresh = std::make_shared<const KeySet>(TRY(KeySet::parse(text)));
  for (const std::string& odd : fresh->odd()) options_.on_odd_key(odd);
  if (fresh->size() == 0)
    return fail(ErrorCode::kBadFormat, "JWKS: no key for RS256 or ES256 in it");
  const std::lock_guard lock(mutex_);
  keys_ = std::move(fresh);
  fetched_ms_ = clock_.monotonic_ms();
  return {};
}

Result<void> OidcVerifier::load() {
  const std::lock_guard fetching(fetching_);
  return fetch_now();
}

Result<OidcVerifier::Keys> OidcVerifier::keys_for(std::string_view key_id) {
  Keys present = keys();
  const auto wants_fetch = [&] {
    const std::lock_guard lock(mutex_);
    const std::int64_t now_ms = clock_.monotonic_ms();
    if (tried_ms_ && now_ms - *tried_ms_ < kKeysFetchedAgainMs) return false;
    return !present || !present->contains(key_id) || now_ms - *fetched_ms_ > kKeysOldMs;
  };
  if (wants_fetch()) {
    // One fetches; the others go on with what there is rather than wait for somebody's server.
    const std::unique_lock fetching(fetching_, std::try_to_lock);
    if (fetching && wants_fetch()) {
      const Result<void> fetched = fetch_now();
      if (!fetched && !present)
        return fail(ErrorCode::kUnavailable, "the identity provider's keys: {}",
                    fetched.error().message());
      present = keys();
    }
  }
  if (!present)
    return fail(ErrorCode::kUnavailable, "the identity provider's keys are not there, try again");
  return present;
}

Result<std::string> OidcVerifier::read_role(const Json& claims) const {
  if (const Json* claim = find_deep(claims, options_.role_claim)) {
    for (const std::string_view role : kRolesByPower)
      for (const auto& [text, ours] : options_.roles)
        if (ours == role && holds(*claim, text)) return ours;
  }
  if (options_.default_role.empty())
    return fail(ErrorCode::kForbidden, "the token gives its subject no role here");
  return options_.default_role;
}

Result<OidcIdentity> OidcVerifier::read_claims(const Json& claims, UnixSeconds now) const {
  if (manifest::text_field(claims, "iss").value_or("") != options_.issuer)
    return refuse_token("is of another issuer");
  const Json* audience = manifest::find_field(claims, "aud");
  if (audience == nullptr || !holds(*audience, options_.audience))
    return refuse_token("is for another audience");
  const auto expires = TRY(time_claim(claims, "exp"));
  if (!expires) return refuse_token("never expires");
  if (now >= *expires + options_.skew_seconds) return refuse_token("has expired");
  for (const char* name : {"nbf", "iat"}) {
    const auto from = TRY(time_claim(claims, name));
    if (from && now < *from - options_.skew_seconds) return refuse_token("is not valid yet");
  }
  OidcIdentity identity;
  identity.subject = manifest::text_field(claims, "sub").value_or("");
  if (identity.subject.empty() || identity.subject.size() > kSubjectBytesMax)
    return refuse_token("names no subject");
  identity.role = TRY(read_role(claims));
  identity.issued = TRY(time_claim(claims, "iat"));
  identity.name = manifest::text_field(claims, "name").value_or("");
  if (identity.name.empty() || identity.name.size() > kTextBytesMax) identity.name = "unnamed";
  const Result<std::string> email = manifest::text_field(claims, "email");
  if (email && !email->empty() && email->size() <= kTextBytesMax) identity.email = *email;
  return identity;
}

Result<OidcIdentity> OidcVerifier::verify(std::string_view token, UnixSeconds now) {
  const Jws jws = TRY(Jws::parse(token));
  const Keys keys = TRY(keys_for(jws.key_id()));
  return read_claims(TRY(jws.verify(*keys)), now);
}

}  // namespace layby::server
