#include "agent/secondary_link.h"

#include <algorithm>

namespace layby::agent {
namespace {

constexpr std::int64_t kSendMs = 10'000;
constexpr std::int64_t kSilenceMs = 30'000;

Result<secondary::Message> exchange(const secondary::Socket& socket,
                                    const secondary::Message& question, std::int64_t within_ms) {
  TRY_VOID(secondary::send_message(socket, question, std::min(kSendMs, within_ms)));
  return secondary::receive_message(socket, within_ms);
}

// A piece, a file that was asked for and an answer about the time belong to what was said before on
// the same ECU: they are not repeated behind its back. All others stand alone.
bool stands_alone(secondary::MessageType type) {
  return type != secondary::MessageType::kPiece && type != secondary::MessageType::kFile &&
         type != secondary::MessageType::kTime;
}

}  // namespace

Result<secondary::Message> SocketLink::ask(const std::string& address,
                                           const secondary::Message& question,
                                           std::int64_t within_ms) {
  if (const auto silent = silent_until_ms_.find(address); silent != silent_until_ms_.end()) {
    if (clock_.monotonic_ms() < silent->second)
      return fail(ErrorCode::kUnavailable, "{} did not answer a moment ago", address);
    silent_until_ms_.erase(silent);
  }
  auto answer = ask_now(address, question, within_ms * patience_);
  if (!answer && answer.error().code() == ErrorCode::kTimeout)
    silent_until_ms_[address] = clock_.monotonic_ms() + kSilenceMs;
  return answer;
}

Result<secondary::Message> SocketLink::ask_now(const std::string& address,
                                               const secondary::Message& question,
                                               std::int64_t within_ms) {
  const auto known = open_.find(address);
  if (known != open_.end()) {
    auto answer = exchange(known->second, question, within_ms);
    if (answer) return answer;
    const bool is_gone = answer.error().code() == ErrorCode::kUnavailable;
    open_.erase(known);
    if (!is_gone || !stands_alone(question.type)) return answer;
  }
  secondary::Socket fresh = TRY(secondary::connect_to(address));
  auto answer = exchange(fresh, question, within_ms);
  if (answer) open_.insert_or_assign(address, std::move(fresh));
  return answer;
}

}  // namespace layby::agent
