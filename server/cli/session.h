// One run of `layby`: who asks which server, how it prints, and why the server said no.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/disk.h"
#include "base/result.h"
#include "manifest/json.h"
#include "server/cli/http_client.h"

namespace layby::cli {

using manifest::Json;

// Exit statuses; README.md describes them for people.
enum class ExitStatus {
  kDone = 0,
  kRefused = 1,       // the server said no, every reason is printed; or an export does not verify
  kUsage = 2,         // the command line is wrong
  kNoConnection = 3,  // no connection, no trust in the server's certificate, or a deadline passed
  kServerFailed = 4,  // the server failed (5xx) or answered what is no answer
  kLocal = 5,         // a file, key or passphrase of ours; nothing was changed on the server
  kInVain = 6,        // what --wait waited for did not come, or failed
};

enum class OutputForm { kText, kJson };

struct SessionConfig {
  std::string server;
  std::string ca_file;
  std::string token_file;
  OutputForm form = OutputForm::kText;
};

// What the server said when it did not do it.
struct Refusal {
  int status;
  std::string body;  // application/problem+json, or whatever came
};

// One thread.
class Session {
 public:
  // The token comes from the file, or from LAYBY_TOKEN if no file is named; neither is fine for
  // routes that anyone may use.
  static Result<Session> open(const SessionConfig& config);

  OutputForm form() const { return form_; }
  Disk& disk() { return disk_; }

  // A call of the API. The answer's JSON, null for an empty one. When the server refuses: an error,
  // and `refusal()` holds what it said.
  Result<Json> get(const std::string& path);
  Result<Json> call(const std::string& method, const std::string& path, const Json& body);
  // With this Idempotency-Key.
  Result<Json> call_once(const std::string& path, const Json& body, const std::string& key);

  // The same with headers and bytes as they are; the token is added.
  Result<HttpAnswer> exchange(HttpRequest request);
  // The same for an answer of any length, into the sink where the status is 2xx.
  Result<HttpAnswer> fetch(HttpRequest request, const HttpClient::Sink& sink);
  // Turns every status but 2xx into an error with a refusal.
  Result<HttpAnswer> accept(HttpAnswer answer, const HttpRequest& request);

  const std::optional<Refusal>& refusal() const { return refusal_; }
  // A wait that ended without what was waited for.
  Error in_vain(std::string text);
  bool waited_in_vain() const { return in_vain_; }

 private:
  Session(HttpClient http, std::string token, OutputForm form)
      : http_(std::move(http)), token_(std::move(token)), form_(form) {}
  Result<Json> call_with(HttpRequest request);

  RealDisk disk_;
  HttpClient http_;
  std::string token_;
  OutputForm form_;
  std::optional<Refusal> refusal_;
  bool in_vain_ = false;
};

// A small text file without the white space around it: tokens and passphrases.
Result<std::string> read_secret(Disk& disk, const std::string& path);

// Prints what went wrong on standard error (with --json the server's problem document on standard
// output too) and says with which status the program ends.
ExitStatus report(const Session& session, const Error& error);

}  // namespace layby::cli
