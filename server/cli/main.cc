// layby: operator, partner and owner at the command line, over the HTTP API only.
//
// Each group of commands is described by one function below; what a command does is in commands.h
// and image_publish.h. Exit statuses: README.md.
#include <CLI/CLI.hpp>
#include <functional>
#include <memory>

#include "crypto/initialize.h"
#include "server/cli/ceremony_main.h"
#include "server/cli/commands.h"
#include "server/cli/image_publish.h"
#include "server/cli/offline_package.h"

namespace layby::cli {
namespace {

using Command = std::function<Result<void>(Session&)>;

struct Program {
  SessionConfig config;
  Command chosen;
  std::function<ExitStatus()> chosen_offline;  // instead, for what needs no server
};

// When `sub` was given on the command line, `function(session, *options)` is what runs.
template <typename Options, typename Function>
void on_chosen(Program& program, CLI::App* sub, std::shared_ptr<Options> options,
               Function function) {
  sub->callback([&program, options, function] {
    program.chosen = [options, function](Session& session) { return function(session, *options); };
  });
}

CLI::App* group(CLI::App& app, const std::string& name, const std::string& what) {
  CLI::App* made = app.add_subcommand(name, what);
  made->require_subcommand(1);
  return made;
}

void add_page(CLI::App* sub, Page& page) {
  sub->add_option("--after", page.after, "show what comes after this id");
  sub->add_option("--limit", page.limit, "at most this many");
}

void add_global_options(CLI::App& app, Program& program) {
  app.add_option("--server", program.config.server, "https://HOST:PORT")->envname("LAYBY_SERVER");
  app.add_option("--ca", program.config.ca_file, "PEM file of the server's authority")
      ->envname("LAYBY_CA");
  app.add_option("--token-file", program.config.token_file,
                 "file with the bearer token (or the token itself in LAYBY_TOKEN)");
  app.add_flag_callback(
      "--json", [&program] { program.config.form = OutputForm::kJson; }, "print the server's JSON");
}

void add_account_commands(CLI::App& app, Program& program) {
  CLI::App* accounts = group(app, "account", "accounts of people and programs");
  CLI::App* create = accounts->add_subcommand("create", "a new one");
  auto account = std::make_shared<NewAccount>();
  create->add_option("NAME", account->name)->required();
  create->add_option("--role", account->role, "operator, partner or owner")->required();
  create->add_option("--email", account->email);
  create->add_option("--subject", account->subject, "of the identity provider; makes no token");
  create->add_option("--token-out", account->token_out,
                     "write the token to this file (mode 0600) and do not print it");
  create->add_option("--idempotency-key", account->idempotency_key);
  on_chosen(program, create, account, create_account);

  CLI::App* list = accounts->add_subcommand("list", "all of them (operator)");
  auto page = std::make_shared<Page>();
  add_page(list, *page);
  on_chosen(program, list, page, list_accounts);
  const auto add = [&](const char* name, const char* what, auto function) {
    CLI::App* sub = accounts->add_subcommand(name, what);
    auto id = std::make_shared<std::string>("me");
    sub->add_option("ACCOUNT", *id, "the own one where it is left out");
    on_chosen(program, sub, id, function);
  };
  add("show", "one account", show_account);
  add("tokens", "its tokens, without what is secret", list_tokens);
  CLI::App* erase = accounts->add_subcommand("erase", "deletes it and its personal data for good");
  auto erased = std::make_shared<std::string>();
  erase->add_option("ACCOUNT", *erased)->required();
  on_chosen(program, erase, erased, erase_account);
}

void add_token_commands(CLI::App& app, Program& program) {
  CLI::App* accounts = app.get_subcommand("account");
  CLI::App* token = accounts->add_subcommand("token", "a further token");
  auto wanted = std::make_shared<NewToken>();
  token->add_option("ACCOUNT", wanted->account, "or me")->required();
  token->add_option("--token-out", wanted->token_out, "write the token to this file (mode 0600)");
  token->add_option("--scope", wanted->scopes, "what it may be used for; repeatable");
  token->add_option("--expires-days", wanted->expires_days)->check(CLI::Range(1, 365));
  token->add_option("--note", wanted->note, "what it is for");
  on_chosen(program, token, wanted, create_token);
  CLI::App* revoke = accounts->add_subcommand("revoke", "ends one token, or all of an account");
  auto name = std::make_shared<TokenName>();
  revoke->add_option("ACCOUNT", name->account, "or me")->required();
  revoke->add_option("TOKEN", name->token, "tok_…; all where it is left out");
  on_chosen(program, revoke, name, revoke_tokens);
}

void add_ecu_commands(CLI::App* cars, Program& program) {
  CLI::App* replace = cars->add_subcommand(
      "replace-ecu", "lets an exchanged ECU in, within a day (partner, operator)");
  auto wanted = std::make_shared<NewEcu>();
  replace->add_option("VIN", wanted->vin)->required();
  replace->add_option("ECU", wanted->ecu, "serial of the old one")->required();
  replace->add_option("SERIAL", wanted->serial, "of the new one; the same: it has a new key")
      ->required();
  replace->add_option("--hardware-id", wanted->hardware_id, "without it that of the old one");
  on_chosen(program, replace, wanted, replace_ecu);
  CLI::App* keep = cars->add_subcommand("keep-ecu", "withdraws that (partner, operator)");
  auto kept = std::make_shared<NewEcu>();
  keep->add_option("VIN", kept->vin)->required();
  keep->add_option("ECU", kept->ecu, "serial of the old one")->required();
  on_chosen(program, keep, kept, keep_ecu);
}

void add_car_commands(CLI::App& app, Program& program) {
  CLI::App* cars = group(app, "car", "cars");
  CLI::App* make = cars->add_subcommand("register", "a new one (operator)");
  auto car = std::make_shared<NewCar>();
  make->add_option("--vin", car->vin)->required();
  make->add_option("--model", car->model)->required();
  make->add_option("--model-year", car->model_year)->required();
  make->add_option("--country", car->country, "ISO 3166-1 alpha-2")->required();
  make->add_option("--time-zone", car->time_zone,
                   "IANA name; without it the first zone of the country");
  make->add_option("--hardware", car->hardware, "fitted hardware; repeatable");
  make->add_option("--ecu", car->ecus, "SERIAL=HARDWARE_ID; repeatable, the first is the primary")
      ->required();
  on_chosen(program, make, car, register_car);

  const auto add = [&](const char* name, const char* what, auto function) {
    CLI::App* sub = cars->add_subcommand(name, what);
    auto vin = std::make_shared<std::string>();
    sub->add_option("VIN", *vin)->required();
    on_chosen(program, sub, vin, function);
  };
  add("show", "one car", show_car);
  add("stolen", "report it stolen (owner, partner, operator)", report_stolen);
  add("found", "lift that report", lift_stolen);
  add("hand-over", "gives it up: all access ends, who pairs it next owns it (owner)", hand_over);
  add("revoke-certificate", "the car is shut out until it is paired again (operator)",
      revoke_certificate);
  add_ecu_commands(cars, program);
  CLI::App* silent =
      cars->add_subcommand("silent", "those that have not called for long (operator)");
  auto silent_page = std::make_shared<Page>();
  add_page(silent, *silent_page);
  on_chosen(program, silent, silent_page, list_silent_cars);
  CLI::App* own = cars->add_subcommand("list", "the cars that you own or use");
  auto page = std::make_shared<Page>();
  add_page(own, *page);
  on_chosen(program, own, page, list_own_cars);

  CLI::App* pairing = group(app, "pairing-code", "codes that tie a car to an account")
                          ->add_subcommand("create", "one use, one hour (owner)");
  on_chosen(program, pairing, std::make_shared<int>(0),
            [](Session& session, int) { return create_pairing_code(session); });
}

void add_user_commands(CLI::App& app, Program& program) {
  CLI::App* users = group(app, "user", "secondary users of a car");
  const auto add = [&](const char* name, const char* what, const char* option, auto function) {
    CLI::App* sub = users->add_subcommand(name, what);
    auto text = std::make_shared<std::string>();
    sub->add_option(option, *text)->required();
    on_chosen(program, sub, text, function);
  };
  add("invite", "a code for somebody who is to use the car (owner)", "VIN", invite_user);
  add("uninvite", "ends all open invitations (owner)", "VIN", end_invitations);
  add("accept", "use the car that the code is for", "CODE", accept_invitation);
  add("list", "who uses the car (owner)", "VIN", list_users);
  struct User {
    std::string vin, account;
  };
  CLI::App* remove = users->add_subcommand("remove", "loses access at once");
  auto user = std::make_shared<User>();
  remove->add_option("VIN", user->vin)->required();
  remove->add_option("ACCOUNT", user->account)->required();
  on_chosen(program, remove, user, [](Session& session, const User& given) {
    return remove_user(session, given.vin, given.account);
  });
}

void add_consent_commands(CLI::App& app, Program& program) {
  CLI::App* consents = group(app, "consent", "the owner's consent to software updates");
  CLI::App* give = consents->add_subcommand("give", "consent to software updates");
  auto consent = std::make_shared<Consent>();
  give->add_option("VIN", consent->vin)->required();
  give->add_option("--language", consent->language, "in which the text was read")->required();
  give->add_option("--text-version", consent->text_version, "of the text that was read")
      ->required();
  on_chosen(program, give, consent, give_consent);
  const auto add = [&](const char* name, const char* what, auto function) {
    CLI::App* sub = consents->add_subcommand(name, what);
    auto vin = std::make_shared<std::string>();
    sub->add_option("VIN", *vin)->required();
    on_chosen(program, sub, vin, function);
  };
  add("withdraw", "no new offers", withdraw_consent);
  add("show", "what was consented to", show_consent);
}

void add_catalogue_commands(CLI::App& app, Program& program) {
  CLI::App* products = group(app, "product", "the catalogue");
  struct Product {
    std::string id, file;
  };
  CLI::App* put = products->add_subcommand("put", "a product from a JSON file (operator)");
  auto product = std::make_shared<Product>();
  put->add_option("ID", product->id)->required();
  put->add_option("--file", product->file, "docs/api.md, PUT /v1/catalogue/products")->required();
  on_chosen(program, put, product, [](Session& session, const Product& given) {
    return put_product(session, given.id, given.file);
  });
  CLI::App* list = products->add_subcommand("list", "all of them");
  auto page = std::make_shared<Page>();
  add_page(list, *page);
  on_chosen(program, list, page, list_products);

  CLI::App* offers = app.add_subcommand("offers", "what a car may be given, and why not");
  auto vin = std::make_shared<std::string>();
  offers->add_option("VIN", *vin)->required();
  on_chosen(program, offers, vin, show_offers);
}

void add_placing_commands(CLI::App* orders, Program& program) {
  CLI::App* function = orders->add_subcommand("function", "order a function (owner)");
  auto of_function = std::make_shared<NewOrder>();
  function->add_option("VIN", of_function->vin)->required();
  function->add_option("PRODUCT", of_function->product)->required();
  function->add_option("--auto-renew", of_function->auto_renew, "on or off, for terms that renew")
      ->check(CLI::IsMember({"on", "off"}));
  function->add_option("--idempotency-key", of_function->idempotency_key);
  on_chosen(program, function, of_function, order_function);

  CLI::App* map = orders->add_subcommand("map", "order map regions (owner)");
  auto of_map = std::make_shared<NewOrder>();
  map->add_option("VIN", of_map->vin)->required();
  map->add_option("REGION", of_map->regions)->required();
  map->add_option("--idempotency-key", of_map->idempotency_key);
  on_chosen(program, map, of_map, order_map);
}

void add_order_commands(CLI::App& app, Program& program) {
  CLI::App* orders = group(app, "order", "orders");
  add_placing_commands(orders, program);
  const auto add = [&](const char* name, const char* what, auto does) {
    CLI::App* sub = orders->add_subcommand(name, what);
    auto id = std::make_shared<std::string>();
    sub->add_option("ORDER", *id)->required();
    on_chosen(program, sub, id, does);
  };
  add("show", "one order", show_order);
  add("cancel", "until the car has it downloaded (owner)", cancel_order);
  add("withdraw", "within the product's window (owner)", withdraw_order);

  CLI::App* renew =
      orders->add_subcommand("renew", "a fixed term, within 14 days before its end (owner)");
  auto by_hand = std::make_shared<Renewal>();
  renew->add_option("ORDER", by_hand->order)->required();
  renew->add_option("--idempotency-key", by_hand->idempotency_key);
  on_chosen(program, renew, by_hand, renew_order);

  CLI::App* renewal = orders->add_subcommand("renewal", "whether it renews by itself (owner)");
  auto wanted = std::make_shared<RenewalSwitch>();
  renewal->add_option("ORDER", wanted->order)->required();
  renewal->add_option("SWITCH", wanted->to, "on or off")
      ->required()
      ->check(CLI::IsMember({"on", "off"}));
  on_chosen(program, renewal, wanted, switch_renewal);

  struct OfCar {
    std::string vin;
    Page page;
  };
  CLI::App* list = orders->add_subcommand("list", "the orders of a car");
  auto of_car = std::make_shared<OfCar>();
  list->add_option("VIN", of_car->vin)->required();
  add_page(list, of_car->page);
  on_chosen(program, list, of_car, [](Session& session, const OfCar& given) {
    return list_orders(session, given.vin, given.page);
  });
}

void add_offline_command(CLI::App& app, Program& program) {
  CLI::App* make = app.add_subcommand(
      "offline-package",
      "one file with all open orders of a car, for `layby-agent install-offline`");
  auto options = std::make_shared<OfflinePackageOptions>();
  make->add_option("VIN", options->vin)->required();
  make->add_option("-o,--out", options->out, "the file to write")->required();
  make->add_option("--regions", options->regions, "A,B,…: first order these map regions, offline")
      ->delimiter(',');
  make->add_flag_callback(
      "--deltas-only", [options] { options->payloads = "deltas"; },
      "no whole images where there is a delta from what the car last reported");
  make->add_option("--timeout", options->seconds_max, "seconds to wait for payloads");
  make->add_option("--idempotency-key", options->idempotency_key, "of the order");
  on_chosen(program, make, options, make_offline_package);
}

void add_record_commands(CLI::App& app, Program& program) {
  CLI::App* events = app.add_subcommand("events", "outgoing events (operator)");
  auto page = std::make_shared<Page>();
  add_page(events, *page);
  on_chosen(program, events, page, list_events);

  struct OfCar {
    std::string vin;
    Page page;
  };
  CLI::App* messages = app.add_subcommand("messages", "messages to the owner of a car");
  auto of_car = std::make_shared<OfCar>();
  messages->add_option("VIN", of_car->vin, "all of yours, also of cars that you had, without it");
  add_page(messages, of_car->page);
  on_chosen(program, messages, of_car, [](Session& session, const OfCar& given) {
    return list_messages(session, given.vin, given.page);
  });

  CLI::App* transfers = app.add_subcommand("transfers", "payload bytes that were sent to a car");
  auto vin = std::make_shared<std::string>();
  transfers->add_option("VIN", *vin)->required();
  on_chosen(program, transfers, vin, list_transfers);
}

void add_audit_verification(CLI::App* audit, Program& program) {
  CLI::App* verify = audit->add_subcommand("verify", "proves an export, with no server");
  auto options = std::make_shared<AuditVerification>();
  verify->add_option("FILE", options->file)->required();
  verify->add_option("--key", options->keys, "audit-key.json; repeatable, one of them must fit")
      ->required()
      ->expected(1)
      ->take_all();
  const auto given = CLI::Validator(
      [](const std::string& text) { return text.empty() ? "is empty" : std::string(); }, "");
  verify->add_option("--vin", options->vin, "that it is of this car")->check(given);
  verify->add_option("--after", options->earlier, "an earlier export, which this one goes on from")
      ->check(given);
  verify->add_flag("--part", options->part, "it need not begin at the car's first record");
  verify->callback([&program, options] {
    program.chosen_offline = [&program, options] {
      return verify_audit(*options, program.config.form);
    };
  });
}

void add_audit_commands(CLI::App& app, Program& program) {
  CLI::App* audit = app.add_subcommand("audit", "who did what to a car, and when");
  audit->require_subcommand(0, 1);
  auto options = std::make_shared<AuditOptions>();
  audit->add_option("VIN", options->vin, "whose trail is listed");
  add_page(audit, options->page);
  audit->add_flag_callback(
      "--check", [options] { options->chain = AuditOptions::Chain::kCheck; },
      "compute the hash chain anew");
  audit->callback([&program, audit, options] {
    if (!audit->get_subcommands().empty()) return;
    if (options->vin.empty())
      throw CLI::ValidationError("audit", "a VIN, export, key or verify is needed");
    program.chosen = [options](Session& session) { return show_audit(session, *options); };
  });

  CLI::App* exporting = audit->add_subcommand("export", "the trail as one signed file");
  auto given = std::make_shared<AuditExport>();
  exporting->add_option("VIN", given->vin)->required();
  exporting->add_option("-o,--out", given->out, "the file")->required();
  exporting->add_option("--after", given->after, "only what comes behind this record");
  exporting->add_option("--key", given->keys, "audit-key.json to believe")->expected(1);
  on_chosen(program, exporting, given, export_audit);

  CLI::App* key = audit->add_subcommand("key", "the public key that exports are signed with");
  auto out = std::make_shared<std::string>();
  key->add_option("-o,--out", *out, "the file")->required();
  on_chosen(program, key, out, fetch_audit_key);
  add_audit_verification(audit, program);
}

void add_dead_letter_commands(CLI::App* webhooks, Program& program) {
  struct Letters {
    std::string id, event;
    Page page;
  };
  CLI::App* list = webhooks->add_subcommand("dead-letters", "events that were given up");
  auto letters = std::make_shared<Letters>();
  list->add_option("WEBHOOK", letters->id)->required();
  add_page(list, letters->page);
  on_chosen(program, list, letters, [](Session& session, const Letters& given) {
    return list_dead_letters(session, given.id, given.page);
  });
  CLI::App* retry = webhooks->add_subcommand("retry", "sends dead letters again");
  auto again = std::make_shared<Letters>();
  retry->add_option("WEBHOOK", again->id)->required();
  retry->add_option("EVENT", again->event, "all where it is left out");
  on_chosen(program, retry, again, [](Session& session, const Letters& given) {
    return retry_dead_letters(session, given.id, given.event);
  });
}

void add_webhook_commands(CLI::App& app, Program& program) {
  CLI::App* webhooks = group(app, "webhook", "endpoints that events are sent to (operator)");
  CLI::App* create = webhooks->add_subcommand("create", "a new one");
  auto wanted = std::make_shared<NewWebhook>();
  create->add_option("URL", wanted->url, "https; http only for the server's machine")->required();
  create->add_option("--type", wanted->types, "of events; repeatable; all without it");
  create->add_option("--after", wanted->after, "begin behind this event, 0 for all there are");
  create->add_option("--secret-out", wanted->secret_out,
                     "write the secret to this file (mode 0600) and do not print it");
  on_chosen(program, create, wanted, create_webhook);
  on_chosen(program, webhooks->add_subcommand("list", "all, and how far they are"),
            std::make_shared<int>(0), [](Session& session, int) { return list_webhooks(session); });
  CLI::App* remove = webhooks->add_subcommand("delete", "nothing more is sent there");
  auto id = std::make_shared<std::string>();
  remove->add_option("WEBHOOK", *id)->required();
  on_chosen(program, remove, id, delete_webhook);
  add_dead_letter_commands(webhooks, program);
}

void add_publish_options(CLI::App* publish, PublishOptions& options, ImageSpec& single,
                         std::string& images_file) {
  publish->add_option("--image-root", options.image_root_file, "root.json to believe")
      ->envname("LAYBY_IMAGE_ROOT")
      ->required();
  publish->add_option("--targets-key", options.targets_key_file, "offline key file, or PKCS#11 URI")
      ->required();
  publish->add_option("--role", options.role,
                      "delegated role that the key is of; without it: the top-level targets");
  publish->add_option("--passphrase-file", options.passphrase_file);
  publish->add_option("--licence-key", options.licence_key_file, "for functions: licence-key.json");
  publish
      ->add_option("--profile", options.profile,
                   "of deltas to these images; small: the fewest bytes, fast: sooner unpacked")
      ->check(CLI::IsMember({"small", "fast"}))
      ->capture_default_str();
  publish->add_option("--expires-days", options.expires_days, "of targets.json")
      ->check(CLI::Range(1, 3650));
  CLI::Option* several =
      publish->add_option("--images", images_file, "JSON file that describes several images");
  CLI::Option* path = publish->add_option("PATH", single.path, "a map's directory, else a file");
  path->excludes(several);
  publish->add_option("--kind", single.kind, "map, function or software")->needs(path);
  publish->add_option("--region,--id", single.id, "of a map or function")->needs(path);
  publish->add_option("--version", single.version)->needs(path);
  publish->add_option("--hardware", single.hardware, "hardware id; repeatable")->needs(path);
  publish->add_option("--slot", single.slot, "software.HARDWARE_ID for ECUs but the primary")
      ->needs(path);
  publish->add_option("--release-counter", single.release_counter)->needs(path);
  publish->add_option("--duration-seconds", single.duration_seconds)->needs(path);
  publish->add_option("--battery-percent-min", single.battery_percent_min)->needs(path);
  publish->add_option("--network", single.network, "any, not-roaming or unmetered")->needs(path);
  CLI::Option* condition =
      publish->add_option("--condition", single.condition, "under which it may be installed");
  condition->needs(path);
  publish->add_option("--condition-text", single.condition_texts, "LANGUAGE=TEXT; repeatable")
      ->needs(condition);
}

void add_image_commands(CLI::App& app, Program& program) {
  struct Publish {
    PublishOptions options;
    ImageSpec single;
    std::string images_file;
  };
  CLI::App* images = group(app, "image", "the Image repository");
  CLI::App* publish = images->add_subcommand("publish", "upload images and sign for them");
  auto given = std::make_shared<Publish>();
  add_publish_options(publish, given->options, given->single, given->images_file);
  publish->callback([given] {
    if (given->images_file.empty() && given->single.path.empty())
      throw CLI::ValidationError("image publish", "a PATH or --images FILE is needed");
  });
  publish->final_callback([&program, given] {
    program.chosen = [given](Session& session) -> Result<void> {
      PublishOptions options = given->options;
      options.images = given->images_file.empty()
                           ? std::vector<ImageSpec>{given->single}
                           : TRY(read_image_specs(session.disk(), given->images_file));
      return publish_images(session, options);
    };
  });

  CLI::App* list = images->add_subcommand("list", "what is published, verified");
  auto root = std::make_shared<std::string>();
  list->add_option("--image-root", *root, "root.json to believe")
      ->envname("LAYBY_IMAGE_ROOT")
      ->required();
  on_chosen(program, list, root, list_images);
}

void add_job_commands(CLI::App& app, Program& program) {
  CLI::App* jobs = app.add_subcommand("jobs", "payload jobs (operator)");
  auto options = std::make_shared<JobsOptions>();
  jobs->add_flag_callback(
      "--wait", [options] { options->wait = JobsOptions::Wait::kYes; },
      "until none is queued or running");
  jobs->add_option("--timeout", options->seconds_max, "seconds that --wait waits");
  jobs->add_option("--retry", options->retry, "ID of a failed job to queue again; repeatable");
  on_chosen(program, jobs, options, list_jobs);

  CLI::App* rollouts = group(app, "rollout", "software to every car that it fits (operator)");
  const auto add = [&](const char* name, const char* what, auto function) {
    CLI::App* sub = rollouts->add_subcommand(name, what);
    auto rollout = std::make_shared<Rollout>();
    sub->add_option("ID", rollout->id)->required();
    sub->add_option("--image", rollout->images,
                    "the name of the software image; repeatable, for ECUs that get theirs together")
        ->expected(1)
        ->take_all();
    on_chosen(program, sub, rollout, function);
    return sub;
  };
  add("start", "or go on after a pause", start_rollout)->get_option("--image")->required();
  add("pause", "offers it to no further car", pause_rollout);
  on_chosen(program, rollouts->add_subcommand("list", "all of them"), std::make_shared<int>(0),
            [](Session& session, int) { return list_rollouts(session); });
}

void add_server_commands(CLI::App& app, Program& program) {
  CLI::App* ready = app.add_subcommand("ready", "waits until the server is ready");
  auto timeout = std::make_shared<std::uint64_t>(30);
  ready->add_option("--timeout", *timeout, "seconds");
  on_chosen(program, ready, timeout, wait_ready);

  struct Span {
    std::uint64_t days = 0, seconds = 0;
  };
  CLI::App* advance = group(app, "simulation", "a server in simulation mode")
                          ->add_subcommand("advance", "moves its clock forward (operator)");
  auto span = std::make_shared<Span>();
  advance->add_option("--days", span->days)->check(CLI::Range(0, 36'500));
  advance->add_option("--seconds", span->seconds)->check(CLI::Range(0, 2'000'000'000));
  on_chosen(program, advance, span, [](Session& session, const Span& given) {
    return advance_clock(session,
                         given.days * static_cast<std::uint64_t>(kDaySeconds) + given.seconds);
  });
}

void add_ceremony(CLI::App& app, Program& program) {
  add_ceremony_commands(app,
                        {.offline =
                             [&program](std::function<Result<void>()> does) {
                               program.chosen_offline = [does = std::move(does)] {
                                 const auto done = does();
                                 if (done) return ExitStatus::kDone;
                                 fmt::print(stderr, "layby: {}\n", done.error().message());
                                 return ExitStatus::kLocal;
                               };
                             },
                         .online = [&program](Command does) { program.chosen = std::move(does); }});
}

ExitStatus run(int argc, char** argv) {
  CLI::App app("layby: functions, maps and software for cars, over the HTTP API of laybyd");
  Program program;
  app.set_version_flag("--version", "layby 0.1.0");
  app.require_subcommand(1);
  app.fallthrough();
  add_global_options(app, program);
  add_account_commands(app, program);
  add_token_commands(app, program);
  add_car_commands(app, program);
  add_user_commands(app, program);
  add_consent_commands(app, program);
  add_catalogue_commands(app, program);
  add_order_commands(app, program);
  add_offline_command(app, program);
  add_record_commands(app, program);
  add_audit_commands(app, program);
  add_webhook_commands(app, program);
  add_image_commands(app, program);
  add_job_commands(app, program);
  add_server_commands(app, program);
  add_ceremony(app, program);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? ExitStatus::kDone : ExitStatus::kUsage;
  }

  crypto::initialize();
  if (program.chosen_offline) return program.chosen_offline();
  if (program.config.server.empty()) {
    fmt::print(stderr, "layby: --server (or LAYBY_SERVER) is required\n");
    return ExitStatus::kUsage;
  }
  auto session = Session::open(program.config);
  if (!session) {
    fmt::print(stderr, "layby: {}\n", session.error().message());
    return session.error().code() == ErrorCode::kInvalidArgument ? ExitStatus::kUsage
                                                                 : ExitStatus::kLocal;
  }
  const auto done = program.chosen(*session);
  return done ? ExitStatus::kDone : report(*session, done.error());
}

}  // namespace
}  // namespace layby::cli

int main(int argc, char** argv) {
  return static_cast<int>(layby::cli::run(argc, argv));
}
