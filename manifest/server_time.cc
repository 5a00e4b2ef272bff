#include "manifest/server_time.h"

#include <algorithm>
#include <set>

#include "base/time_text.h"
#include "crypto/random.h"
#include "manifest/envelope.h"
#include "manifest/json_value.h"

namespace layby::manifest {
namespace {

constexpr std::uint64_t kTimeBytesMax = 4 * kKiB;
constexpr std::string_view kJoinedNonces = "layby time nonces 1";
constexpr UnixSeconds kSignedTimeStepBackMax = 300;
constexpr std::size_t kTimeKeysMax = 32;  // what a journal has to keep

// Signed by the Director's timestamp role. The same keys sign timestamps: the type keeps what they
// sign apart.
Result<Envelope> open_time(ByteSpan bytes, std::string_view type,
                           const TrustedRepository& director) {
  Envelope envelope = TRY_CONTEXT(Envelope::parse(bytes, kTimeBytesMax), type);
  const Root& root = *director.root();
  TRY_VOID(verify_threshold(envelope, root.keys, root.roles.at(Role::kTimestamp), type));
  const std::string named = TRY(text_field(envelope.signed_part(), "_type"));
  if (named != type) return fail(ErrorCode::kBadFormat, "{}: not of this type", type);
  return envelope;
}

}  // namespace

TimeNonce make_time_nonce() {
  TimeNonce nonce;
  crypto::fill_random(nonce);
  return nonce;
}

TimeNonce join_time_nonces(std::span<const TimeNonce> nonces) {
  const std::set<TimeNonce> sorted(nonces.begin(), nonces.end());
  Bytes text = to_bytes(kJoinedNonces);
  text.push_back(0);
  for (const TimeNonce& nonce : sorted) text.insert(text.end(), nonce.begin(), nonce.end());
  const crypto::Digest256 digest = crypto::sha256(text);
  TimeNonce joined;
  std::copy_n(digest.begin(), joined.size(), joined.begin());
  return joined;
}

TimeKeys time_keys(const Root& root) {
  std::set<crypto::Digest256> keys;
  for (const KeyId& id : root.roles.at(Role::kTimestamp).key_ids)
    if (const auto key = root.keys.find(id); key != root.keys.end())
      keys.insert(crypto::sha256(as_bytes(key->second.id())));
  if (keys.size() <= kTimeKeysMax) return TimeKeys(keys.begin(), keys.end());
  Bytes all;
  for (const crypto::Digest256& key : keys) all.insert(all.end(), key.begin(), key.end());
  return {crypto::sha256(all)};
}

Json to_json(const TimeKeys& keys) {
  Json list = Json::array();
  for (const crypto::Digest256& key : keys) list.push_back(to_hex(key));
  return list;
}

Result<TimeKeys> time_keys_field(const Json& object, std::string_view name) {
  const Json* list = find_field(object, name);
  TimeKeys keys;
  if (list == nullptr || !list->is_array()) return keys;
  for (const Json& entry : *list) {
    const auto* text = entry.get_ptr<const std::string*>();
    if (text == nullptr) return fail(ErrorCode::kBadFormat, "\"{}\" is no list of digests", name);
    keys.push_back(TRY_CONTEXT(array_from_hex<crypto::Digest256{}.size()>(*text), name));
  }
  return keys;
}

bool still_holds(const TimeKeys& then, const TimeKeys& now) {
  return std::ranges::includes(now, then);
}

Result<UnixSeconds> accept_signed_time(UnixSeconds signed_time, UnixSeconds held) {
  if (signed_time + kSignedTimeStepBackMax < held)
    return fail(ErrorCode::kRollback, "signed time {} is older than {}, which was signed before",
                signed_time, held);
  return std::max(signed_time, held);
}

Result<void> check_time_witness(UnixSeconds signed_time, const Root& root) {
  if (signed_time < root.expires) return {};
  return fail(ErrorCode::kFreeze, "the signed time {} is past the expiry of root {}, {}",
              format_utc(signed_time), root.version, format_utc(root.expires));
}

Result<Bytes> make_server_time(const TimeNonce& nonce, UnixSeconds time, Signers by) {
  return sign_envelope(
      Json{{"_type", "time"}, {"nonce", to_hex(nonce)}, {"time", format_utc(time)}}, by);
}

Result<UnixSeconds> verify_server_time(ByteSpan bytes, const TimeNonce& nonce,
                                       const TrustedRepository& director) {
  const Envelope envelope = TRY(open_time(bytes, "time", director));
  const Json& part = envelope.signed_part();
  const std::string answered = TRY(text_field(part, "nonce"));
  if (answered != to_hex(nonce))
    return fail(ErrorCode::kReplay, "server time: an answer to another question");
  return TRY_CONTEXT(time_field(part, "time"), "server time");
}

Result<Bytes> make_package_time(const Vin& vin, UnixSeconds time, Signers by) {
  return sign_envelope(
      Json{{"_type", "package-time"}, {"time", format_utc(time)}, {"vin", vin.text()}}, by);
}

Result<UnixSeconds> verify_package_time(ByteSpan bytes, const Vin& vin,
                                        const TrustedRepository& director) {
  const Envelope envelope = TRY(open_time(bytes, "package-time", director));
  const Json& part = envelope.signed_part();
  const std::string named = TRY(text_field(part, "vin"));
  if (named != vin.text())
    return fail(ErrorCode::kWrongVehicle, "the package is for {}, this is {}", named, vin.text());
  return TRY_CONTEXT(time_field(part, "time"), "package-time");
}

}  // namespace layby::manifest
