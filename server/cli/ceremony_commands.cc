#include "server/cli/ceremony_commands.h"

#include <termios.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <filesystem>

#include "base/clock.h"
#include "base/time_text.h"
#include "crypto/key_file.h"
#include "crypto/open_signer.h"
#include "manifest/envelope.h"
#include "manifest/json_value.h"
#include "manifest/metadata_json.h"
#include "server/cli/output.h"

namespace layby::cli {
namespace {

constexpr std::uint64_t kPublicKeyBytesMax = 16 * kKiB;
constexpr std::size_t kPassphraseBytesMax = 1024;

UnixSeconds expiry_in(std::uint64_t days) {
  return SystemClock().now() + static_cast<UnixSeconds>(days) * kDaySeconds;
}

// A terminal that does not show what is typed, as long as the object lives; also where a signal
// ends the process, it shows it again. One at a time.
class HiddenTerminal {
 public:
  static Result<std::unique_ptr<HiddenTerminal>> open() {
    if (::tcgetattr(STDIN_FILENO, &shown_) != 0)
      return fail(ErrorCode::kInvalidArgument,
                  "no terminal to ask for the passphrase: give --passphrase-file");
    auto terminal = std::unique_ptr<HiddenTerminal>(new HiddenTerminal);
    termios hidden = shown_;
    hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    if (::tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden) != 0)
      return fail(ErrorCode::kIo, "the terminal would show the passphrase: give --passphrase-file");
    return terminal;
  }
  ~HiddenTerminal() {
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown_);
    for (std::size_t i = 0; i < kSignals.size(); ++i)
      ::sigaction(kSignals[i], &before_[i], nullptr);
  }
  HiddenTerminal(const HiddenTerminal&) = delete;
  HiddenTerminal& operator=(const HiddenTerminal&) = delete;

 private:
  static constexpr std::array kSignals{SIGINT, SIGTERM, SIGHUP, SIGQUIT};

  HiddenTerminal() {
    for (std::size_t i = 0; i < kSignals.size(); ++i) {
      struct sigaction end {};
      end.sa_handler = show_and_end;
      end.sa_flags = SA_RESETHAND;  // the second time it does what it always does
      ::sigaction(kSignals[i], &end, &before_[i]);
    }
  }
  static void show_and_end(int signal) {
    ::tcsetattr(STDIN_FILENO, TCSANOW, &shown_);
    ::raise(signal);
  }

  static inline termios shown_{};  // a handler gets nothing but the signal's number
  std::array<struct sigaction, kSignals.size()> before_{};
};

// One line from the terminal, which does not show it.
Result<std::string> ask_passphrase(const std::string& question) {
  std::string line;
  {
    const auto hidden = TRY(HiddenTerminal::open());
    fmt::print(stderr, "{}: ", question);
    for (int c = std::getchar(); c != EOF && c != '\n' && line.size() <= kPassphraseBytesMax;
         c = std::getchar())
      line += static_cast<char>(c);
  }
  fmt::print(stderr, "\n");
  if (line.size() > kPassphraseBytesMax)
    return fail(ErrorCode::kTooLarge, "a passphrase has at most {} characters",
                kPassphraseBytesMax);
  if (line.empty()) return fail(ErrorCode::kInvalidArgument, "no passphrase was given");
  return line;
}

Result<std::string> passphrase_for(Disk& disk, const std::string& file, const std::string& key) {
  if (file.empty()) return ask_passphrase("Passphrase of " + key);
  std::string passphrase = TRY_CONTEXT(read_secret(disk, file), "passphrase");
  if (passphrase.empty()) return fail(ErrorCode::kInvalidArgument, "{} is empty", file);
  return passphrase;
}

Result<std::unique_ptr<crypto::Signer>> open_key(Disk& disk, const KeyReference& reference) {
  const std::string passphrase =
      TRY(passphrase_for(disk, reference.passphrase_file, reference.key));
  return TRY_CONTEXT(crypto::open_signer(disk, reference.key, passphrase), "the key");
}

