#include "crypto/pkcs11_signer.h"

#include <p11-kit/p11-kit.h>
#include <p11-kit/pkcs11.h>
#include <p11-kit/uri.h>

#include <algorithm>
#include <mutex>
#include <optional>
#include <vector>

#include "base/deleter.h"
#include "crypto/digest.h"
#include "crypto/pem_key.h"

namespace layby::crypto {
namespace {

using Uri = std::unique_ptr<P11KitUri, Deleter<p11_kit_uri_free>>;
using Scheme = PublicPart::Scheme;

constexpr CK_ULONG kSlotsMax = 256;
constexpr std::size_t kPointBytes = 32;  // of a coordinate or number of either curve
constexpr std::size_t kAttributeBytesMax = 1024;
// DER of a SubjectPublicKeyInfo for P-256 (RFC 5480) up to the point, and the curve's OID.
constexpr std::string_view kP256Head = "3059301306072a8648ce3d020106082a8648ce3d030107034200";
constexpr std::string_view kP256Oid = "06082a8648ce3d030107";

std::string hex_of(const Bytes& bytes) {
  return to_hex(bytes);
}

Error token_error(const char* what, CK_RV status) {
  const bool is_pin = status == CKR_PIN_INCORRECT || status == CKR_PIN_INVALID ||
                      status == CKR_PIN_LEN_RANGE || status == CKR_PIN_LOCKED;
  return {is_pin ? ErrorCode::kUnauthenticated : ErrorCode::kInternal,
          fmt::format("PKCS#11: {}: {}", what, p11_kit_strerror(status))};
}

Result<void> check(const char* what, CK_RV status) {
  if (status == CKR_OK) return {};
  return fail(token_error(what, status));
}

Result<Uri> parse_uri(const std::string& text) {
  Uri uri(p11_kit_uri_new());
  if (!uri || p11_kit_uri_parse(text.c_str(), P11_KIT_URI_FOR_ANY, uri.get()) != P11_KIT_URI_OK ||
      p11_kit_uri_any_unrecognized(uri.get()) != 0)
    return fail(ErrorCode::kInvalidArgument, "{} is no PKCS#11 URI (RFC 7512)", text);
  if (p11_kit_uri_get_module_path(uri.get()) == nullptr)
    return fail(ErrorCode::kInvalidArgument, "{}: module-path is missing", text);
  return uri;
}

// An INTEGER of DER: shortest, and positive.
void put_integer(Bytes& out, ByteSpan number) {
  while (number.size() > 1 && number.front() == 0) number = number.subspan(1);
  const bool is_high = (number.front() & 0x80) != 0;
  out.push_back(0x02);
  out.push_back(static_cast<std::uint8_t>(number.size() + (is_high ? 1 : 0)));
  if (is_high) out.push_back(0);
  out.insert(out.end(), number.begin(), number.end());
}

// r and s as the token gives them -> ECDSA-Sig-Value (RFC 3279, section 2.2.3).
Bytes der_signature(ByteSpan both) {
  Bytes inner;
  put_integer(inner, both.first(kPointBytes));
  put_integer(inner, both.subspan(kPointBytes));
  Bytes der{0x30, static_cast<std::uint8_t>(inner.size())};
  der.insert(der.end(), inner.begin(), inner.end());
  return der;
}

std::string pem_of(ByteSpan point) {
  Bytes der = from_hex(kP256Head).value();
  der.insert(der.end(), point.begin(), point.end());
  const std::string text = to_base64(der);
  std::string pem = "-----BEGIN PUBLIC KEY-----\n";
  constexpr std::size_t kLine = 64;
  for (std::size_t at = 0; at < text.size(); at += kLine) pem += text.substr(at, kLine) + "\n";
  return pem + "-----END PUBLIC KEY-----\n";
}

// The point in its OCTET STRING; some tokens leave the wrapping out. The length tells which it is:
// the first bytes of a bare point may be anything.
Result<PublicPart> part_of(CK_KEY_TYPE type, const Bytes& parameters, const Bytes& point) {
  ByteSpan bare(point);
  const std::size_t point_bytes = type == CKK_EC_EDWARDS ? kPointBytes : 2 * kPointBytes + 1;
  const bool is_wrapped =
      bare.size() == point_bytes + 2 && bare[0] == 0x04 && bare[1] == point_bytes;
  if (is_wrapped) bare = bare.subspan(2);
  if (type == CKK_EC_EDWARDS && bare.size() == kPointBytes)
    return PublicPart{Scheme::kEd25519, to_hex(bare)};
  if (type == CKK_EC && bare.size() == 2 * kPointBytes + 1 && hex_of(parameters) == kP256Oid)
    return PublicPart{Scheme::kEcdsaP256, pem_of(bare)};
  return fail(ErrorCode::kUnsupported, "PKCS#11: neither an Ed25519 nor a P-256 key");
}

bool verifies(const PublicPart& part, ByteSpan message, ByteSpan signature) {
  if (part.scheme == Scheme::kEd25519) {
    const auto key = array_from_hex<32>(part.value);
    return key && verify_ed25519(*key, message, signature);
  }
  const auto key = PemKey::parse(part.value, PemKey::Kind::kEcdsaP256);
  return key && key->verify(message, signature);
}

}  // namespace

struct Pkcs11Signer::State {
  CK_FUNCTION_LIST* module = nullptr;
  bool initialized = false;
  CK_SESSION_HANDLE session = CK_INVALID_HANDLE;
  CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
  PublicPart part;
  std::mutex mutex;  // one session does one thing at a time

