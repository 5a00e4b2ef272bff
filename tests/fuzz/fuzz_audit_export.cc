// Exports of an audit trail: the input as it is, and as the part to sign. What verifies has a
// record for each number, and goes on from itself.
#include "base/assert.h"
#include "base/limits.h"
#include "manifest/audit_trail.h"
#include "manifest/envelope.h"
#include "manifest/json_value.h"

using namespace layby;
using namespace layby::manifest;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto key = crypto::MemorySigner::from_seed({5});
  static const std::vector<PublicKey> keys{PublicKey::from_ed25519(key->public_key())};
  LAYBY_ASSERT(!verify_audit_export({data, size}, keys, std::nullopt));
  const auto part = parse_strict({data, size}, {.bytes_max = kMiB, .depth_max = kJsonDepthMax - 1});
  if (!part) return 0;
  const Bytes file = *sign_envelope(*part, *key);
  const auto verified = verify_audit_export(file, keys, std::nullopt);
  if (!verified) return 0;
  const Json& records = *find_field(*part, "records");
  LAYBY_ASSERT(verified->head().seq - verified->from().seq == records.size());
  LAYBY_ASSERT(verified->digest_at(verified->head().seq) == verified->head().digest);
  LAYBY_ASSERT(verify_audit_extends(*verified, *verified));
  // It can be written again, record by record.
  AuditExportWriter writer(verified->vin(), verified->exported(), verified->from(),
                           verified->head());
  for (const Json& record : records) LAYBY_ASSERT(writer.add(record));
  LAYBY_ASSERT(verify_audit_export(*writer.sign(*key), keys, verified->vin()));
  return 0;
}
