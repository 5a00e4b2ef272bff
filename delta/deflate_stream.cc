#include "delta/deflate_stream.h"

#include <algorithm>
#include <array>
#include <vector>

#include "delta/deflate_blocks.h"
#include "delta/deflate_matcher.h"
#include "delta/deflate_opening.h"
#include "delta/deflate_window.h"

namespace layby::delta {

struct Deflater::State {
  DeflateMatcher matcher;
  BlockWriter writer;
};

namespace {

enum class Made : std::uint8_t { kAll, kDoesNotFit, kDiffers, kTooManySteps };

// What is to come out, where that is known: the run stops as soon as something else does.
struct Expected {
  ByteSpan stream;
  std::span<const DeflateToken> opening;
};

// One run over a text.
class Run {
 public:
  Run(DeflateMatcher& matcher, BlockWriter& writer, const DeflateRules& rules, ByteSpan text,
      const Expected& expected)
      : matcher_(matcher),
        writer_(writer),
        rules_(rules),
        text_(text),
        size_(static_cast<std::uint32_t>(text.size())),
        expected_(expected),
        window_(rules, size_) {}

  Made make() {
    switch (rules_.matcher) {
      case Matcher::kGreedy: go_greedily(); break;
      case Matcher::kLazy: go_lazily(); break;
    }
    if (made_ == Made::kAll) end_block(size_, LastBlock::kYes);
    return made_;
  }

  // How far in the text it came, once it is made.
  std::uint32_t reached() const { return reached_; }

 private:
  DeflateMatch search(std::uint32_t at, std::uint32_t length) {
    reached_ = at;
    if (!window_.may_search(at)) return {.length = kMatchMin - 1};
    return matcher_.longest(at, length, window_.begin());
  }

  // Takes each match at once. Of long ones only the first position is inserted.
  void go_greedily() {
    for (std::uint32_t at = 0; at < size_ && made_ == Made::kAll;) {
      window_.refill(at);
      matcher_.insert(at, at + 1);
      const DeflateMatch match = search(at, kMatchMin - 1);
      const bool is_match = match.length >= kMatchMin;
      const std::uint32_t end = at + (is_match ? match.length : 1);
      const BlockState state = is_match ? add_match(match, at) : add_literal(text_[at], at);
      if (is_match && match.length <= rules_.lazy) matcher_.insert(at + 1, end);
      at = end;
      if (state == BlockState::kFull) end_block(at, LastBlock::kNo);
    }
  }

  // Takes a match only when there is no longer one a byte later.
  void go_lazily() {
    DeflateMatch before{};
    bool has_byte = false;  // the byte before `at` is not yet written
    std::uint32_t at = 0;
    while (at < size_ && made_ == Made::kAll) {
      window_.refill(at);
      matcher_.insert(at, at + 1);
      DeflateMatch match{};
      if (before.length < rules_.lazy) match = drop_poor(search(at, before.length));
      BlockState state = BlockState::kOpen;
      if (before.length >= kMatchMin && match.length <= before.length) {
        state = add_match(before, at);
        const std::uint32_t end = at - 1 + before.length;
        matcher_.insert(at + 1, end);
        at = end;
        before = {};
        has_byte = false;
      } else {
        if (has_byte) state = add_literal(text_[at - 1], at);
        if (state == BlockState::kFull) end_block(at, LastBlock::kNo);
        state = BlockState::kOpen;
        has_byte = true;
        before = match;
        ++at;
      }
      if (state == BlockState::kFull) end_block(at, LastBlock::kNo);
    }
    if (has_byte && made_ == Made::kAll) add_literal(text_[size_ - 1], size_);
  }

  BlockState add_literal(std::uint8_t literal, std::uint32_t at) {
    compare_opening({.length = 1, .distance = literal});
    return writer_.add_literal(literal, at - block_begin_);
  }
  BlockState add_match(const DeflateMatch& match, std::uint32_t at) {
    compare_opening(
        {static_cast<std::uint16_t>(match.length), static_cast<std::uint16_t>(match.distance)});
    return writer_.add_match(match.length, match.distance, at - block_begin_);
  }
  void compare_opening(const DeflateToken& token) {
    if (opened_ == expected_.opening.size()) return;
    if (expected_.opening[opened_++] != token) made_ = Made::kDiffers;
  }

  DeflateMatch drop_poor(DeflateMatch match) const {
    const bool is_poor =
        match.length < rules_.match_min || (match.length == kMatchMin && match.distance > kTooFar);
    return is_poor ? DeflateMatch{} : match;
  }

