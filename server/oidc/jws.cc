#include "server/oidc/jws.h"

#include <cjose/cjose.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "base/deleter.h"
#include "manifest/json_value.h"

namespace layby::server {

using manifest::Json;

namespace {

constexpr std::size_t kKeyIdBytesMax = 200;
constexpr std::size_t kRsaBitsMin = 2048;
constexpr std::size_t kRsaBitsMax = 8192;
constexpr std::string_view kBase64Url =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

using JwkPtr = std::unique_ptr<cjose_jwk_t, Deleter<cjose_jwk_release>>;
using JwsPtr = std::unique_ptr<cjose_jws_t, Deleter<cjose_jws_release>>;

tl::unexpected<Error> refuse_token(std::string_view why) {
  return fail(ErrorCode::kUnauthenticated, "the token {}", why);
}

// The one spelling of the bytes, without padding (RFC 7515, section 2).
Result<Bytes> from_base64url(std::string_view text) {
  if (text.find_first_not_of(kBase64Url) != std::string_view::npos)
    return refuse_token("is not base64url");
  std::string standard(text);
  std::replace(standard.begin(), standard.end(), '-', '+');
  std::replace(standard.begin(), standard.end(), '_', '/');
  standard.append((4 - standard.size() % 4) % 4, '=');
  Result<Bytes> bytes = from_base64(standard);
  if (!bytes) return refuse_token("is not base64url");
  return bytes;
}

Result<JwsAlgorithm> parse_algorithm(std::string_view text) {
  if (text == "RS256") return JwsAlgorithm::kRs256;
  if (text == "ES256") return JwsAlgorithm::kEs256;
  return refuse_token("has an algorithm that is not taken: only RS256 and ES256 are");
}

std::string_view to_string(JwsAlgorithm algorithm) {
  switch (algorithm) {
    case JwsAlgorithm::kRs256: return "RS256";
    case JwsAlgorithm::kEs256: return "ES256";
  }
  return "";
}

bool is_type_of_token(std::string type) {
  std::transform(type.begin(), type.end(), type.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return type == "jwt" || type == "at+jwt" || type == "application/at+jwt";
}

// Only what makes the public key goes to the library: a set that holds private parts by mistake,
// or fields that mean something else to it, is none of our business.
std::optional<Json> public_part(const Json& key, JwsAlgorithm& algorithm) {
  const auto text = [&](std::string_view name) {
    return manifest::text_field(key, name).value_or("");
  };
  Json out{{"kty", text("kty")}};
  if (text("kty") == "RSA") {
    algorithm = JwsAlgorithm::kRs256;
    out["n"] = text("n");
    out["e"] = text("e");
  } else if (text("kty") == "EC" && text("crv") == "P-256") {
    algorithm = JwsAlgorithm::kEs256;
    out["crv"] = "P-256";
    out["x"] = text("x");
    out["y"] = text("y");
  } else {
    return std::nullopt;
  }
  const bool signs = !manifest::find_field(key, "use") || text("use") == "sig";
  const bool fits = !manifest::find_field(key, "alg") || text("alg") == to_string(algorithm);
  if (!signs || !fits) return std::nullopt;
  return out;
}

bool is_json_number(std::string_view text) {
  const auto take_digits = [&] {
    const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    text.remove_prefix(digits);
    return digits;
  };
  const auto take_one_of = [&](std::string_view characters) {
    const bool is_there = !text.empty() && characters.find(text.front()) != std::string_view::npos;
    text.remove_prefix(is_there ? 1 : 0);
    return is_there;
  };
  take_one_of("-");
  const bool begins_with_zero = text.starts_with('0');
  const std::size_t whole = take_digits();
  if (whole == 0 || (begins_with_zero && whole > 1)) return false;
  if (take_one_of(".") && take_digits() == 0) return false;
  if (take_one_of("eE")) {
    take_one_of("+-");
    if (take_digits() == 0) return false;
  }
  return text.empty();
}

// The claims with every number as our JSON has it: a provider may write 1795341956.0 (a
// NumericDate, RFC 7519), or put numbers into claims that nobody here looks at. What is no whole
// number that we can hold becomes null. What is no number of JSON's stays, to be refused.
std::string with_plain_numbers(std::string_view json) {
  std::string out;
  bool in_text = false;
  for (std::size_t at = 0; at < json.size();) {
    const char c = json[at];
    const bool begins_number = !in_text && (c == '-' || (c >= '0' && c <= '9'));
    if (!begins_number) {
      if (in_text && c == '\\' && at + 1 < json.size()) out += json[at++];
      if (c == '"') in_text = !in_text;
      out += json[at++];
      continue;
    }
    const std::size_t end = std::min(json.find_first_not_of("0123456789+-.eE", at), json.size());
    const std::string_view text = json.substr(at, end - at);
    at = end;
    if (!is_json_number(text)) {
      out += text;
      continue;
    }
    double number = 0;
    const auto error = std::from_chars(text.data(), text.data() + text.size(), number).ec;
    const bool whole = error == std::errc{} && std::trunc(number) == number &&
                       std::abs(number) <= static_cast<double>(manifest::kJsonIntegerMax);
    out += whole ? fmt::format("{}", static_cast<std::int64_t>(number)) : "null";
  }
  return out;
}

}  // namespace

struct KeySet::Key {
  JwkPtr jwk;
  JwsAlgorithm algorithm;
};

KeySet::KeySet() = default;
KeySet::~KeySet() = default;
KeySet::KeySet(KeySet&&) noexcept = default;
KeySet& KeySet::operator=(KeySet&&) noexcept = default;

Result<KeySet> KeySet::parse(std::string_view text) {
  const Json json =
      TRY_CONTEXT(manifest::parse_strict(as_bytes(text), {.bytes_max = kKeySetBytesMax}), "JWKS");
  const Json& list = *TRY(manifest::array_field(json, "keys"));
  if (list.size() > kKeysMax)
    return fail(ErrorCode::kBadFormat, "JWKS: more than {} keys", kKeysMax);
  KeySet set;
  std::set<std::string> ids;
  for (const Json& entry : list) {
    const Result<std::string> id = manifest::text_field(entry, "kid");
    auto key = std::make_unique<Key>();
    const std::optional<Json> part = id ? public_part(entry, key->algorithm) : std::nullopt;
    if (!part || id->empty() || id->size() > kKeyIdBytesMax) continue;
    const std::string wire = TRY(manifest::to_wire(*part));
    cjose_err error{};
    key->jwk.reset(cjose_jwk_import(wire.data(), wire.size(), &error));
    if (!ids.insert(*id).second) {
      set.keys_.erase(*id);
      set.odd_.push_back(*id + ": names two keys");
      continue;
    }
    if (!key->jwk) {
      set.odd_.push_back(*id + ": cannot be read");
      continue;
    }
    const std::size_t bits = cjose_jwk_get_keysize(key->jwk.get(), &error);
    if (key->algorithm == JwsAlgorithm::kRs256 && (bits < kRsaBitsMin || bits > kRsaBitsMax))
      continue;
    set.keys_.emplace(*id, std::move(key));
  }
  return set;
}

Result<Jws> Jws::parse(std::string_view token) {
  if (token.size() > kTokenBytesMax) return refuse_token("is too long");
  if (std::count(token.begin(), token.end(), '.') != 2) return refuse_token("is unknown");
  const Bytes bytes = TRY(from_base64url(token.substr(0, token.find('.'))));
  const Result<Json> header = manifest::parse_strict(bytes, {.bytes_max = kTokenBytesMax});
  if (!header || !header->is_object()) return refuse_token("has no header");
  Jws jws;
  jws.token_ = std::string(token);
  jws.algorithm_ = TRY(parse_algorithm(manifest::text_field(*header, "alg").value_or("")));
  jws.key_id_ = manifest::text_field(*header, "kid").value_or("");
  if (jws.key_id_.empty() || jws.key_id_.size() > kKeyIdBytesMax)
    return refuse_token("names no key");
  // What must be understood is not understood here (RFC 7515, section 4.1.11).
  if (manifest::find_field(*header, "crit")) return refuse_token("demands extensions");
  if (manifest::find_field(*header, "typ") &&
      !is_type_of_token(manifest::text_field(*header, "typ").value_or("")))
    return refuse_token("is of another type");
  const std::string_view rest = token.substr(token.find('.') + 1);
  TRY_VOID(from_base64url(rest.substr(0, rest.find('.'))).map([](auto&&) {}));
  TRY_VOID(from_base64url(rest.substr(rest.find('.') + 1)).map([](auto&&) {}));
  return jws;
}

Result<Json> Jws::verify(const KeySet& keys) const {
  const auto found = keys.keys_.find(key_id_);
  if (found == keys.keys_.end()) return refuse_token("is signed by an unknown key");
  const KeySet::Key& key = *found->second;
  if (key.algorithm != algorithm_) return refuse_token("uses its key with another algorithm");
  cjose_err error{};
  const JwsPtr jws(cjose_jws_import(token_.data(), token_.size(), &error));
  if (!jws || !cjose_jws_verify(jws.get(), key.jwk.get(), &error))
    return refuse_token("has a wrong signature");
  std::uint8_t* plain = nullptr;  // stays the library's
  std::size_t length = 0;
  if (!cjose_jws_get_plaintext(jws.get(), &plain, &length, &error))
    return refuse_token("has no claims");
  const std::string text = with_plain_numbers(as_text({plain, length}));
  Result<Json> claims = manifest::parse_strict(as_bytes(text), {.bytes_max = kTokenBytesMax});
  if (!claims || !claims->is_object()) return refuse_token("has no claims");
  return claims;
}

}  // namespace layby::server