Result<manifest::PublicKey> read_public_key(Disk& disk, const std::string& file) {
  const Bytes bytes = TRY_CONTEXT(read_file(disk, file, kPublicKeyBytesMax), file);
  const Json json =
      TRY_CONTEXT(manifest::parse_strict(bytes, {.bytes_max = kPublicKeyBytesMax}), file);
  return TRY_CONTEXT(manifest::PublicKey::from_json(json), file + " is no public key");
}

// What there is at an output; empty where there is nothing that could be lost.
Result<Bytes> read_output(Disk& disk, const std::string& out) {
  auto present = read_file(disk, out, kTargetsBytesMax);
  if (present) return present;
  if (present.error().code() == ErrorCode::kNotFound) return Bytes{};
  return fail(present.error());
}

// A slip of the fingers must not cost the only copy of a key: a public part replaces nothing but a
// public part.
Result<void> check_public_out(Disk& disk, const std::string& out) {
  if (out.empty() || TRY(read_output(disk, out)).empty()) return {};
  if (read_public_key(disk, out)) return {};
  return fail(ErrorCode::kAlreadyExists,
              "{} is there already and is no public key: name another file", out);
}

// As paths lead, also where nothing is there yet.
bool is_same_place(const std::string& one, const std::string& other) {
  std::error_code ignored;  // then as they are written
  const auto place = [&](const std::string& path) {
    const auto whole = std::filesystem::weakly_canonical(std::filesystem::absolute(path), ignored);
    return ignored ? std::filesystem::path(path) : whole;
  };
  return place(one) == place(other);
}

Result<void> write_public_key(Disk& disk, const crypto::Signer& key, const std::string& out) {
  const auto part = manifest::PublicKey::of(key);
  const std::string text = TRY(manifest::to_wire(part.to_json())) + "\n";
  if (out.empty()) {
    fmt::print("{}", text);
    return {};
  }
  TRY_VOID(check_public_out(disk, out));
  TRY_VOID(replace_file(disk, out, as_bytes(text)));
  fmt::print("{}: public key {}\n", out, part.id());
  return {};
}

Result<Bytes> read_document(Disk& disk, const std::string& file) {
  return TRY_CONTEXT(read_file(disk, file, kTargetsBytesMax), file);
}

Result<std::optional<Bytes>> read_previous(Disk& disk, const std::string& file) {
  if (file.empty()) return std::nullopt;
  return TRY(read_document(disk, file));
}

// What says who may sign these targets.
Result<Bytes> read_judge(Disk& disk, const Signing& signing) {
  const std::string& judge = signing.role.empty() ? signing.root : signing.delegator;
  if (judge.empty())
    return fail(ErrorCode::kInvalidArgument,
                "who may sign? give --root, or --delegator and --role for a delegated role");
  return read_document(disk, judge);
}

void print_state(const std::string& file, const manifest::DocumentState& state) {
  fmt::print("{}: version {}, expires {}\n", file, state.version, format_utc(state.expires));
  for (const auto& count : state.counts)
    fmt::print("  by {}: {} of {} signatures{}\n", count.by, count.good, count.needed,
               count.good < count.needed ? ", not enough" : "");
}

bool is_same_kind(const manifest::Envelope& one, const manifest::Envelope& other) {
  const auto type = manifest::text_field(one.signed_part(), "_type");
  const auto its = manifest::text_field(other.signed_part(), "_type");
  return type && its && *type == *its;
}

// A draft replaces a draft of the same kind, and nothing else. The signed document that it was made
// of is what every keeper needs to sign it (`--previous`), and there may be no other copy.
Result<void> check_draft_out(Disk& disk, const std::string& out, const Bytes& draft) {
  const Bytes present = TRY(read_output(disk, out));
  if (present.empty()) return {};
  const auto made = TRY(manifest::Envelope::parse(draft, kTargetsBytesMax));
  const auto old = manifest::Envelope::parse(present, kTargetsBytesMax);
  if (!old || !is_same_kind(*old, made))
    return fail(ErrorCode::kAlreadyExists,
                "{} is there already and is no such draft: name another file", out);
  if (!old->signatures().empty())
    return fail(ErrorCode::kAlreadyExists,
                "{} bears signatures and would be lost: write the draft to another file", out);
  return {};
}

