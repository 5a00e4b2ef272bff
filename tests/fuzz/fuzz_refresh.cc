// A client through many refreshes: the input is a program of what the repository's people change,
// what somebody does to the files that are served, how the clock moves and when the client starts
// anew. After each file that the client is given, what it believes is held against the rules.
#include "base/assert.h"
#include "manifest/target_search.h"
#include "tests/fuzz/refresh_model.h"
#include "tests/fuzz/refresh_repository.h"

using namespace layby;
using namespace layby::manifest;
using namespace layby::tests;

namespace {

constexpr UnixSeconds kStart = 1'800'000'000;
constexpr UnixSeconds kHour = 3600;
constexpr int kStepsMax = 64;

class Client {
 public:
  Client(const Bytes& root, Rules rules)
      : rules_(rules), disk_{root, {}, {}, {}}, trusted_(*TrustedRepository::load(disk_, rules)) {}

  void refresh(const FuzzedRepository& repository, UnixSeconds now);
  void search(const FuzzedRepository& repository, UnixSeconds now, ProgramBytes& program);
  void restart() {
    trusted_ = *TrustedRepository::load(disk_, rules_);
    roles_ = {};
  }
  bool has_targets() const { return trusted_.targets() != nullptr; }

 private:
  void persist(std::vector<StoredChange> changes);
  void check_given(const TrustedRepository& before, const MetadataRequest& request, ByteSpan bytes,
                   bool taken, UnixSeconds now) const;
  void check_root_step(const TrustedRepository& before, ByteSpan bytes, bool taken) const;
  void check_state();
  void check_load(const StoredRoles& held) const;
  SearchAnswer run_search(TargetSearch& search, const FuzzedRepository& repository,
                          ProgramBytes& program);

