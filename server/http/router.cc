#include "server/http/router.h"

#include <algorithm>
#include <exception>
#include <set>
#include <string_view>

#include "base/assert.h"
#include "server/http/problem.h"

namespace layby::server {
namespace {

// "/a/b" -> "a", "b". Nothing for a path without a slash in front.
std::vector<std::string_view> split_path(std::string_view path) {
  std::vector<std::string_view> parts;
  if (path.empty() || path.front() != '/') return parts;
  for (std::size_t at = 1; at <= path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    parts.push_back(path.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

// From part `first` to the end, slashes included: the parts are views into one path.
std::string_view rest_of(const std::vector<std::string_view>& parts, std::size_t first) {
  const char* begin = parts[first].data();
  const char* end = parts.back().data() + parts.back().size();
  return {begin, static_cast<std::size_t>(end - begin)};
}

}  // namespace

std::vector<Router::Part> Router::parse_template(const std::string& path) {
  std::vector<Part> parts;
  for (const std::string_view text : split_path(path)) {
    LAYBY_ASSERT(parts.empty() || parts.back().kind != Part::Kind::kRest);
    if (text.size() > 5 && text.front() == '{' && text.ends_with("...}"))
      parts.push_back({Part::Kind::kRest, std::string(text.substr(1, text.size() - 5))});
    else if (text.size() > 2 && text.front() == '{' && text.back() == '}')
      parts.push_back({Part::Kind::kValue, std::string(text.substr(1, text.size() - 2))});
    else
      parts.push_back({Part::Kind::kLiteral, std::string(text)});
  }
  LAYBY_ASSERT(!parts.empty());
  return parts;
}

void Router::guard_writes(Guard guard) {
  LAYBY_ASSERT(routes_.empty());
  guard_ = std::move(guard);
}

void Router::add(Route route) {
  const bool writes = route.method != Method::kGet && route.method != Method::kHead;
  if (guard_ && writes) {
    route.handler = [guard = guard_, handler = std::move(route.handler)](const Request& request) {
      if (std::optional<Response> refusal = guard(request)) return std::move(*refusal);
      return handler(request);
    };
  }
  Template added{parse_template(route.path), routes_.size()};
  const auto same_part = [](const Part& a, const Part& b) {
    return a.kind == b.kind && (a.kind != Part::Kind::kLiteral || a.text == b.text);
  };
  for (const Template& other : by_preference_)
    LAYBY_ASSERT(routes_[other.route].method != route.method ||
                 !std::equal(added.parts.begin(), added.parts.end(), other.parts.begin(),
                             other.parts.end(), same_part));
  const auto before = [](const Template& a, const Template& b) {
    return std::lexicographical_compare(
        a.parts.begin(), a.parts.end(), b.parts.begin(), b.parts.end(),
        [](const Part& left, const Part& right) { return left.kind < right.kind; });
  };
  by_preference_.insert(
      std::upper_bound(by_preference_.begin(), by_preference_.end(), added, before), added);
  routes_.push_back(std::move(route));
}

bool Router::fits(const Template& shape, const std::vector<std::string_view>& parts) {
  for (std::size_t i = 0; i < shape.parts.size(); ++i) {
    if (i >= parts.size()) return false;
    switch (shape.parts[i].kind) {
      case Part::Kind::kLiteral:
        if (parts[i] != shape.parts[i].text) return false;
        break;
      case Part::Kind::kValue:
        if (parts[i].empty()) return false;
        break;
      case Part::Kind::kRest: return !rest_of(parts, i).empty();
    }
  }
  return parts.size() == shape.parts.size();
}

const Route* Router::match(Request& request) const {
  const std::vector<std::string_view> parts = split_path(request.path);
  const auto find = [&](Method method) {
    return std::find_if(by_preference_.begin(), by_preference_.end(), [&](const Template& shape) {
      return routes_[shape.route].method == method && fits(shape, parts);
    });
  };
  auto found = find(request.method);
  if (found == by_preference_.end() && request.method == Method::kHead) found = find(Method::kGet);
  if (found == by_preference_.end()) return nullptr;
  request.path_values.clear();
  for (std::size_t i = 0; i < found->parts.size(); ++i) {
    const Part& part = found->parts[i];
    switch (part.kind) {
      case Part::Kind::kLiteral: break;
      case Part::Kind::kValue: request.path_values[part.text] = std::string(parts[i]); break;
      case Part::Kind::kRest:
        request.path_values[part.text] = std::string(rest_of(parts, i));
        break;
    }
  }
  return &routes_[found->route];
}

Response Router::refuse(const Request& request) const {
  const std::vector<std::string_view> parts = split_path(request.path);
  std::set<std::string_view> allowed;
  for (const Template& shape : by_preference_) {
    if (!fits(shape, parts)) continue;
    allowed.insert(to_string(routes_[shape.route].method));
    if (routes_[shape.route].method == Method::kGet) allowed.insert("HEAD");
  }
  if (allowed.empty()) return problem(404, "not-found", "there is nothing at this path");
  std::string allow;
  for (const std::string_view name : allowed) {
    if (!allow.empty()) allow += ", ";
    allow += name;
  }
  Response response = problem(405, "method-not-allowed", "this path takes " + allow);
  response.headers["Allow"] = allow;
  return response;
}

Response Router::run(const Route& route, const Request& request) {
  if (request.body.size() > route.body_bytes_max)
    return problem(413, "too-large",
                   fmt::format("the body may have {} bytes", route.body_bytes_max));
  try {
    if (route.admit) {
      if (std::optional<Response> refusal = route.admit(request)) return std::move(*refusal);
    }
    return route.handler(request);
  } catch (const std::exception& thrown) {
    return problem(Error(ErrorCode::kInternal, thrown.what()).with_context(route.path));
  }
}

Response Router::handle(Request request) const {
  const Route* route = match(request);
  return route ? run(*route, request) : refuse(request);
}

}  // namespace layby::server
