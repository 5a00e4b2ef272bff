#include "agent/agent.h"

#include <algorithm>
#include <utility>

#include "agent/certificate_renewal.h"
#include "agent/download.h"
#include "agent/head_unit.h"
#include "agent/install.h"
#include "agent/layout.h"
#include "agent/licences.h"
#include "agent/news.h"
#include "agent/outbox.h"
#include "agent/requirements.h"
#include "agent/work.h"
#include "crypto/random.h"

namespace layby::agent {
namespace {

// What has no due time of its own is looked at again this often: above all the wall clock, which
// may be set.
constexpr std::int64_t kWaitMsMax = 600'000;
// Facts go stale without a change of theirs. Where something waits for the car they are looked at
// again soon, as long as there is one that is not stale yet.
constexpr std::int64_t kWaitMsMaxForCar = 5'000;
constexpr std::int64_t kFactsStaleMs = 70'000;  // the slowest age limit, and a bit
constexpr std::int64_t kWaitMsMaxWithoutDescriptor = 500;
constexpr std::int64_t kRetryAfterSecondsMax = kDaySeconds;
// So long after a start the server waits for the car's first word: it may be roaming, or private.
constexpr std::int64_t kSilenceAfterStartMs = 60'000;
constexpr std::size_t kSaidCharactersMax = 32;
// A secondary that has just fallen silent, as one that starts anew, is asked once more after this
// time before a report says so.
constexpr std::int64_t kEcusRetryMs = 60'000;
// What secondaries say brings about no more than one report, and one look at the server after it,
// in this time: one that lies must not play with the car's connection.
constexpr std::int64_t kEcuNewsMs = 900'000;

// Whoever asks for a look out of turn, and however often: no more than one in this time.
constexpr std::int64_t kHurryMs = 30'000;
// A power that was off for less is one that wavers, and no power-on.
constexpr std::int64_t kPowerOffMsMin = 5'000;

// The server's interval, a tenth more or less, so that cars do not come all at once.
UnixSeconds with_jitter(std::uint64_t seconds) {
  const std::uint64_t spread = std::max<std::uint64_t>(1, seconds / 5);
  const std::uint32_t random = load_u32(crypto::random_bytes(4).data());
  return static_cast<UnixSeconds>(std::max<std::uint64_t>(
      1, seconds - seconds / 10 + static_cast<std::uint64_t>(random) % spread));
}

// What an honest server does not send: documents that are none, that nobody may believe, or more
// than a car takes of them.
bool is_attack(ErrorCode code) {
  const auto number = static_cast<unsigned>(code);
  return (number >= 100 && number < 300) || code == ErrorCode::kTooLarge;
}

// A document that a signed one names is missing: once it may be a proxy in trouble. That just this
// one is missing again, and those above it are there, means that somebody keeps it back.
bool is_kept_back(bool is_incomplete, const Error& error, const std::optional<Error>& before) {
  return is_incomplete && before && before->code() == error.code() &&
         before->message() == error.message();
}

}  // namespace

struct Agent::State {
  State(Disk& disk_in, const Clock& clock_in, Transport& transport, Vehicle& vehicle_in,
        AgentOptions options_in, CarIdentity identity_in, CarKeys keys_in, EcuList ecus,
        Journal journal_in)
      : clock(clock_in),
        vehicle(vehicle_in),
        options(std::move(options_in)),
        layout(options.state_directory),
        identity(std::move(identity_in)),
        keys(std::move(keys_in)),
        journal(std::move(journal_in)),
        time(clock, journal.record()),
        licences(disk_in, layout, identity, keys.seal.secret_key),
        secondaries(std::move(ecus), options.secondaries, clock),
        outbox(disk_in, transport, layout, identity, keys, licences, secondaries),
        budget(time, options.network.data_budget_bytes),
        downloads(disk_in, transport, clock, layout, journal, budget,
                  [this] { return wants_to_stop_talking(); }),
        installer(disk_in, layout, vehicle, licences, secondaries),
        work(clock, layout, journal, time, vehicle, licences, downloads, installer, options.network,
             budget),
        map_wish(transport, clock, journal, options.maps),
        renewal(disk_in, transport, layout, identity) {
    downloads.before_unpacking(options.before_unpacking);
  }