  ~State() {
    if (session != CK_INVALID_HANDLE) module->C_CloseSession(session);
    if (initialized) p11_kit_module_finalize(module);
    if (module != nullptr) p11_kit_module_release(module);
  }

  Result<void> load(const char* path) {
    module = p11_kit_module_load(path, 0);
    if (module == nullptr)
      return fail(ErrorCode::kIo, "PKCS#11 module {}: {}", path, p11_kit_message());
    TRY_VOID(check("the module does not start", p11_kit_module_initialize(module)));
    initialized = true;
    return {};
  }

  Result<CK_SLOT_ID> find_slot(P11KitUri* uri) const {
    std::vector<CK_SLOT_ID> slots(kSlotsMax);
    CK_ULONG count = kSlotsMax;
    TRY_VOID(check("no list of slots", module->C_GetSlotList(CK_TRUE, slots.data(), &count)));
    std::vector<CK_SLOT_ID> found;
    for (CK_ULONG i = 0; i < count; ++i) {
      CK_TOKEN_INFO info{};
      if (module->C_GetTokenInfo(slots[i], &info) != CKR_OK) continue;
      const bool is_ready = (info.flags & CKF_TOKEN_INITIALIZED) != 0;
      if (is_ready && p11_kit_uri_match_token_info(uri, &info) == 1) found.push_back(slots[i]);
    }
    if (found.size() == 1) return found.front();
    return fail(ErrorCode::kNotFound, "PKCS#11: {} tokens are what the URI says, and not one",
                found.size());
  }

  Result<void> log_in(CK_SLOT_ID slot, std::string_view pin) {
    TRY_VOID(check("no session",
                   module->C_OpenSession(slot, CKF_SERIAL_SESSION, nullptr, nullptr, &session)));
    std::string text(pin);  // the interface asks for bytes that may be changed
    const CK_RV status = module->C_Login(session, CKU_USER,
                                         reinterpret_cast<CK_UTF8CHAR*>(text.data()), text.size());
    std::fill(text.begin(), text.end(), '\0');
    return status == CKR_USER_ALREADY_LOGGED_IN ? Result<void>{} : check("log in", status);
  }

  Result<CK_OBJECT_HANDLE> find_object(P11KitUri* uri, CK_OBJECT_CLASS kind) const {
    std::vector<CK_ATTRIBUTE> wanted{{CKA_CLASS, &kind, sizeof kind}};
    for (const CK_ATTRIBUTE_TYPE type : {CKA_LABEL, CKA_ID})
      if (CK_ATTRIBUTE* given = p11_kit_uri_get_attribute(uri, type)) wanted.push_back(*given);
    if (wanted.size() == 1)
      return fail(ErrorCode::kInvalidArgument, "the PKCS#11 URI names no object and no id");
    TRY_VOID(check("search", module->C_FindObjectsInit(session, wanted.data(), wanted.size())));
    std::array<CK_OBJECT_HANDLE, 2> found{};
    CK_ULONG count = 0;
    const CK_RV status = module->C_FindObjects(session, found.data(), found.size(), &count);
    module->C_FindObjectsFinal(session);
    TRY_VOID(check("search", status));
    if (count == 1) return found.front();
    return fail(ErrorCode::kNotFound, "PKCS#11: {} {} keys are what the URI says",
                count == 0 ? "no" : "several", kind == CKO_PRIVATE_KEY ? "private" : "public");
  }

