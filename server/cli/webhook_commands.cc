#include <charconv>

#include "manifest/json_value.h"
#include "server/cli/commands.h"
#include "server/cli/idempotency.h"
#include "server/cli/output.h"

namespace layby::cli {
namespace {

std::string webhook_path(const std::string& id) {
  return "/v1/webhooks/" + encode_segment(id);
}

Result<std::uint64_t> number_of(const std::string& text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size())
    return fail(ErrorCode::kInvalidArgument, "--after {}: a number is wanted", text);
  return value;
}

}  // namespace

Result<void> create_webhook(Session& session, const NewWebhook& wanted) {
  Json body{{"url", wanted.url}};
  if (!wanted.types.empty()) body["types"] = wanted.types;
  if (!wanted.after.empty()) body["after"] = TRY(number_of(wanted.after));
  Json made = TRY(session.call_once("/v1/webhooks", body, key_or_fresh("")));
  if (!wanted.secret_out.empty()) {
    const std::string secret = TRY(manifest::text_field(made, "secret"));
    TRY_VOID(replace_file(session.disk(), wanted.secret_out, as_bytes(secret + "\n")));
    made.erase("secret");
  }
  print_thing(session, made);
  return {};
}

Result<void> list_webhooks(Session& session) {
  print_list(session, TRY(session.get("/v1/webhooks")),
             {{"ID", "id"},
              {"URL", "url"},
              {"AFTER", "after"},
              {"ATTEMPTS", "attempts"},
              {"DEAD", "dead_letters"},
              {"ERROR", "error"}});
  return {};
}

Result<void> delete_webhook(Session& session, const std::string& id) {
  print_thing(session, TRY(session.call("DELETE", webhook_path(id), Json())));
  return {};
}

Result<void> list_dead_letters(Session& session, const std::string& id, const Page& page) {
  print_list(session, TRY(session.get(with_page(webhook_path(id) + "/dead-letters", page))),
             {{"EVENT", "event"}, {"ATTEMPTS", "attempts"}, {"AT", "at"}, {"ERROR", "error"}});
  return {};
}

Result<void> retry_dead_letters(Session& session, const std::string& id, const std::string& event) {
  std::string path = webhook_path(id) + "/dead-letters";
  if (!event.empty()) path += "/" + encode_segment(event);
  print_thing(session, TRY(session.call("POST", path + "/retry", Json::object())));
  return {};
}

}  // namespace layby::cli