  const Clock& clock;
  Vehicle& vehicle;
  AgentOptions options;
  Layout layout;
  CarIdentity identity;
  CarKeys keys;
  Journal journal;
  TrustedTime time;
  Licences licences;
  Secondaries secondaries;
  Outbox outbox;
  DataBudget budget;
  Downloads downloads;
  Installer installer;
  Work work;
  MapWish map_wish;
  CertificateRenewal renewal;
  std::optional<News> news;

  bool was_powered_on = false;
  // Monotonic. The first power-on that is seen counts, however soon it comes.
  std::int64_t powered_off_ms = clock.monotonic_ms() - kPowerOffMsMin;
  bool is_powered_up = false;      // a power-on was seen, and nothing came of it yet
  bool hurry_wanted = false;       // a look out of turn, as soon as there may be one
  std::int64_t next_hurry_ms = 0;  // monotonic
  UnixSeconds quiet_until = 0;     // wall clock; by the server's Retry-After: no poll, no report
  bool report_wanted = true;       // the start counts as power-on (P2.4)
  bool poll_wanted = true;
  UnixSeconds report_retry = 0;
  std::uint32_t report_failures = 0;
  Screen shown;
  bool shown_once = false;
  std::int64_t ecus_retry_ms = 0;  // monotonic; until then a report waits for the silent ones
  bool ecus_retried = false;       // for the report that is due
  std::int64_t ecu_news_ms = 0;    // monotonic; until then what secondaries say causes no report
  UnixSeconds term_ends = 0;       // of a function, the first to come, in trusted time; 0: none

  const std::int64_t started_ms = clock.monotonic_ms();
  bool has_spoken = false;  // the car, since the start
  std::string vin_said;     // the last that it said; empty: none yet
  // As this step began; a chunk later it may be another one, and everything counts anew.
  Connection network;

  bool wants_to_stop_talking() {
    return (options.interrupted && options.interrupted()) ||
           connection_now(vehicle.facts()) != network;
  }
  // What the car does not say is as it said it last, also before a restart: neither at home nor out
  // of private mode for that.
  Connection connection_now(const Facts& facts) const;
  // After a start the car gets the time to say where it is.
  bool may_talk_yet() const {
    return has_spoken || clock.monotonic_ms() >= started_ms + kSilenceAfterStartMs;
  }
  bool can_talk() const { return may_talk_yet() && !bar_to_news(network, options.network); }
  Result<void> note_connection(const Facts& facts);