  Result<Bytes> attribute(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type) const {
    Bytes value(kAttributeBytesMax);
    CK_ATTRIBUTE wanted{type, value.data(), value.size()};
    TRY_VOID(
        check("read the public key", module->C_GetAttributeValue(session, object, &wanted, 1)));
    value.resize(wanted.ulValueLen);
    return value;
  }

  Result<void> read_public(CK_OBJECT_HANDLE object) {
    CK_KEY_TYPE type = 0;
    CK_ATTRIBUTE wanted{CKA_KEY_TYPE, &type, sizeof type};
    TRY_VOID(
        check("read the kind of key", module->C_GetAttributeValue(session, object, &wanted, 1)));
    if (type != CKK_EC && type != CKK_EC_EDWARDS)
      return fail(ErrorCode::kUnsupported, "PKCS#11: neither an Ed25519 nor a P-256 key");
    const Bytes parameters = TRY(attribute(object, CKA_EC_PARAMS));
    const Bytes point = TRY(attribute(object, CKA_EC_POINT));
    part = TRY(part_of(type, parameters, point));
    return {};
  }

  Result<Bytes> sign(ByteSpan message) {
    const std::lock_guard lock(mutex);
    const bool is_ed25519 = part.scheme == Scheme::kEd25519;
    CK_MECHANISM mechanism{is_ed25519 ? CKM_EDDSA : CKM_ECDSA, nullptr, 0};
    // ECDSA is done on the digest: not every token hashes.
    const Digest256 digest = is_ed25519 ? Digest256{} : sha256(message);
    Bytes input = is_ed25519 ? to_bytes(as_text(message)) : Bytes(digest.begin(), digest.end());
    const CK_ULONG input_bytes = input.size();
    input.resize(std::max<std::size_t>(1, input.size()));  // a pointer to nothing is refused
    Bytes signature(2 * kPointBytes);
    CK_ULONG size = signature.size();
    TRY_VOID(check("sign", module->C_SignInit(session, &mechanism, key)));
    TRY_VOID(
        check("sign", module->C_Sign(session, input.data(), input_bytes, signature.data(), &size)));
    if (size != signature.size())
      return fail(ErrorCode::kInternal, "PKCS#11: a signature of {} bytes", size);
    return is_ed25519 ? signature : der_signature(signature);
  }
};

Pkcs11Signer::Pkcs11Signer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Pkcs11Signer::~Pkcs11Signer() = default;

Result<std::unique_ptr<Pkcs11Signer>> Pkcs11Signer::open(const std::string& uri_text,
                                                         std::string_view pin) {
  const Uri uri = TRY(parse_uri(uri_text));
  auto state = std::make_unique<State>();
  TRY_VOID(state->load(p11_kit_uri_get_module_path(uri.get())));
  const CK_SLOT_ID slot = TRY(state->find_slot(uri.get()));
  TRY_VOID(state->log_in(slot, pin));
  state->key = TRY(state->find_object(uri.get(), CKO_PRIVATE_KEY));
  const CK_OBJECT_HANDLE public_key = TRY(state->find_object(uri.get(), CKO_PUBLIC_KEY));
  TRY_VOID(state->read_public(public_key));
  const Bytes question = to_bytes("Do these two keys belong together?");
  const Bytes answer = TRY(state->sign(question));
  if (!verifies(state->part, question, answer))
    return fail(ErrorCode::kUnsupported, "PKCS#11: the public key is not that of the private one");
  return std::unique_ptr<Pkcs11Signer>(new Pkcs11Signer(std::move(state)));
}

PublicPart Pkcs11Signer::public_part() const {
  return state_->part;
}

Result<Bytes> Pkcs11Signer::sign(ByteSpan message) const {
  return state_->sign(message);
}

}  // namespace layby::crypto
