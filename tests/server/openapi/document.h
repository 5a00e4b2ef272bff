// docs/openapi.yaml, and whether an answer of the server is one that it names.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "manifest/json_value.h"
#include "server/http/message.h"
#include "server/http/router.h"

namespace layby::tests {

// A refusal: its status and its stable code.
struct NamedProblem {
  int status = 0;
  std::string code;
  auto operator<=>(const NamedProblem&) const = default;
  std::string text() const { return std::to_string(status) + " " + code; }
};

struct Operation {
  std::string name;                             // "post /v1/orders"
  const manifest::Json* description = nullptr;  // into the document
  std::set<NamedProblem> problems;              // x-problems

  bool is_open() const;                                    // anybody may call it
  bool is_of_vehicles() const;                             // with a car's certificate
  bool has_parameter(const std::string& reference) const;  // "#/components/parameters/Limit"
  const manifest::Json* json_request() const;  // the schema of its JSON body; null for none
};

class OpenApi {
 public:
  // As the build has it.
  static const OpenApi& document();

  const std::map<std::string, Operation>& operations() const { return operations_; }
  // What every operation can answer besides, and what is answered where none is meant.
  const std::set<NamedProblem>& anywhere() const { return anywhere_; }
  const std::set<NamedProblem>& unrouted() const { return unrouted_; }

  static std::string name_of(const server::Route& route);
  static NamedProblem problem_of(const server::Response& response);  // of a status from 400 on

  // In what `response` differs from what the operation says; empty where it does not.
  std::vector<std::string> differences(const Operation& operation,
                                       const server::Response& response) const;

 private:
  explicit OpenApi(manifest::Json document);

  bool is_named(const Operation& operation, const NamedProblem& problem) const;

  manifest::Json document_;
  std::map<std::string, Operation> operations_;
  std::set<NamedProblem> anywhere_;
  std::set<NamedProblem> unrouted_;
};

}  // namespace layby::tests
