#include "tests/server/openapi/document.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "manifest/json_value.h"
#include "tests/server/openapi/schema.h"

namespace layby::tests {

using manifest::Json;
using server::Response;

namespace {

std::set<NamedProblem> read_problems(const Json& where, const char* list = "x-problems") {
  std::set<NamedProblem> problems;
  if (!where.contains(list)) return problems;
  for (const auto& [status, codes] : where[list].items())
    for (const Json& code : codes) problems.insert({std::stoi(status), code.get<std::string>()});
  return problems;
}

const std::string* text_of(const Response& response) {
  return std::get_if<std::string>(&response.body);
}

std::string media_type(const Response& response) {
  const auto found = response.headers.find("Content-Type");
  if (found == response.headers.end()) return "";
  return found->second.substr(0, found->second.find(';'));
}

}  // namespace

bool Operation::is_open() const {
  const Json& security = (*description)["security"];
  return security.empty() ||
         std::ranges::any_of(security, [](const Json& one) { return one.empty(); });
}

bool Operation::is_of_vehicles() const {
  const Json& security = (*description)["security"];
  return std::ranges::any_of(security, [](const Json& one) { return one.contains("vehicle"); });
}

bool Operation::has_parameter(const std::string& reference) const {
  if (!description->contains("parameters")) return false;
  return std::ranges::any_of((*description)["parameters"], [&](const Json& parameter) {
    return parameter.value("$ref", "") == reference;
  });
}

const Json* Operation::json_request() const {
  const Json::json_pointer schema("/requestBody/content/application~1json/schema");
  return description->contains(schema) ? &(*description)[schema] : nullptr;
}

const OpenApi& OpenApi::document() {
  static const OpenApi document = [] {
    std::ifstream file(LAYBY_OPENAPI_JSON);
    if (!file) throw std::runtime_error("no " LAYBY_OPENAPI_JSON);
    return OpenApi(Json::parse(file));
  }();
  return document;
}

OpenApi::OpenApi(Json document)
    : document_(std::move(document)),
      anywhere_(read_problems(document_)),
      unrouted_(read_problems(document_, "x-unrouted")) {
  for (const auto& [path, methods] : document_["paths"].items()) {
    for (const auto& [method, description] : methods.items()) {
      const std::string name = method + " " + path;
      operations_[name] = {
          .name = name, .description = &description, .problems = read_problems(description)};
    }
  }
}

std::string OpenApi::name_of(const server::Route& route) {
  std::string method(server::to_string(route.method));
  std::ranges::transform(method, method.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  std::string path = route.path;
  const std::size_t rest = path.find("...");
  if (rest != std::string::npos) path.erase(rest, 3);  // OpenAPI knows no rest of a path
  return method + " " + path;
}

NamedProblem OpenApi::problem_of(const Response& response) {
  NamedProblem problem{.status = response.status, .code = {}};
  if (media_type(response) != "application/problem+json" || text_of(response) == nullptr)
    return problem;
  const Json body = Json::parse(*text_of(response));
  problem.code = body.value("code", "");
  return problem;
}

bool OpenApi::is_named(const Operation& operation, const NamedProblem& problem) const {
  if (operation.problems.contains(problem)) return true;
  // An operation that takes a body says itself how that can be too large.
  if (problem.status == 413 && operation.description->contains("requestBody")) return false;
  return anywhere_.contains(problem);
}

std::vector<std::string> OpenApi::differences(const Operation& operation,
                                              const Response& response) const {
  const Json& said = (*operation.description)["responses"];
  const std::string status = std::to_string(response.status);
  if (response.status >= 400) {
    const NamedProblem problem = problem_of(response);
    if (problem.code.empty()) return {"status " + status + " without a problem document"};
    if (!is_named(operation, problem)) return {"undocumented: " + problem.text()};
    return schema_errors(document_, document_["components"]["schemas"]["Problem"],
                         Json::parse(*text_of(response)));
  }
  if (!said.contains(status)) return {"undocumented status " + status};
  const Json& answer = said[status];
  if (!answer.contains("content")) {
    const std::string* text = text_of(response);
    if (text != nullptr && text->empty()) return {};
    return {"status " + status + " has a body"};
  }
  const Json& content = answer["content"];
  const std::string type = media_type(response);
  if (!content.contains(type)) return {"undocumented media type \"" + type + "\""};
  if (type != "application/json" || text_of(response) == nullptr) return {};
  return schema_errors(document_, content[type]["schema"], Json::parse(*text_of(response)));
}

}  // namespace layby::tests