Result<void> keep_draft(Disk& disk, const std::string& out, const Bytes& draft) {
  TRY_VOID(check_draft_out(disk, out, draft));
  TRY_VOID(replace_file(disk, out, draft));
  fmt::print("{}: a draft, to be signed\n", out);
  return {};
}

}  // namespace

Result<void> create_key(const NewKey& wanted) {
  RealDisk disk;
  const auto status = disk.status(wanted.out);
  if (status) return fail(ErrorCode::kAlreadyExists, "{} is there already", wanted.out);
  if (status.error().code() != ErrorCode::kNotFound) return fail(status.error());
  if (!wanted.public_out.empty() && is_same_place(wanted.out, wanted.public_out))
    return fail(ErrorCode::kInvalidArgument, "the key and its public part need a file each");
  TRY_VOID(check_public_out(disk, wanted.public_out));
  const std::string passphrase =
      TRY(passphrase_for(disk, wanted.passphrase_file, "the new key " + wanted.out));
  if (wanted.passphrase_file.empty() && TRY(ask_passphrase("The same once more")) != passphrase)
    return fail(ErrorCode::kInvalidArgument, "the two passphrases differ");
  const auto key = crypto::MemorySigner::generate();
  const auto cost = wanted.cost == "interactive" ? crypto::KeyFileCost::kInteractive
                                                 : crypto::KeyFileCost::kSensitive;
  TRY_VOID(crypto::write_key_file(disk, wanted.out, *key, passphrase, cost));
  return write_public_key(disk, *key, wanted.public_out);
}

Result<void> show_public_key(const KeyReference& reference, const std::string& out) {
  RealDisk disk;
  TRY_VOID(check_public_out(disk, out));
  const auto key = TRY(open_key(disk, reference));
  return write_public_key(disk, *key, out);
}

Result<void> init_root(const NewRoot& wanted) {
  RealDisk disk;
  manifest::FirstRoot first;
  first.expires = expiry_in(wanted.expires_days);
  first.thresholds = wanted.thresholds;
  for (const auto& [role, files] : wanted.keys)
    for (const std::string& file : files)
      first.keys[role].push_back(TRY(read_public_key(disk, file)));
  const Bytes draft = TRY(manifest::draft_root(first));
  return keep_draft(disk, wanted.out, draft);
}

Result<void> change_root(const RootChange& change) {
  RealDisk disk;
  const Bytes document = TRY(read_document(disk, change.in));
  manifest::RootEdit edit;
  edit.role = change.role;
  if (!change.old_key.empty()) {
    const bool is_file = disk.status(change.old_key).has_value();
    edit.remove = is_file ? TRY(read_public_key(disk, change.old_key))
                          : TRY(manifest::find_root_key(document, change.old_key));
  }
  if (!change.new_key.empty()) edit.add = TRY(read_public_key(disk, change.new_key));
  if (change.threshold > 0) edit.threshold = change.threshold;
  const Bytes draft =
      TRY_CONTEXT(manifest::edit_root(document, edit, expiry_in(change.expires_days)), change.in);
  return keep_draft(disk, change.out, draft);
}

Result<void> make_targets_draft(const NewTargets& wanted) {
  RealDisk disk;
  const UnixSeconds expires = expiry_in(wanted.expires_days);
  if (wanted.in.empty()) {
    const Bytes first = TRY(manifest::draft_targets(expires));
    return keep_draft(disk, wanted.out, first);
  }
  const Bytes document = TRY(read_document(disk, wanted.in));
  const Bytes next =
      TRY_CONTEXT(manifest::renew_targets(document, expires, wanted.without), wanted.in);
  return keep_draft(disk, wanted.out, next);
}