  void end_block(std::uint32_t end, LastBlock last) {
    const auto in_window = block_begin_ >= window_.begin() ? BlockWriter::Window::kHasText
                                                           : BlockWriter::Window::kLostText;
    const ByteSpan block = text_.subspan(block_begin_, end - block_begin_);
    block_begin_ = end;
    if (writer_.end_block(block, in_window, last) == Written::kDoesNotFit)
      made_ = Made::kDoesNotFit;
    else if (matcher_.is_out_of_steps())
      made_ = Made::kTooManySteps;
    else if (!is_as_expected())
      made_ = Made::kDiffers;
  }

  bool is_as_expected() {
    if (expected_.stream.empty()) return true;
    const ByteSpan written = writer_.sink().written();
    const bool equal =
        std::equal(written.begin() + static_cast<std::ptrdiff_t>(compared_), written.end(),
                   expected_.stream.begin() + static_cast<std::ptrdiff_t>(compared_));
    compared_ = written.size();
    return equal;
  }

  DeflateMatcher& matcher_;
  BlockWriter& writer_;
  const DeflateRules& rules_;
  ByteSpan text_;
  std::uint32_t size_;
  Expected expected_;
  std::size_t opened_ = 0;  // tokens compared
  std::uint32_t reached_ = 0;
  DeflateWindow window_;
  std::uint32_t block_begin_ = 0;
  std::size_t compared_ = 0;
  Made made_ = Made::kAll;
};

struct Outcome {
  Made made;
  std::uint64_t steps;
  std::uint32_t reached;  // of the text
};

Outcome make(Deflater::State& state, ByteSpan text, const DeflateRecipe& recipe,
             MutableByteSpan room, const Expected& expected, std::uint64_t steps_max) {
  const DeflateRules rules = rules_of(recipe);
  state.matcher.begin(text, rules, steps_max);
  state.writer.begin(room, rules);
  Run run(state.matcher, state.writer, rules, text, expected);
  const Made made = run.make();
  return {made, steps_max - state.matcher.steps_left(), run.reached()};
}

Result<std::size_t> made_within(Deflater::State& state, ByteSpan text, const DeflateRecipe& recipe,
                                MutableByteSpan room, std::uint64_t& steps_left) {
  if (text.size() > kDeflateTextBytesMax)
    return fail(ErrorCode::kBadPayload, "a deflate stream has {} bytes of text, more than {}",
                text.size(), kDeflateTextBytesMax);
  steps_left += text.size() * kDeflateStepsPerByteMax;
  const Outcome outcome = make(state, text, recipe, room, {}, steps_left);
  steps_left -= outcome.steps;
  switch (outcome.made) {
    case Made::kAll: return state.writer.sink().written().size();
    case Made::kTooManySteps:
      return fail(ErrorCode::kBadPayload, "a deflate stream takes too many steps to make");
    case Made::kDiffers:
    case Made::kDoesNotFit: break;
  }
  return fail(ErrorCode::kBadPayload, "a deflate stream has more than {} bytes", room.size());
}

}  // namespace

Deflater::Deflater() : state_(std::make_unique<State>()) {}
Deflater::~Deflater() = default;
Deflater::Deflater(Deflater&&) noexcept = default;
Deflater& Deflater::operator=(Deflater&&) noexcept = default;

Result<std::size_t> Deflater::deflate_within(ByteSpan text, const DeflateRecipe& recipe,
                                             MutableByteSpan room) {
  std::uint64_t steps_left = kDeflateStepsBesides;
  return made_within(*state_, text, recipe, room, steps_left);
}

Result<void> Deflater::deflate(ByteSpan text, const DeflateRecipe& recipe, MutableByteSpan stream) {
  std::uint64_t steps_left = kDeflateStepsBesides;
  return deflate(text, recipe, stream, steps_left);
}

Result<void> Deflater::deflate(ByteSpan text, const DeflateRecipe& recipe, MutableByteSpan stream,
                               std::uint64_t& steps_left) {
  const std::size_t size = TRY(made_within(*state_, text, recipe, stream, steps_left));
  if (size != stream.size())
    return fail(ErrorCode::kBadPayload, "a deflate stream has {} bytes instead of {}", size,
                stream.size());
  return {};
}

std::optional<RecipeBounds> bounds_of_zlib_header(std::uint8_t first, std::uint8_t second) {
  const unsigned window_bits = 8 + (first >> 4);
  const bool has_dictionary = (second & 0x20) != 0;
  if ((first & 0xf) != 8 || (first * 256 + second) % 31 != 0 || has_dictionary) return std::nullopt;
  if (window_bits < 9 || window_bits > 15) return std::nullopt;
  static constexpr std::array<std::array<std::uint8_t, 2>, 4> levels = {
      {{1, 1}, {2, 5}, {6, 6}, {7, 9}}};
  const auto& [level_min, level_max] = levels[second >> 6];
  return RecipeBounds{level_min, level_max, static_cast<std::uint8_t>(window_bits)};
}

namespace {

// Whether blocks of such a length are made by the recipe, and such matches.
bool can_open(const DeflateRecipe& recipe, const DeflateOpening& opening) {
  const DeflateRules rules = rules_of(recipe);
  if (rules.fixed_codes_only && opening.kind == DeflateOpening::Kind::kDynamic) return false;
  if (opening.end != DeflateOpening::End::kOfBlock) return true;
  // A stored block has at least a byte for each symbol, and did not shrink to half.
  if (opening.kind == DeflateOpening::Kind::kStored)
    return opening.stored_bytes >= rules.block_symbols_max;
  const std::size_t symbols = opening.tokens.size();
  return symbols == rules.block_symbols_max || (rules.ends_blocks_early && symbols % 4096 == 0);
}

// The usual first. With zlib's other memories only where the first block has such a length, or as
// much memory as there is.
std::vector<DeflateRecipe> recipes_to_try(const DeflateOpening& opening,
                                          const RecipeBounds& bounds) {
  std::vector<DeflateRecipe> recipes;
  const auto add = [&](const DeflateRecipe& recipe) {
    if (bounds.allow(recipe) && can_open(recipe, opening)) recipes.push_back(recipe);
  };
  static constexpr std::array<std::uint8_t, 9> levels = {9, 6, 1, 8, 7, 5, 4, 3, 2};
  for (const std::uint8_t level : levels) {
    add({.family = DeflateFamily::kGzip, .level = level});
    add({.family = DeflateFamily::kZlib, .level = level, .window_bits = bounds.window_bits});
    add({.family = DeflateFamily::kInfoZip, .level = level});
  }
  for (const auto strategy :
       {DeflateStrategy::kDefault, DeflateStrategy::kFiltered, DeflateStrategy::kFixed}) {
    for (const std::uint8_t level : levels) {
      for (const std::uint8_t memory : {9, 8, 7, 6, 5, 4, 3, 2, 1}) {
        if (memory == 8 && strategy == DeflateStrategy::kDefault) continue;  // had above
        if (memory < 8 && opening.end != DeflateOpening::End::kOfBlock) continue;
        add({DeflateFamily::kZlib, level, memory, bounds.window_bits, strategy});
      }
    }
  }
  return recipes;
}

}  // namespace

std::optional<DeflateRecipe> Deflater::find_recipe(ByteSpan stream, ByteSpan text,
                                                   std::span<const DeflateRecipe> likely,
                                                   const RecipeBounds& bounds) {
  std::uint64_t work_left = ~std::uint64_t{0};
  return find_recipe(stream, text, likely, bounds, work_left);
}

std::optional<DeflateRecipe> Deflater::find_recipe(ByteSpan stream, ByteSpan text,
                                                   std::span<const DeflateRecipe> likely,
                                                   const RecipeBounds& bounds,
                                                   std::uint64_t& work_left) {
  if (text.size() > kDeflateTextBytesMax) return std::nullopt;
  const DeflateOpening opening = read_opening(stream);
  if (opening.kind == DeflateOpening::Kind::kNone) return std::nullopt;
  Bytes room(stream.size());
  const std::uint64_t steps_max = text.size() * kDeflateStepsPerByteMax / 2;
  const auto makes = [&](const DeflateRecipe& recipe) {
    if (work_left == 0) return false;
    const Outcome outcome =
        make(*state_, text, recipe, room, {stream, opening.tokens}, std::min(steps_max, work_left));
    const std::uint64_t work = outcome.steps + outcome.reached + kDeflateTryWork;
    work_left -= std::min(work_left, work);
    return outcome.made == Made::kAll && state_->writer.sink().written().size() == stream.size();
  };
  for (const DeflateRecipe& recipe : likely)
    if (bounds.allow(recipe) && can_open(recipe, opening) && makes(recipe)) return recipe;
  for (const DeflateRecipe& recipe : recipes_to_try(opening, bounds))
    if (std::find(likely.begin(), likely.end(), recipe) == likely.end() && makes(recipe))
      return recipe;
  return std::nullopt;
}

}  // namespace layby::delta