  // A state directory that was carried into another car does nothing there (P1.3). A car that has
  // lost its VIN is the one that it was.
  bool is_our_car(const Facts& facts) {
    if (const auto said = said_vin(facts)) vin_said = *said;
    return vin_said.empty() || vin_said == identity.vin.text();
  }
  Result<void> look_for_changes(const Facts& facts);
  void hurry();
  std::int64_t hurry_in_ms() const;
  void ask_for_patience(std::optional<std::int64_t> seconds);
  UnixSeconds quiet() const;
  Result<Work::Did> talk();
  Result<Work::Did> ask_for_maps();
  Result<bool> is_report_due();
  Result<Work::Did> make_report();
  Result<Work::Did> send_report();
  Result<void> poll();
  Result<void> hand_on();
  void show(const Facts& facts);
  void note_terms(const std::map<manifest::FunctionId, LicenceVerdict>& verdicts);
  bool waits_for_car() const;
  Next wait(Work::Did did, const Facts& used) const;
};

// ---- opening ------------------------------------------------------------------------------------

Result<std::unique_ptr<Agent>> Agent::open(Disk& disk, const Clock& clock, Transport& transport,
                                           Vehicle& vehicle, AgentOptions options) {
  const Layout layout(options.state_directory);
  CarIdentity identity = TRY(read_identity(disk, layout));
  if (!disk.status(layout.certificate()))
    return fail(ErrorCode::kUnauthenticated, "the car is not paired yet: there is no {}",
                layout.certificate());
  CarKeys keys = TRY(read_keys(disk, layout));
  EcuList ecus = TRY(read_ecu_list(disk, layout));
  Journal journal = TRY(Journal::open(disk, layout.directory()));
  auto state = std::make_unique<State>(disk, clock, transport, vehicle, std::move(options),
                                       std::move(identity), std::move(keys), std::move(ecus),
                                       std::move(journal));
  state->news.emplace(
      TRY(News::open(disk, transport, state->layout, state->identity, state->secondaries)));
  state->news->stop_when([raw = state.get()] { return raw->wants_to_stop_talking(); });
  TRY_VOID(state->work.resume());
  return std::unique_ptr<Agent>(new Agent(std::move(state)));
}

Agent::Agent(std::unique_ptr<State> state) : state_(std::move(state)) {}
Agent::~Agent() = default;

const Record& Agent::record() const {
  return state_->journal.record();
}

UnixSeconds Agent::trusted_now() const {
  return state_->time.now();
}

void Agent::check_now() {
  state_->hurry_wanted = true;
}

// ---- what the car says --------------------------------------------------------------------------

// How long the server wants no word from us, by the wall clock; 0: it does not mind.
UnixSeconds Agent::State::quiet() const {
  const bool is_far = quiet_until > clock.now() + kRetryAfterSecondsMax;  // the clock went back
  return quiet_until > clock.now() && !is_far ? quiet_until : 0;
}

void Agent::State::ask_for_patience(std::optional<std::int64_t> seconds) {
  if (seconds)
    quiet_until = clock.now() + std::clamp<std::int64_t>(*seconds, 0, kRetryAfterSecondsMax);
}

std::int64_t Agent::State::hurry_in_ms() const {
  const std::int64_t quiet_ms = quiet() == 0 ? 0 : (quiet() - clock.now()) * 1000;
  return std::max(quiet_ms, next_hurry_ms - clock.monotonic_ms());
}

// Tries everything that pauses, if that was asked for and is not too often.
void Agent::State::hurry() {
  if (!hurry_wanted || hurry_in_ms() > 0) return;
  hurry_wanted = false;
  next_hurry_ms = clock.monotonic_ms() + kHurryMs;
  report_wanted = std::exchange(is_powered_up, false) || report_wanted;
  report_retry = 0;
  report_failures = 0;
  poll_wanted = true;
  for (OrderRecord& order : journal.record().orders) {
    if (order.state == agent::State::kDownloaded) continue;  // it pauses for another reason
    order.next_try = 0;
    order.failures_in_row = 0;
  }
}

Result<void> Agent::State::look_for_changes(const Facts& facts) {
  // In doubt it is as it was: a bus that falls silent for a moment is no power-on.
  const bool powered_on = is_powered_on(facts, clock.now() * 1000).value_or(was_powered_on);
  const std::int64_t now_ms = clock.monotonic_ms();
  if (!powered_on && was_powered_on) powered_off_ms = now_ms;
  if (powered_on && !was_powered_on && now_ms - powered_off_ms >= kPowerOffMsMin)
    is_powered_up = hurry_wanted = true;
  was_powered_on = powered_on;
  TRY_VOID(note_connection(facts));
  hurry();
  return {};
}

Result<void> Agent::State::note_connection(const Facts& facts) {
  if (facts.signals().empty()) return {};
  // A car that was asked for its private mode and does not say it yet may have it on.
  has_spoken = has_spoken || !facts.lost().contains(std::string(vss::kPrivateMode));
  Record& record = journal.record();
  const bool is_private_now = connection_now(facts).is_private;
  const bool was_private = std::exchange(record.private_mode, is_private_now);
  bool changed = false;
  for (const auto& [name, kept] :
       {std::pair(vss::kBearer, &record.bearer), std::pair(vss::kRoaming, &record.roaming)}) {
    const auto said = facts.signals().find(std::string(name));
    if (said == facts.signals().end()) continue;
    const std::string value = printable(said->second.value, kSaidCharactersMax);
    changed = changed || value != *kept;
    *kept = value;
  }
  if (was_private && !is_private_now) hurry_wanted = true;
  const auto had_owner_time = record.owner_time;
  record.owner_time = kept_owner_time(facts, record.owner_time);
  // Privacy is a promise, and so is the owner's time; a bearer wavers at the edge of its net.
  if (was_private != is_private_now || had_owner_time != record.owner_time) return journal.save();
  return changed ? work.keep_soon() : Result<void>{};
}

Connection Agent::State::connection_now(const Facts& facts) const {
  // Asked for each piece of a body: no more than what it is about is looked at.
  const Record& record = journal.record();
  Facts known;
  const auto take = [&](std::string_view name, const std::string& as_before) {
    const auto said = facts.signals().find(std::string(name));
    if (said != facts.signals().end())
      known.set(name, said->second);
    else if (!as_before.empty())
      known.set(name, {as_before, 0});
  };
  take(vss::kPrivateMode, record.private_mode ? "true" : "");
  take(vss::kBearer, record.bearer);
  take(vss::kRoaming, record.roaming);
  take(vss::kRadioGeneration, "");
  take(vss::kInCall, "");
  return connection(known);
}

// ---- talking to the server ----------------------------------------------------------------------

Result<bool> Agent::State::is_report_due() {
  if (report_wanted) return true;
  switch (TRY(outbox.changed(journal.record(), time.now()))) {
    case Outbox::Changed::kNo: return false;
    case Outbox::Changed::kByCar: return report_wanted = true;
    case Outbox::Changed::kByEcus: break;
  }
  if (clock.monotonic_ms() < ecu_news_ms) return false;
  ecu_news_ms = clock.monotonic_ms() + kEcuNewsMs;
  return report_wanted = true;
}

// Nothing where it has to wait.
Result<Work::Did> Agent::State::make_report() {
  if (!TRY(is_report_due()) || clock.monotonic_ms() < ecus_retry_ms) return Work::Did::kNothing;
  if (secondaries.ask_for_reports(journal.record(), time.now()) == Secondaries::Round::kMore)
    return Work::Did::kSomething;
  if (secondaries.has_fallen_silent() && !std::exchange(ecus_retried, true)) {
    ecus_retry_ms = clock.monotonic_ms() + kEcusRetryMs;
    return Work::Did::kNothing;
  }
  TRY_VOID(outbox.make(journal, time.now()));
  report_wanted = ecus_retried = false;
  return Work::Did::kSomething;
}

Result<Work::Did> Agent::State::send_report() {
  Record& record = journal.record();
  if (!outbox.is_pending(record)) {
    const Work::Did made = TRY(make_report());
    if (!outbox.is_pending(record)) return made;
  }
  const bool is_far = report_retry > clock.now() + kRetryAfterSecondsMax;  // the clock went back
  if (report_retry > clock.now() && !is_far) return Work::Did::kNothing;
  std::optional<std::int64_t> wish;
  const auto sent = outbox.send(journal, wish);
  if (sent || sent.error().code() == ErrorCode::kForbidden) {
    report_failures = 0;
    report_retry = 0;
    poll_wanted = true;  // the server may answer a report with news: a licence, a next order
    return Work::Did::kSomething;
  }
  ++report_failures;
  ask_for_patience(wish);
  report_retry = clock.now() + std::clamp(wish.value_or(0), backoff_seconds(report_failures),
                                          kRetryAfterSecondsMax);
  record.poll_error = recordable(sent.error());
  TRY_VOID(journal.save());
  return Work::Did::kSomething;
}

Result<void> Agent::State::poll() {
  Record& record = journal.record();
  poll_wanted = false;
  std::optional<std::int64_t> wish;
  auto plan = news->poll(time, record, wish);
  record.poll_last = clock.now();
  if (!plan) {
    const Error error = recordable(plan.error());
    ++record.poll_failures;
    ask_for_patience(wish);
    const auto before = std::exchange(record.poll_error, error);
    if (is_attack(error.code()) || is_kept_back(news->is_incomplete(), error, before))
      note_attack(record, error);
    record.poll_next =
        clock.now() +
        std::clamp(wish.value_or(0), backoff_seconds(record.poll_failures), kRetryAfterSecondsMax);
    return journal.save();
  }
  record.poll_failures = 0;
  record.poll_error.reset();
  record.poll_next = clock.now() + with_jitter(identity.poll_seconds);
  // Once it has been told: a report may wait for an ECU that has just fallen silent.
  if (!outbox.is_pending(record) &&
      TRY(outbox.changed(record, time.now())) != Outbox::Changed::kByCar)
    record.attack.clear();
  TRY_VOID(work.merge(*plan));
  news->begin_handing_on();
  return {};
}

// What they have refused is news for the server.
Result<void> Agent::State::hand_on() {
  news->hand_on(journal.record(), time.now(), [this] { return work.check_stands(); });
  return news->is_handing_on() ? Result<void>{} : journal.save();
}

Result<Work::Did> Agent::State::talk() {
  if (!can_talk()) return Work::Did::kNothing;
  if (news->is_handing_on()) {
    TRY_VOID(hand_on());
    return Work::Did::kSomething;
  }
  if (quiet() != 0) return Work::Did::kNothing;
  const Work::Did sent = TRY(send_report());
  if (sent == Work::Did::kSomething) return sent;
  const Record& record = journal.record();
  // A wall clock that was set back must not put the next poll off for ever.
  const bool is_far =
      record.poll_next > clock.now() + kRetryAfterSecondsMax &&
      record.poll_next > clock.now() + 2 * static_cast<UnixSeconds>(identity.poll_seconds);
  if (!poll_wanted && !is_far && record.poll_next > clock.now()) {
    // Not worth an error of ours: there is half a life of the certificate for it.
    if (!renewal.is_due(time.now())) return ask_for_maps();
    static_cast<void>(renewal.renew(time.now()));
    return Work::Did::kSomething;
  }
  if (secondaries.ask_for_nonces() == Secondaries::Round::kOver) TRY_VOID(poll());
  return Work::Did::kSomething;
}

// Once the server knows what is installed, and the car what is under way.
Result<Work::Did> Agent::State::ask_for_maps() {
  const Record& record = journal.record();
  if (outbox.is_pending(record) || record.poll_last == 0 || record.poll_failures > 0 ||
      !map_wish.is_due(time.now()))
    return Work::Did::kNothing;
  if (TRY(map_wish.ask(time.now())) == MapWish::Found::kOrder) poll_wanted = true;
  return Work::Did::kSomething;
}

// ---- the head unit ------------------------------------------------------------------------------

void Agent::State::note_terms(const std::map<manifest::FunctionId, LicenceVerdict>& verdicts) {
  term_ends = 0;
  for (const auto& [id, verdict] : verdicts)
    for (const auto& end : {verdict.until, verdict.ends})
      if (end && *end > time.now() && (term_ends == 0 || *end < term_ends)) term_ends = *end;
}

void Agent::State::show(const Facts& facts) {
  Language language = options.language;
  const auto said = facts.signals().find(std::string(vss::kLanguage));
  if (said != facts.signals().end() && !said->second.value.empty())
    language = look_up_language(said->second.value);
  const auto verdicts = licences.judge_all(journal.record(), time.now());
  note_terms(verdicts);
  auto screen = head_unit_screen(
      {journal.record(), facts, verdicts, clock.now() * 1000, time.now()}, language);
  if (shown_once && screen == shown) return;
  if (!vehicle.show(screen)) return;  // nobody there to read it: tried again at the next step
  shown = std::move(screen);
  shown_once = true;
}

// ---- the loop -----------------------------------------------------------------------------------

bool Agent::State::waits_for_car() const {
  const auto waits = [](const OrderRecord& order) {
    return order.state == agent::State::kDownloaded || order.state == agent::State::kWaiting ||
           (is_past_no_return(order.state) && !order.undo.error);
  };
  return std::ranges::any_of(journal.record().orders, waits);
}

Agent::Next Agent::State::wait(Work::Did did, const Facts& used) const {
  if (did == Work::Did::kSomething) return {};
  // What came in behind the step's back, with the answer to a command, wakes nobody any more.
  const std::int64_t now_ms = clock.now() * 1000;
  const Facts& facts = vehicle.facts();
  if (vehicle.descriptor() >= 0 && has_changed(used, facts, now_ms)) return {};
  const Record& record = journal.record();
  std::int64_t wait_ms = kWaitMsMax;
  const bool goes_stale = std::ranges::any_of(facts.signals(), [&](const auto& named) {
    const std::int64_t age_ms = now_ms - named.second.at_ms;
    return age_ms < kFactsStaleMs && age_ms >= -kSignalAheadMsMax;
  });
  if (waits_for_car() && goes_stale) wait_ms = kWaitMsMaxForCar;
  if (term_ends != 0)
    wait_ms = std::min(wait_ms, std::max<std::int64_t>(50, (term_ends - time.now()) * 1000));
  if (vehicle.descriptor() < 0) wait_ms = std::min(wait_ms, kWaitMsMaxWithoutDescriptor);
  for (const std::int64_t due_ms : {ecus_retry_ms, ecu_news_ms})
    if (due_ms > clock.monotonic_ms()) wait_ms = std::min(wait_ms, due_ms - clock.monotonic_ms());
  if (hurry_wanted) wait_ms = std::min(wait_ms, std::max<std::int64_t>(50, hurry_in_ms()));
  if (!may_talk_yet())
    wait_ms = std::min(wait_ms, started_ms + kSilenceAfterStartMs - clock.monotonic_ms());
  // What asks for the server is not due before there is a way to it.
  const bool talks = can_talk();
  const UnixSeconds ask_next = map_wish.next_due() > clock.now() ? map_wish.next_due() : 0;
  for (const UnixSeconds due : {talks ? std::max(record.poll_next, quiet()) : 0,
                                talks ? std::max(report_retry, quiet()) : 0,
                                talks ? std::max(ask_next, quiet()) : 0, work.next_due()}) {
    if (due == 0) continue;
    const std::int64_t in_ms = std::max<std::int64_t>(0, due - clock.now()) * 1000;
    wait_ms = std::min(wait_ms, std::max<std::int64_t>(50, in_ms));
  }
  return {.wait_ms = wait_ms, .idle = true};
}

Result<Agent::Next> Agent::step() {
  State& s = *state_;
  s.vehicle.want_signals(signals_of_packages(s.journal.record()));
  const Facts facts = s.vehicle.facts();  // a copy: commands take in what the car says meanwhile
  if (s.time.note_counted(s.journal.record()) == TrustedTime::Noted::kYes)
    TRY_VOID(s.journal.save());
  TRY_VOID(s.look_for_changes(facts));
  TRY_VOID(s.map_wish.note(facts, s.time.now()));
  s.network = s.connection_now(facts);
  s.work.begin_step();
  const bool is_our_car = s.is_our_car(facts);
  Work::Did did = Work::Did::kNothing;
  if (!is_our_car) s.work.hold();
  if (is_our_car) did = TRY(s.work.advance_started(facts));
  if (did == Work::Did::kNothing && is_our_car) did = TRY(s.work.take_licences());
  if (did == Work::Did::kNothing && is_our_car) did = TRY(s.work.keep_terms(facts));
  if (did == Work::Did::kNothing && is_our_car) did = TRY(s.work.look_at_car(facts));
  // What an order's step has waited for its ECUs does not count: the rounds would never come on.
  s.secondaries.begin_step();
  if (did == Work::Did::kNothing) did = TRY(s.talk());
  if (did == Work::Did::kNothing && s.may_talk_yet()) did = TRY(s.work.download(s.network));
  s.work.tidy();
  s.show(s.vehicle.facts());
  return s.wait(did, facts);
}

}  // namespace layby::agent
