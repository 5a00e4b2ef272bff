#include "manifest/json.h"

#include <algorithm>

#include "base/assert.h"
#include "base/time_text.h"
#include "base/utf8.h"
#include "manifest/json_numbers.h"
#include "manifest/json_value.h"

namespace layby::manifest {
namespace {

// Builds the value while the library's lexer, which keeps no stack of ours, reports what it sees.
class StrictBuilder final : public nlohmann::json_sax<Json> {
 public:
  enum class Numbers { kWhole, kAsText };
  explicit StrictBuilder(std::size_t depth_max, Numbers numbers = Numbers::kWhole)
      : depth_max_(depth_max), numbers_(numbers) {}

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  // The library reports what begins with a minus here; zero among them is "-0".
  bool number_integer(number_integer_t value) override {
    if (numbers_ == Numbers::kAsText) return put(std::to_string(value));
    if (value == 0) return refuse("-0 is not an integer");
    if (value < -static_cast<number_integer_t>(kJsonIntegerMax))
      return refuse("an integer is below -(2^53-1)");
    return put(value);
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (numbers_ == Numbers::kAsText) return put(std::to_string(value));
    if (value > kJsonIntegerMax) return refuse("an integer is above 2^53-1");
    return put(value);
  }
  bool number_float(number_float_t, const string_t& text) override {
    if (numbers_ == Numbers::kAsText) return put(text);
    return refuse(fmt::format("{} is not an integer within +-(2^53-1)", text.substr(0, 40)));
  }
  bool string(string_t& value) override { return put(std::move(value)); }
  bool binary(binary_t&) override { return refuse("binary"); }

  bool start_object(std::size_t) override { return open(Json::object()); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& value) override {
    auto& object = open_.back()->get_ref<Json::object_t&>();
    const auto [at, inserted] = object.emplace(std::move(value), nullptr);
    if (!inserted) return refuse(fmt::format("the key \"{}\" stands twice", at->first));
    place_ = &at->second;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    return refuse(fmt::format("not JSON at byte {}", position));
  }

  Json take() { return std::move(root_); }
  const std::string& error() const { return error_; }

 private:
  bool refuse(std::string why) {
    if (error_.empty()) error_ = std::move(why);
    return false;
  }

  template <typename T>
  bool put(T&& value) {
    place(Json(std::forward<T>(value)));
    return true;
  }

  // Elements of an array never move while a container inside them is open: only the innermost
  // container grows.
  Json* place(Json value) {
    Json* where = &root_;
    if (!open_.empty() && open_.back()->is_array()) {
      auto& array = open_.back()->get_ref<Json::array_t&>();
      where = &array.emplace_back();
    } else if (!open_.empty()) {
      where = place_;
    }
    *where = std::move(value);
    return where;
  }

  bool open(Json container) {
    if (open_.size() >= depth_max_)
      return refuse(fmt::format("nesting is deeper than {}", depth_max_));
    open_.push_back(place(std::move(container)));
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  std::size_t depth_max_;
  Numbers numbers_;
  Json root_;
  std::vector<Json*> open_;
  Json* place_ = nullptr;  // where the value of the key just read goes
  std::string error_;
};

enum class Control { kRaw, kEscaped };

class Writer {
 public:
  explicit Writer(Control control) : control_(control) {}

  Result<void> write(const Json& value, std::size_t depth) {
    if (depth > kJsonDepthMax)
      return fail(ErrorCode::kBadCanonicalJson, "nesting is deeper than {}", kJsonDepthMax);
    switch (value.type()) {
      case Json::value_t::null: out_ += "null"; return {};
      case Json::value_t::boolean: out_ += value.get<bool>() ? "true" : "false"; return {};
      case Json::value_t::number_integer: return write_integer(value.get<std::int64_t>());
      case Json::value_t::number_unsigned: return write_unsigned(value.get<std::uint64_t>());
      case Json::value_t::string: return write_text(value.get_ref<const std::string&>());
      case Json::value_t::array: return write_array(value, depth);
      case Json::value_t::object: return write_object(value, depth);
      case Json::value_t::number_float:
        return fail(ErrorCode::kBadCanonicalJson, "canonical JSON has no floats");
      case Json::value_t::binary:
      case Json::value_t::discarded:
        return fail(ErrorCode::kBadCanonicalJson, "canonical JSON has no binary values");
    }
    LAYBY_ASSERT(false);
  }

  std::string take() { return std::move(out_); }

 private:
  Result<void> write_unsigned(std::uint64_t value) {
    if (value > kJsonIntegerMax)
      return fail(ErrorCode::kBadCanonicalJson, "{} is above 2^53-1", value);
    fmt::format_to(std::back_inserter(out_), "{}", value);
    return {};
  }

  Result<void> write_integer(std::int64_t value) {
    if (value < 0 && value < -static_cast<std::int64_t>(kJsonIntegerMax))
      return fail(ErrorCode::kBadCanonicalJson, "{} is below -(2^53-1)", value);
    if (value >= 0) return write_unsigned(static_cast<std::uint64_t>(value));
    fmt::format_to(std::back_inserter(out_), "{}", value);
    return {};
  }

