// What an identity provider and those who come with its tokens send: the first byte says what the
// rest is: a token, one key of its key set, or header and claims, a line each, which are signed
// here. Nobody is believed without a signature; who is believed is what the claims say.
#include "base/assert.h"
#include "server/oidc/verifier.h"
#include "tests/server/oidc/test_provider.h"

using namespace layby;
using namespace layby::server;
using manifest::Json;

namespace {

constexpr UnixSeconds kNow = 1'800'000'000;
constexpr const char* kKeyId = "k1";

struct World {
  tests::ProviderKey key{tests::KeyType::kEc, kKeyId};
  std::string keys = tests::key_set({key.jwk()});
  ManualClock clock{kNow};

  OidcVerifier verifier() const {
    OidcOptions options;
    options.issuer = "https://id";
    options.audience = "layby";
    options.roles = {{"admin", "operator"}, {"customer", "owner"}};
    return OidcVerifier(
        std::move(options), [this]() -> Result<std::string> { return keys; }, clock);
  }
};

void check_token(const World& world, std::string_view token) {
  LAYBY_ASSERT(!world.verifier().verify(token, kNow));
  if (const auto jws = Jws::parse(token)) LAYBY_ASSERT(!jws->verify(*KeySet::parse(world.keys)));
}

// One odd key does not take the others away.
void check_key(const World& world, std::string_view text) {
  const std::string own = world.key.jwk().dump();
  const auto alone = KeySet::parse(text);
  LAYBY_ASSERT(!alone || alone->size() <= kKeysMax);
  const auto entry =
      manifest::parse_strict(as_bytes(text), {.bytes_max = kKeySetBytesMax / 2, .depth_max = 32});
  if (!entry) return;
  const auto keys = KeySet::parse(Json{{"keys", {*entry, world.key.jwk()}}}.dump());
  LAYBY_ASSERT(keys && keys->size() <= 2);
  LAYBY_ASSERT(keys->contains(kKeyId) || manifest::text_field(*entry, "kid") == kKeyId);
  if (manifest::text_field(*entry, "kty") == "oct") LAYBY_ASSERT(keys->size() == 1);
}

// The same token with one sign of it changed.
void check_altered(const World& world, std::string token, std::size_t at) {
  token[at % token.size()] = token[at % token.size()] == 'A' ? 'B' : 'A';
  LAYBY_ASSERT(!world.verifier().verify(token, kNow));
}

bool says(const Json& claims, const char* name, const char* wanted) {
  const Json* claim = manifest::find_field(claims, name);
  if (claim == nullptr) return false;
  if (!claim->is_array()) return *claim == wanted;
  return std::find(claim->begin(), claim->end(), wanted) != claim->end();
}

void check_claims(const World& world, std::string_view text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view header = text.substr(0, end);
  const std::string_view claims = text.substr(std::min(end + 1, text.size()));
  const std::string body = tests::base64url(header) + "." + tests::base64url(claims);
  const std::string token = body + "." + tests::base64url(world.key.sign(body));
  const auto identity = world.verifier().verify(token, kNow);
  if (!identity) return;
  const Json said = Json::parse(claims);
  LAYBY_ASSERT(says(said, "iss", "https://id") && says(said, "aud", "layby"));
  LAYBY_ASSERT(says(said, "sub", identity->subject.c_str()));
  LAYBY_ASSERT(said.at("exp").get<double>() > static_cast<double>(kNow - 60));
  LAYBY_ASSERT(says(said, "role", identity->role == "operator" ? "admin" : "customer"));
  check_altered(world, token, text.size() * 7);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const World world;
  if (size == 0) return 0;
  const std::string_view rest = as_text({data + 1, size - 1});
  switch (data[0] % 3) {
    case 0: check_token(world, rest); break;
    case 1: check_key(world, rest); break;
    case 2: check_claims(world, rest); break;
  }
  return 0;
}
