#include "tests/server/openapi/schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <regex>

#include "manifest/json_value.h"

namespace layby::tests {

using manifest::Json;

namespace {

class Checker {
 public:
  explicit Checker(const Json& document) : document_(document) {}

  void check(const Json& schema, const Json& value, const std::string& at) {
    for (const auto& [keyword, rule] : schema.items()) apply(keyword, rule, schema, value, at);
  }
  std::vector<std::string> take() { return std::move(errors_); }

 private:
  void wrong(const std::string& at, const std::string& what) {
    errors_.push_back((at.empty() ? "the body" : at) + ": " + what);
  }

  const Json& resolve(const std::string& reference) const {
    return document_.at(Json::json_pointer(reference.substr(1)));
  }

  bool fits(const Json& schema, const Json& value) const {
    Checker other(document_);
    other.check(schema, value, "");
    return other.errors_.empty();
  }

  void apply(const std::string& keyword, const Json& rule, const Json& schema, const Json& value,
             const std::string& at) {
    if (keyword == "$ref") return check(resolve(rule), value, at);
    if (keyword == "type") return check_type(rule, value, at);
    if (keyword == "required") return check_required(rule, value, at);
    if (keyword == "properties") return check_properties(rule, value, at);
    if (keyword == "additionalProperties") return check_others(rule, schema, value, at);
    if (keyword == "items") return check_items(rule, value, at);
    if (keyword == "allOf") {
      for (const Json& part : rule) check(part, value, at);
      return;
    }
    if (keyword == "oneOf") {
      const auto count = std::ranges::count_if(
          rule, [&](const Json& alternative) { return fits(alternative, value); });
      if (count != 1) wrong(at, fmt::format("fits {} of its alternatives", count));
      return;
    }
    if (keyword == "description") return;
    if (!check_value(keyword, rule, value)) wrong(at, keyword + " " + rule.dump());
  }

  static bool check_value(const std::string& keyword, const Json& rule, const Json& value) {
    if (keyword == "enum") return std::ranges::find(rule, value) != rule.end();
    if (keyword == "const") return rule == value;
    if (keyword == "minimum") return !value.is_number() || value >= rule;
    if (keyword == "maximum") return !value.is_number() || value <= rule;
    if (keyword == "minItems") return !value.is_array() || value.size() >= rule;
    if (keyword == "maxItems") return !value.is_array() || value.size() <= rule;
    if (keyword == "minLength")
      return !value.is_string() || value.get_ref<const std::string&>().size() >= rule;
    if (keyword == "maxLength")
      return !value.is_string() || value.get_ref<const std::string&>().size() <= rule;
    if (keyword == "pattern")
      return !value.is_string() ||
             std::regex_search(value.get<std::string>(), std::regex(rule.get<std::string>()));
    return false;  // unknown here
  }

  static bool is_type(const std::string& type, const Json& value) {
    if (type == "object") return value.is_object();
    if (type == "array") return value.is_array();
    if (type == "string") return value.is_string();
    if (type == "integer") return value.is_number_integer();
    if (type == "boolean") return value.is_boolean();
    if (type == "null") return value.is_null();
    return false;
  }

  void check_type(const Json& rule, const Json& value, const std::string& at) {
    const bool good =
        rule.is_array()
            ? std::ranges::any_of(rule, [&](const Json& type) { return is_type(type, value); })
            : is_type(rule, value);
    if (!good) wrong(at, "is no " + rule.dump());
  }

  void check_required(const Json& rule, const Json& value, const std::string& at) {
    if (!value.is_object()) return;
    for (const Json& name : rule)
      if (!value.contains(name.get<std::string>())) wrong(at, "has no " + name.dump());
  }

  void check_properties(const Json& rule, const Json& value, const std::string& at) {
    if (!value.is_object()) return;
    for (const auto& [name, schema] : rule.items())
      if (value.contains(name)) check(schema, value[name], at + "/" + name);
  }

  void check_others(const Json& rule, const Json& schema, const Json& value,
                    const std::string& at) {
    if (!value.is_object()) return;
    const Json known = schema.value("properties", Json::object());
    for (const auto& [name, entry] : value.items()) {
      if (known.contains(name)) continue;
      if (rule == false)
        wrong(at, "has an undocumented \"" + name + "\"");
      else if (rule.is_object())
        check(rule, entry, at + "/" + name);
    }
  }

  void check_items(const Json& rule, const Json& value, const std::string& at) {
    if (!value.is_array()) return;
    for (std::size_t i = 0; i < value.size(); ++i)
      check(rule, value[i], fmt::format("{}/{}", at, i));
  }

  const Json& document_;
  std::vector<std::string> errors_;
};

}  // namespace

std::vector<std::string> schema_errors(const Json& document, const Json& schema,
                                       const Json& value) {
  Checker checker(document);
  checker.check(schema, value, "");
  return checker.take();
}

}  // namespace layby::tests
