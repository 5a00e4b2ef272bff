// Public keys of strangers: the input is a PEM. What is read verifies nothing that it did not sign,
// and has one value.
#include "base/assert.h"
#include "crypto/pem_key.h"

using namespace layby;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteSpan bytes{data, size};
  for (const auto kind : {crypto::PemKey::Kind::kEcdsaP256, crypto::PemKey::Kind::kRsa}) {
    const auto key = crypto::PemKey::parse(as_text(bytes), kind);
    if (!key) continue;
    LAYBY_ASSERT(!key->verify(bytes, bytes));
    LAYBY_ASSERT(crypto::PemKey::parse(as_text(bytes), kind)->value() == key->value());
  }
  return 0;
}
