#include "manifest/server_time.h"

#include "base/time_text.h"
#include "crypto/random.h"
#include "manifest/envelope.h"
#include "manifest/json_value.h"

namespace layby::manifest {
namespace {

constexpr std::uint64_t kTimeBytesMax = 4 * kKiB;

}  // namespace

TimeNonce make_time_nonce() {
  TimeNonce nonce;
  crypto::fill_random(nonce);
  return nonce;
}

Result<Bytes> make_server_time(const TimeNonce& nonce, UnixSeconds time, Signers by) {
  return sign_envelope(
      Json{{"_type", "time"}, {"nonce", to_hex(nonce)}, {"time", format_utc(time)}}, by);
}

Result<UnixSeconds> verify_server_time(ByteSpan bytes, const TimeNonce& nonce,
                                       const TrustedRepository& director) {
  const Envelope envelope = TRY_CONTEXT(Envelope::parse(bytes, kTimeBytesMax), "server time");
  const Root& root = *director.root();
  TRY_VOID(verify_threshold(envelope, root.keys, root.roles.at(Role::kTimestamp), "server time"));
  const Json& part = envelope.signed_part();
  // The same keys sign timestamps: the type keeps the two apart.
  const std::string type = TRY(text_field(part, "_type"));
  const std::string answered = TRY(text_field(part, "nonce"));
  if (type != "time") return fail(ErrorCode::kBadFormat, "server time: not a time");
  if (answered != to_hex(nonce))
    return fail(ErrorCode::kReplay, "server time: an answer to another question");
  return TRY_CONTEXT(time_field(part, "time"), "server time");
}

}  // namespace layby::manifest
