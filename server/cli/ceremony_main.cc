#include "server/cli/ceremony_main.h"

#include <CLI/CLI.hpp>
#include <memory>

#include "server/cli/ceremony_commands.h"
#include "server/cli/http_client.h"

namespace layby::cli {
namespace {

using manifest::Role;

CLI::App* group(CLI::App& app, const std::string& name, const std::string& what) {
  CLI::App* made = app.add_subcommand(name, what);
  made->require_subcommand(1);
  return made;
}

template <typename Options>
void when_given(const CeremonyChoices& choices, CLI::App* sub, std::shared_ptr<Options> options,
                Result<void> (*does)(const Options&)) {
  sub->callback(
      [choices, options, does] { choices.offline([options, does] { return does(*options); }); });
}

void add_key_options(CLI::App* sub, KeyReference& key) {
  sub->add_option("--key", key.key, "key file, or PKCS#11 URI")->required();
  sub->add_option("--passphrase-file", key.passphrase_file, "asked for where it is left out");
}

void add_expiry(CLI::App* sub, std::uint64_t& days) {
  sub->add_option("--expires-days", days, "how long it is valid")
      ->check(CLI::Range(1, 3650))
      ->capture_default_str();
}

void add_key_commands(CLI::App& app, const CeremonyChoices& choices) {
  CLI::App* keys = group(app, "key", "offline keys: encrypted files");
  CLI::App* create = keys->add_subcommand("create", "a new one");
  auto wanted = std::make_shared<NewKey>();
  create->add_option("FILE", wanted->out, "must not exist")->required();
  create->add_option("--passphrase-file", wanted->passphrase_file, "asked for without it");
  create->add_option("--public", wanted->public_out, "file for the public part");
  create->add_option("--cost", wanted->cost, "of guessing the passphrase: 1 GiB or 64 MiB a try")
      ->check(CLI::IsMember({"sensitive", "interactive"}))
      ->capture_default_str();
  when_given(choices, create, wanted, create_key);

  struct Shown {
    KeyReference key;
    std::string out;
  };
  CLI::App* show = keys->add_subcommand("public", "the public part of one");
  auto shown = std::make_shared<Shown>();
  add_key_options(show, shown->key);
  show->add_option("-o,--out", shown->out, "file; printed without it");
  when_given<Shown>(choices, show, shown,
                    [](const Shown& given) { return show_public_key(given.key, given.out); });
}

const std::map<std::string, Role> kRoleNames = {{"root", Role::kRoot},
                                                {"targets", Role::kTargets},
                                                {"snapshot", Role::kSnapshot},
                                                {"timestamp", Role::kTimestamp}};

// `rotate`, `add`, `revoke`, `threshold` and `renew` of a root, for the role that it is about.
void add_changes(CLI::App* parent, const CeremonyChoices& choices, Role usual) {
  const auto add = [&](const char* name, const char* what) {
    CLI::App* sub = parent->add_subcommand(name, what);
    auto change = std::make_shared<RootChange>();
    change->role = usual;
    sub->add_option("ROOT", change->in, "the present root, or a draft of the next")->required();
    sub->add_option("-o,--out", change->out, "the draft; ROOT itself only where it is one")
        ->required();
    if (usual == Role::kRoot)
      sub->add_option_function<std::string>(
             "--role", [change](const std::string& text) { change->role = kRoleNames.at(text); },
             "whose keys")
          ->check(CLI::IsMember(kRoleNames));
    add_expiry(sub, change->expires_days);
    when_given(choices, sub, change, change_root);
    return std::pair(sub, change);
  };
  const auto with_old = [](const auto& made) {
    made.first->add_option("--old", made.second->old_key, "public part, or how its id begins")
        ->required();
  };
  const auto with_new = [](const auto& made) {
    made.first->add_option("--new", made.second->new_key, "public part")->required();
  };
  const auto rotate = add("rotate", "one key in the place of another");
  with_old(rotate);
  with_new(rotate);
  with_new(add("add", "a further key"));
  with_old(add("revoke", "a key that signs no more"));
  const auto threshold = add("threshold", "how many keys must sign");
  threshold.first->add_option("COUNT", threshold.second->threshold)
      ->required()
      ->check(CLI::Range(1, 64));
  if (usual == Role::kRoot) add("renew", "nothing but a new expiry");
}

void add_root_commands(CLI::App& app, const CeremonyChoices& choices) {
  CLI::App* roots = group(app, "root", "roots: made and signed offline, as files");
  CLI::App* init = roots->add_subcommand("init", "the draft of a first root");
  auto wanted = std::make_shared<NewRoot>();
  init->add_option("-o,--out", wanted->out, "the draft")->required();
  for (const auto& [name, role] : kRoleNames) {
    init->add_option("--" + name, wanted->keys[role], "public parts of its keys; repeatable")
        ->required();
    wanted->thresholds[role] = 1;
    init->add_option("--" + name + "-threshold", wanted->thresholds[role])
        ->check(CLI::Range(1, 64));
  }
  add_expiry(init, wanted->expires_days);
  when_given(choices, init, wanted, init_root);
  add_changes(roots, choices, Role::kRoot);

  CLI::App* sign = roots->add_subcommand("sign", "adds a signature to a draft");
  auto signing = std::make_shared<Signing>();
  sign->add_option("ROOT", signing->document)->required();
  sign->add_option("--previous", signing->root, "the root before, whose keys must sign as well");
  add_key_options(sign, signing->key);
  when_given(choices, sign, signing, sign_root_file);

  CLI::App* show = roots->add_subcommand("show", "its keys, and whose signatures it has");
  auto shown = std::make_shared<Signing>();
  show->add_option("ROOT", shown->document)->required();
  show->add_option("--previous", shown->root);
  when_given<Signing>(choices, show, shown,
                      [](const Signing& given) { return show_root(given.document, given.root); });

  struct Publication {
    std::string repository, file;
  };
  CLI::App* publish = roots->add_subcommand("publish", "hands the next root to the server");
  auto publication = std::make_shared<Publication>();
  publish->add_option("REPOSITORY", publication->repository, "image or director")
      ->required()
      ->check(CLI::IsMember({"image", "director"}));
  publish->add_option("ROOT", publication->file)->required();
  publish->callback([choices, publication] {
    choices.online([publication](Session& session) {
      return publish_document(session, "/v1/repositories/" + publication->repository + "/root",
                              publication->file);
    });
  });
}

void add_delegation_commands(CLI::App* targets, const CeremonyChoices& choices) {
  const auto add = [&](const char* name, const char* what,
                       Result<void> (*does)(const DelegationChange&)) {
    CLI::App* sub = targets->add_subcommand(name, what);
    auto change = std::make_shared<DelegationChange>();
    sub->add_option("TARGETS", change->in, "the present ones, or a draft of the next")->required();
    sub->add_option("-o,--out", change->out, "the draft; TARGETS itself only where it is one")
        ->required();
    sub->add_option("--role", change->role, "of the supplier")->required();
    add_expiry(sub, change->expires_days);
    when_given(choices, sub, change, does);
    return std::pair(sub, change);
  };
  const auto [sub, change] =
      add("delegate", "lets a supplier's role sign for images; replaces what it was let before",
          delegate);
  sub->add_option("--key", change->keys, "public parts of its keys; repeatable")->required();
  sub->add_option("--threshold", change->threshold, "how many of them must sign")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  sub->add_option("--path", change->paths, "pattern of image names, as 'maps/DE/*'; repeatable")
      ->required();
  sub->add_option("--hardware", change->hardware_ids, "hardware id; repeatable; any without it");
  sub->add_flag("--terminating", change->is_terminating, "no later role is asked for these names");
  add("undelegate", "the role has no say any more", undelegate);
}

void add_targets_commands(CLI::App& app, const CeremonyChoices& choices) {
  CLI::App* targets = group(app, "targets", "targets of the Image repository, as files");
  const auto draft = [&](const char* name, const char* what) {
    CLI::App* sub = targets->add_subcommand(name, what);
    auto wanted = std::make_shared<NewTargets>();
    sub->add_option("-o,--out", wanted->out, "the draft")->required();
    add_expiry(sub, wanted->expires_days);
    when_given(choices, sub, wanted, make_targets_draft);
    return std::pair(sub, wanted);
  };
  draft("init", "the draft of the first ones, which name nothing");
  const auto renew = draft("renew", "the next ones with the same contents");
  renew.first->add_option("TARGETS", renew.second->in, "the present ones")->required();
  renew.first->add_option("--without", renew.second->without,
                          "an image to leave out: it is withdrawn; repeatable");
  add_changes(targets, choices, Role::kTargets);

  add_delegation_commands(targets, choices);

  const auto judged = [&](const char* name, const char* what) {
    CLI::App* sub = targets->add_subcommand(name, what);
    auto signing = std::make_shared<Signing>();
    sub->add_option("TARGETS", signing->document)->required();
    CLI::Option* root = sub->add_option("--root", signing->root, "that says who may sign");
    CLI::Option* delegator = sub->add_option("--delegator", signing->delegator,
                                             "of a delegated role: the targets that say it");
    CLI::Option* role = sub->add_option("--role", signing->role, "that they delegate to");
    root->excludes(delegator);
    delegator->needs(role);
    role->needs(delegator);
    return std::pair(sub, signing);
  };
  const auto sign = judged("sign", "adds a signature to a draft");
  add_key_options(sign.first, sign.second->key);
  when_given(choices, sign.first, sign.second, sign_targets_file);
  const auto show = judged("show", "whose signatures they have");
  when_given(choices, show.first, show.second, show_targets);

  struct Publication {
    std::string file, role;
  };
  CLI::App* publish = targets->add_subcommand("publish", "hands the next ones to the server");
  auto given = std::make_shared<Publication>();
  publish->add_option("TARGETS", given->file)->required();
  publish->add_option("--role", given->role, "delegated role that they are of; else the top ones");
  publish->callback([choices, given] {
    choices.online([given](Session& session) {
      const std::string path =
          given->role.empty() ? "/v1/repositories/image/targets"
                              : "/v1/repositories/image/delegated/" + encode_segment(given->role);
      return publish_document(session, path, given->file);
    });
  });
}

}  // namespace

void add_ceremony_commands(CLI::App& app, const CeremonyChoices& choices) {
  add_key_commands(app, choices);
  add_root_commands(app, choices);
  add_targets_commands(app, choices);
}

}  // namespace layby::cli