Result<void> sign_root_file(const Signing& signing) {
  RealDisk disk;
  const Bytes document = TRY(read_document(disk, signing.document));
  const auto previous = TRY(read_previous(disk, signing.root));
  const auto key = TRY(open_key(disk, signing.key));
  const Bytes made = TRY_CONTEXT(manifest::sign_root(document, previous, *key), signing.document);
  TRY_VOID(replace_file(disk, signing.document, made));
  print_state(signing.document, TRY(manifest::root_state(made, previous)));
  return {};
}

Result<void> delegate(const DelegationChange& change) {
  RealDisk disk;
  const Bytes document = TRY(read_document(disk, change.in));
  manifest::NewDelegation delegation{.role = change.role,
                                     .keys = {},
                                     .threshold = change.threshold,
                                     .paths = change.paths,
                                     .hardware_ids = {},
                                     .is_terminating = change.is_terminating};
  for (const std::string& file : change.keys)
    delegation.keys.push_back(TRY(read_public_key(disk, file)));
  for (const std::string& id : change.hardware_ids)
    delegation.hardware_ids.push_back(TRY(manifest::HardwareId::parse(id)));
  const Bytes draft = TRY_CONTEXT(
      manifest::delegate_targets(document, delegation, expiry_in(change.expires_days)), change.in);
  return keep_draft(disk, change.out, draft);
}

Result<void> undelegate(const DelegationChange& change) {
  RealDisk disk;
  const Bytes document = TRY(read_document(disk, change.in));
  const Bytes draft = TRY_CONTEXT(
      manifest::undelegate_targets(document, change.role, expiry_in(change.expires_days)),
      change.in);
  return keep_draft(disk, change.out, draft);
}

Result<void> sign_targets_file(const Signing& signing) {
  RealDisk disk;
  const Bytes document = TRY(read_document(disk, signing.document));
  const bool is_top = signing.role.empty();
  const Bytes judge = TRY(read_judge(disk, signing));
  const auto key = TRY(open_key(disk, signing.key));
  const Bytes made =
      TRY_CONTEXT(is_top ? manifest::sign_targets(document, judge, *key)
                         : manifest::sign_delegated(document, judge, signing.role, *key),
                  signing.document);
  TRY_VOID(replace_file(disk, signing.document, made));
  return show_targets(signing);
}

Result<void> show_root(const std::string& document, const std::string& previous) {
  RealDisk disk;
  const Bytes bytes = TRY(read_document(disk, document));
  const auto before = TRY(read_previous(disk, previous));
  print_state(document, TRY_CONTEXT(manifest::root_state(bytes, before), document));
  const Json json = TRY(manifest::parse_strict(bytes, {.bytes_max = kRootBytesMax}));
  const manifest::Root root =
      TRY(manifest::decode_root(*TRY(manifest::object_field(json, "signed"))));
  for (const manifest::Role role : manifest::kRoles) {
    const auto& keys = root.roles.at(role);
    fmt::print("  {}: {} of {} keys\n", manifest::to_string(role), keys.threshold,
               keys.key_ids.size());
    for (const auto& id : keys.key_ids) fmt::print("    {}\n", id);
  }
  return {};
}

Result<void> show_targets(const Signing& shown) {
  RealDisk disk;
  const Bytes document = TRY(read_document(disk, shown.document));
  const bool is_top = shown.role.empty();
  const Bytes judge = TRY(read_judge(disk, shown));
  print_state(shown.document,
              TRY_CONTEXT(is_top ? manifest::targets_state(document, judge)
                                 : manifest::delegated_state(document, judge, shown.role),
                          shown.document));
  return {};
}

Result<void> publish_document(Session& session, const std::string& path, const std::string& file) {
  const Bytes document = TRY(read_document(session.disk(), file));
  HttpRequest request{.method = "PUT",
                      .path = path,
                      .headers = {{"Content-Type", "application/json"}},
                      .body = as_text(document)};
  HttpAnswer answer = TRY(session.exchange(request));
  const HttpAnswer good = TRY(session.accept(std::move(answer), request));
  const Json published =
      TRY(manifest::parse_strict(as_bytes(good.body), {.bytes_max = kAnswerBytesMax}));
  print_thing(session, published);
  return {};
}

}  // namespace layby::cli
