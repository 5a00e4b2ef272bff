#include "server/fleet/one_time_code.h"

#include "base/time_text.h"
#include "crypto/digest.h"
#include "crypto/random.h"
#include "manifest/json_value.h"
#include "server/fleet/json_answer.h"

namespace layby::server {

using manifest::Json;

std::string make_code() {
  return crypto::random_text(kCodeAlphabet, kCodeLength);
}

std::string digest_of_typed_code(std::string_view typed) {
  std::string code;
  for (const char c : typed) {
    if (c == '-' || c == ' ') continue;
    code += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  }
  return to_hex(crypto::sha256(as_bytes(code)));
}

Result<WrongTries> load_wrong_tries(Change& change, std::string_view key, UnixSeconds now) {
  const std::optional<std::string> text = TRY(change.get(key));
  if (!text) return WrongTries{};
  const Json json = TRY(parse_stored("wrong tries", *text));
  auto count = TRY(manifest::uint_field(json, "wrong"));
  auto last = TRY(manifest::time_field(json, "last"));
  return now >= last + kCodeLockSeconds ? WrongTries{} : WrongTries{.count = count, .last = last};
}

void count_wrong_try(Change& change, std::string_view key, const WrongTries& before,
                     UnixSeconds now) {
  change.put(key, to_stored({{"wrong", before.count + 1}, {"last", format_utc(now)}}));
}

}  // namespace layby::server
