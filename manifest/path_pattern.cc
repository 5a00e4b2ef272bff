#include "manifest/path_pattern.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/utf8.h"

namespace layby::manifest {
namespace {

struct Character {
  std::size_t bytes;  // 1 to 4
  std::uint32_t code;
};

// A byte that begins no character gets a code of its own, above all characters.
Character character_at(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[at + i]); };
  const std::size_t bytes = utf8_length(text, at);
  if (bytes == 0) return {1, 0x110000u + byte(0)};
  if (bytes == 1) return {1, byte(0)};
  std::uint32_t code = byte(0) & (0x7fu >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) code = code << 6 | (byte(i) & 0x3fu);
  return {bytes, code};
}

bool is_of_class(std::string_view name, std::uint32_t code) {
  const auto in = [&](char first, char last) {
    return code >= static_cast<unsigned char>(first) && code <= static_cast<unsigned char>(last);
  };
  const bool lower = in('a', 'z');
  const bool upper = in('A', 'Z');
  const bool digit = in('0', '9');
  const bool graph = in('!', '~');
  if (name == "alpha") return lower || upper;
  if (name == "digit") return digit;
  if (name == "alnum") return lower || upper || digit;
  if (name == "lower") return lower;
  if (name == "upper") return upper;
  if (name == "xdigit") return digit || in('a', 'f') || in('A', 'F');
  if (name == "space") return code == ' ' || in('\t', '\r');
  if (name == "blank") return code == ' ' || code == '\t';
  if (name == "punct") return graph && !lower && !upper && !digit;
  if (name == "graph") return graph;
  if (name == "print") return graph || code == ' ';
  if (name == "cntrl") return code < 0x20 || code == 0x7f;
  return false;
}

struct Bracket {
  std::size_t end;  // behind its `]`
  bool matches;
};

// The bracket that begins at `at`, against one character; nothing where it is not closed.
std::optional<Bracket> bracket_at(std::string_view pattern, std::size_t at, std::uint32_t code) {
  std::size_t p = at + 1;
  const bool negated = p < pattern.size() && (pattern[p] == '!' || pattern[p] == '^');
  if (negated) ++p;
  const std::size_t first = p;
  bool listed = false;
  // The next single character of the list; a `\` before it is passed over.
  const auto take = [&]() -> std::optional<std::uint32_t> {
    if (p < pattern.size() && pattern[p] == '\\') ++p;
    if (p == pattern.size() || pattern[p] == '/') return std::nullopt;
    const Character character = character_at(pattern, p);
    p += character.bytes;
    return character.code;
  };
  while (p < pattern.size()) {
    if (pattern[p] == ']' && p != first) return Bracket{p + 1, listed != negated};
    if (pattern.substr(p).starts_with("[:")) {
      const std::size_t end = pattern.find(":]", p + 2);
      if (end != std::string_view::npos &&
          pattern.substr(p, end - p).find('/') == std::string_view::npos) {
        listed = listed || is_of_class(pattern.substr(p + 2, end - p - 2), code);
        p = end + 2;
        continue;
      }
    }
    const auto low = take();
    if (!low) return std::nullopt;
    auto high = low;
    if (p + 1 < pattern.size() && pattern[p] == '-' && pattern[p + 1] != ']') {
      ++p;
      high = take();
      if (!high) return std::nullopt;
    }
    listed = listed || (code >= *low && code <= *high);
  }
  return std::nullopt;
}

// Where the pattern goes on once what stands at `p`, no `*`, has taken this character.
std::optional<std::size_t> after_one(std::string_view pattern, std::size_t p, Character character,
                                     std::string_view spelled) {
  if (p == pattern.size()) return std::nullopt;
  if (pattern[p] == '?') return spelled == "/" ? std::nullopt : std::optional<std::size_t>(p + 1);
  if (pattern[p] == '[') {
    if (const auto bracket = bracket_at(pattern, p, character.code)) {
      if (!bracket->matches || spelled == "/") return std::nullopt;
      return bracket->end;
    }
  } else if (pattern[p] == '\\') {
    ++p;
  }
  if (!pattern.substr(p).starts_with(spelled)) return std::nullopt;
  return p + spelled.size();
}

}  // namespace

bool path_matches(std::string_view pattern, std::string_view text) {
  std::size_t p = 0;
  std::size_t t = 0;
  constexpr std::size_t kNone = std::string_view::npos;
  std::size_t star = kNone;  // the last one of this segment
  std::size_t resume = 0;    // what follows it was tried from here
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
      continue;
    }
    const Character character = character_at(text, t);
    const auto next = after_one(pattern, p, character, text.substr(t, character.bytes));
    if (next) {
      // Both are in their next segment: what a star took before it cannot change that.
      if (text[t] == '/') star = kNone;
      p = *next;
      t += character.bytes;
    } else if (star != kNone && text[resume] != '/') {
      resume += character_at(text, resume).bytes;
      t = resume;
      p = star + 1;
    } else {
      return false;
    }
  }
  return std::all_of(pattern.begin() + static_cast<std::ptrdiff_t>(p), pattern.end(),
                     [](char c) { return c == '*'; });
}

}  // namespace layby::manifest