  Result<void> write_text(const std::string& text) {
    out_ += '"';
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t length = utf8_length(text, at);
      if (length == 0)
        return fail(ErrorCode::kBadCanonicalJson, "a text is not UTF-8 at byte {}", at);
      const char c = text[at];
      if (c == '"' || c == '\\') out_ += '\\';
      if (control_ == Control::kEscaped && static_cast<unsigned char>(c) < 0x20)
        fmt::format_to(std::back_inserter(out_), "\\u{:04x}", static_cast<unsigned>(c));
      else
        out_.append(text, at, length);
      at += length;
    }
    out_ += '"';
    return {};
  }

  Result<void> write_array(const Json& array, std::size_t depth) {
    out_ += '[';
    bool first = true;
    for (const Json& element : array) {
      if (!first) out_ += ',';
      first = false;
      TRY_VOID(write(element, depth + 1));
    }
    out_ += ']';
    return {};
  }

  // The library's map orders keys by their bytes, which for UTF-8 is the order of code points.
  Result<void> write_object(const Json& object, std::size_t depth) {
    out_ += '{';
    bool first = true;
    for (const auto& [key, element] : object.get_ref<const Json::object_t&>()) {
      if (!first) out_ += ',';
      first = false;
      TRY_VOID(write_text(key));
      out_ += ':';
      TRY_VOID(write(element, depth + 1));
    }
    out_ += '}';
    return {};
  }

  Control control_;
  std::string out_;
};

Result<std::string> write_all(const Json& value, Control control) {
  Writer writer(control);
  TRY_VOID(writer.write(value, 0));
  return writer.take();
}

Result<const Json*> require(const Json& object, std::string_view key) {
  const Json* found = find_field(object, key);
  if (!found) return fail(ErrorCode::kBadFormat, "\"{}\" is missing", key);
  return found;
}

}  // namespace

namespace {

Result<Json> parse(ByteSpan bytes, JsonLimits limits, StrictBuilder::Numbers numbers) {
  if (bytes.size() > limits.bytes_max)
    return fail(ErrorCode::kEndlessData, "a document of {} bytes, at most {} are allowed",
                bytes.size(), limits.bytes_max);
  // The library would skip a byte order mark (RFC 8259, section 8.1, wants none).
  if (bytes.size() >= 3 && bytes[0] == 0xEF && bytes[1] == 0xBB && bytes[2] == 0xBF)
    return fail(ErrorCode::kBadJson, "begins with a byte order mark");
  // The library takes a zero byte for the end, and would not see what follows.
  if (std::ranges::find(bytes, std::uint8_t{0}) != bytes.end())
    return fail(ErrorCode::kBadJson, "holds a zero byte");
  StrictBuilder builder(limits.depth_max, numbers);
  const std::string_view text = as_text(bytes);
  if (!Json::sax_parse(text.begin(), text.end(), &builder))
    return fail(ErrorCode::kBadJson, "{}", builder.error());
  return builder.take();
}

}  // namespace

Result<Json> parse_strict(ByteSpan bytes, JsonLimits limits) {
  return parse(bytes, limits, StrictBuilder::Numbers::kWhole);
}

Result<Json> parse_with_numbers_as_text(ByteSpan bytes, JsonLimits limits) {
  return parse(bytes, limits, StrictBuilder::Numbers::kAsText);
}

Result<std::string> to_canonical(const Json& value) {
  return write_all(value, Control::kRaw);
}

Result<std::string> to_wire(const Json& value) {
  return write_all(value, Control::kEscaped);
}

const Json* find_field(const Json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto& map = object.get_ref<const Json::object_t&>();
  const auto at = map.find(std::string(key));
  return at == map.end() ? nullptr : &at->second;
}

Result<const Json*> object_field(const Json& object, std::string_view key) {
  const Json* found = TRY(require(object, key));
  if (!found->is_object()) return fail(ErrorCode::kBadFormat, "\"{}\" is not an object", key);
  return found;
}

Result<const Json*> array_field(const Json& object, std::string_view key) {
  const Json* found = TRY(require(object, key));
  if (!found->is_array()) return fail(ErrorCode::kBadFormat, "\"{}\" is not an array", key);
  return found;
}

Result<std::string> text_field(const Json& object, std::string_view key) {
  const Json* found = TRY(require(object, key));
  if (!found->is_string()) return fail(ErrorCode::kBadFormat, "\"{}\" is not a text", key);
  return found->get_ref<const std::string&>();
}

Result<std::uint64_t> uint_field(const Json& object, std::string_view key, std::uint64_t max) {
  const Json* found = TRY(require(object, key));
  // What was made by hand may hold a positive number in the signed type.
  const bool fits = found->is_number_unsigned() ||
                    (found->is_number_integer() && found->get<std::int64_t>() >= 0);
  if (!fits) return fail(ErrorCode::kBadFormat, "\"{}\" is not an integer from 0 up", key);
  const auto value = found->get<std::uint64_t>();
  if (value > max) return fail(ErrorCode::kBadFormat, "\"{}\" is {}, above {}", key, value, max);
  return value;
}

Result<bool> bool_field(const Json& object, std::string_view key) {
  const Json* found = TRY(require(object, key));
  if (!found->is_boolean()) return fail(ErrorCode::kBadFormat, "\"{}\" is not a boolean", key);
  return found->get<bool>();
}

Result<UnixSeconds> time_field(const Json& object, std::string_view key) {
  return TRY_CONTEXT(parse_utc(TRY(text_field(object, key))), key);
}

Result<crypto::Digest256> digest_field(const Json& object, std::string_view key) {
  return TRY_CONTEXT(array_from_hex<32>(TRY(text_field(object, key))), key);
}

}  // namespace layby::manifest