  const Rules rules_;
  StoredRoles disk_;
  TrustedRepository trusted_;
  VerifiedRoles
      roles_;  // kept from look to look, which nobody else does: it must hold all the same
  struct Checked {
    StoredRoles disk, held;
    bool has_targets;
  };
  std::optional<Checked> checked_;  // the last state that was found to be good
};

bool same_four(const StoredRoles& a, const StoredRoles& b) {
  return a.root == b.root && a.timestamp == b.timestamp && a.snapshot == b.snapshot &&
         a.targets == b.targets;
}

void Client::persist(std::vector<StoredChange> changes) {
  for (StoredChange& change : changes) {
    if (!change.delegated.empty()) {
      LAYBY_ASSERT(change.bytes);
      disk_.delegated[change.delegated] = std::move(*change.bytes);
      continue;
    }
    switch (change.role) {
      case Role::kRoot: disk_.root = change.bytes.value(); break;
      case Role::kTimestamp: disk_.timestamp = std::move(change.bytes); break;
      case Role::kSnapshot: disk_.snapshot = std::move(change.bytes); break;
      case Role::kTargets: disk_.targets = std::move(change.bytes); break;
    }
  }
}

// What is believed is signed by the trusted root's keys, is what its parent names, and is what a
// start from the disk believes. All of that follows from what is held, here and on the disk.
void Client::check_state() {
  StoredRoles held = trusted_.stored();
  if (checked_ && checked_->has_targets == has_targets() && same_four(checked_->held, held) &&
      same_four(checked_->disk, disk_))
    return;
  LAYBY_ASSERT(is_signed_by_root(held.root, held.root, Role::kRoot));
  for (const auto& [role, bytes] :
       {std::pair{Role::kTimestamp, &held.timestamp}, std::pair{Role::kSnapshot, &held.snapshot},
        std::pair{Role::kTargets, &held.targets}})
    if (*bytes) LAYBY_ASSERT(is_signed_by_root(**bytes, held.root, role));
  if (const auto* targets = trusted_.targets()) {
    const auto& snapshot = *trusted_.snapshot();
    LAYBY_ASSERT(
        is_named_by((*trusted_.timestamp())->snapshot, snapshot->version, snapshot.bytes()));
    LAYBY_ASSERT(
        is_named_by(snapshot->files.at("targets.json"), (*targets)->version, targets->bytes()));
  }
  check_load(held);
  checked_ = {disk_, std::move(held), has_targets()};
}

void Client::check_load(const StoredRoles& held) const {
  const auto again = TrustedRepository::load(disk_, rules_);
  LAYBY_ASSERT(again && again->root().bytes() == held.root);
  const StoredRoles loaded = again->stored();
  // What a root with a higher threshold disowned stays on the disk, and is good again under one
  // that asks for less.
  const auto same = [](const std::optional<Bytes>& on_disk, const std::optional<Bytes>& is,
                       const std::optional<Bytes>& from_disk) {
    LAYBY_ASSERT(is ? from_disk == is : !from_disk || from_disk == on_disk);
    return from_disk == is;
  };
  const bool timestamp = same(disk_.timestamp, held.timestamp, loaded.timestamp);
  const bool snapshot = same(disk_.snapshot, held.snapshot, loaded.snapshot);
  const bool targets = same(disk_.targets, held.targets, loaded.targets);
  if (timestamp && snapshot && targets)
    LAYBY_ASSERT((again->targets() == nullptr) == (trusted_.targets() == nullptr));
}

void Client::check_root_step(const TrustedRepository& before, ByteSpan bytes, bool taken) const {
  const StoredRoles old = before.stored(), held = trusted_.stored();
  if (!taken) {
    LAYBY_ASSERT(same_four(old, held));
    return;
  }
  LAYBY_ASSERT(trusted_.root()->version == before.root()->version + 1);
  LAYBY_ASSERT(std::ranges::equal(held.root, bytes));
  LAYBY_ASSERT(is_signed_by_root(bytes, old.root, Role::kRoot));
  const auto rotated = [&](Role role) { return is_key_taken_away(old.root, held.root, role); };
  const bool online = rotated(Role::kTimestamp) || rotated(Role::kSnapshot);
  const bool targets = rules_ == Rules::kUptane && rotated(Role::kTargets);
  const auto check = [&](Role role, const std::optional<Bytes>& was, const std::optional<Bytes>& is,
                         bool is_rotated) {
    const bool stays = was && !is_rotated && is_signed_by_root(*was, held.root, role);
    LAYBY_ASSERT(is == (stays ? was : std::nullopt));
  };
  // What goes with its keys goes from the disk too.
  LAYBY_ASSERT(!online || (!disk_.timestamp && !disk_.snapshot));
  LAYBY_ASSERT(!targets || !disk_.targets);
  check(Role::kTimestamp, old.timestamp, held.timestamp, online);
  check(Role::kSnapshot, old.snapshot, held.snapshot, online);
  check(Role::kTargets, old.targets, held.targets, targets);
}

template <typename Model>
void check_successor(const Verified<Model>* before, const Verified<Model>& after, ByteSpan given,
                     UnixSeconds now) {
  if (before && before->bytes() == after.bytes()) return;
  LAYBY_ASSERT(std::ranges::equal(after.bytes(), given));
  LAYBY_ASSERT(after->expires > now);
}

void check_entries(const Snapshot& before, const Snapshot& after) {
  for (const auto& [name, entry] : before.files)
    LAYBY_ASSERT(after.files.contains(name) && after.files.at(name).version >= entry.version);
}

// Only what was asked for changes, only to what was given, and never backwards.
void Client::check_given(const TrustedRepository& before, const MetadataRequest& request,
                         ByteSpan bytes, bool taken, UnixSeconds now) const {
  if (request.role == Role::kRoot) return check_root_step(before, bytes, taken);
  const StoredRoles old = before.stored(), held = trusted_.stored();
  LAYBY_ASSERT(old.root == held.root);
  LAYBY_ASSERT(request.role == Role::kTimestamp || old.timestamp == held.timestamp);
  LAYBY_ASSERT(request.role == Role::kSnapshot || old.snapshot == held.snapshot);
  LAYBY_ASSERT(request.role == Role::kTargets || old.targets == held.targets);
  if (const auto* timestamp = trusted_.timestamp()) {
    check_successor(before.timestamp(), *timestamp, bytes, now);
    if (const auto* was = before.timestamp())
      LAYBY_ASSERT((*timestamp)->version >= (*was)->version &&
                   (*timestamp)->snapshot.version >= (*was)->snapshot.version);
  }
  if (const auto* snapshot = trusted_.snapshot()) {
    check_successor(before.snapshot(), *snapshot, bytes, now);
    if (const auto* was = before.snapshot()) check_entries(**was, **snapshot);
    const auto* was = rules_ == Rules::kUptane ? before.snapshot() : nullptr;
    LAYBY_ASSERT(was == nullptr || (*snapshot)->version >= (*was)->version);
  }
  if (const auto* targets = trusted_.targets_alone()) {
    check_successor(before.targets_alone(), *targets, bytes, now);
    const auto* was = rules_ == Rules::kUptane ? before.targets_alone() : nullptr;
    LAYBY_ASSERT(was == nullptr || (*targets)->version >= (*was)->version);
  }
}

void Client::refresh(const FuzzedRepository& repository, UnixSeconds now) {
  Refresh refresh(trusted_, now);
  while (const auto request = refresh.next()) {
    const TrustedRepository before = trusted_;
    const Bytes* file = repository.serve(*request);
    const Bytes bytes = file ? *file : Bytes();
    const bool taken = (file ? refresh.give(bytes) : refresh.give_absent()).has_value();
    persist(refresh.take_changes());
    check_given(before, *request, bytes, file && taken, now);
    check_state();
  }
  if (!refresh.complete()) return;
  LAYBY_ASSERT(trusted_.targets() && trusted_.root()->expires > now &&
               (*trusted_.timestamp())->expires > now && (*trusted_.snapshot())->expires > now &&
               (*trusted_.targets())->expires > now);
}

SearchAnswer Client::run_search(TargetSearch& search, const FuzzedRepository& repository,
                                ProgramBytes& program) {
  const StoredRoles before = trusted_.stored();
  for (int given = 0; const auto request = search.next(); ++given) {
    LAYBY_ASSERT(given <= 32);
    const auto stored = disk_.delegated.find(request->delegated);
    if (stored != disk_.delegated.end() && program.take(2) == 1 &&
        search.offer_stored(stored->second) == TargetSearch::Stored::kSettled)
      continue;
    const Bytes* file = repository.serve(*request);
    static_cast<void>(file ? search.give(*file) : search.give_absent());
    persist(search.take_changes());
  }
  LAYBY_ASSERT(same_four(trusted_.stored(), before));
  const auto found = search.found();
  if (!found) return {SearchAnswer::Kind::kFailed};
  if (*found == nullptr) return {SearchAnswer::Kind::kNone};
  return {SearchAnswer::Kind::kFound, (*found)->length};
}

void Client::search(const FuzzedRepository& repository, UnixSeconds now, ProgramBytes& program) {
  if (!trusted_.targets()) return;
  const std::string& name = kFuzzedNames[program.take(kFuzzedNames.size())];
  std::optional<HardwareId> hardware;
  if (const unsigned choice = program.take(kFuzzedHardware.size() + 1))
    hardware = kFuzzedHardware[choice - 1];
  TargetSearch search(trusted_, name, now, hardware, &roles_);
  const SearchAnswer answer = run_search(search, repository, program);
  LAYBY_ASSERT(answer == search_by_model(trusted_, disk_.delegated, name, hardware, now));
}

void change_repository(FuzzedRepository& repository, unsigned step, ProgramBytes& program,
                       UnixSeconds now) {
  switch (step) {
    case 0: return repository.change_keys(program);
    case 1: return repository.change_delegation(program);
    case 2: return repository.change_succinct(program);
    case 3: return repository.change_target(program);
    case 4: return repository.change_expiry(program, now);
    case 5: return repository.change_version(program);
    case 6: return repository.change_consistency();
    case 7: return repository.put_older(program);
    case 8: return repository.put_another_role(program);
    case 9: return repository.sign_anew(program);
    case 10: return repository.double_signature(program);
    case 11: return repository.remove_file(program);
    case 12: return repository.change_field(program);
    case 13: return repository.flip(program);
    case 14: return repository.change_entry(program);
    case 15: return repository.relink(program);
    default: LAYBY_ASSERT(false);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const FuzzedRepository first(kStart);
  ProgramBytes program({data, size});
  FuzzedRepository repository = first;
  UnixSeconds now = kStart;
  Client client(repository.first_root(), program.take(2) == 0 ? Rules::kUptane : Rules::kTuf);
  client.refresh(repository, now);
  LAYBY_ASSERT(client.has_targets());
  for (int i = 0; i < kStepsMax && !program.at_end(); ++i) {
    switch (const unsigned step = program.take(26)) {
      case 16: client.restart(); break;
      case 17: now = std::max<UnixSeconds>(0, now + program.take_signed() * kHour); break;
      case 18:
      case 19: client.refresh(repository, now); break;
      case 20:
      case 21:
        repository.publish();
        client.refresh(repository, now);
        break;
      case 22:
      case 23:
      case 24:
      case 25: client.search(repository, now, program); break;
      default: change_repository(repository, step, program, now);
    }
  }
  return 0;
}
