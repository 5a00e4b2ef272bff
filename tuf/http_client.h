// GET over plain or encrypted HTTP, with every bound that a client of strangers needs: bytes,
// redirects, a minimum rate and a deadline. Nothing of the environment (proxies) is used.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace layby::tuf {

class HttpClient {
 public:
  // `ca_file`: the only authorities that may vouch for a server (PEM); empty: the system's.
  static Result<std::unique_ptr<HttpClient>> create(std::string ca_file);
  ~HttpClient();

  // Takes the next bytes of a body; its error ends the exchange and is the result.
  using Sink = std::function<Result<void>(ByteSpan)>;
  enum class Answer { kBody, kAbsent };

  // kBody: status 200, and all of the body went to the sink, at most bytes_max. kAbsent: status 403
  // or 404, whatever becomes of the body. kEndlessData above bytes_max, kSlowRetrieval below the
  // minimum rate or past the deadline, kUnavailable for any other status and failure. The URL goes
  // out as it stands here. The deadline is what bytes_max takes at the minimum rate, and at most
  // `time_max`.
  Result<Answer> get(const std::string& url, std::uint64_t bytes_max, const Sink& sink,
                     std::chrono::milliseconds time_max = std::chrono::milliseconds::max());

 private:
  struct State;
  HttpClient(std::unique_ptr<State> state, std::string ca_file);
  std::unique_ptr<State> state_;
  std::string ca_file_;
};

}  // namespace layby::tuf
