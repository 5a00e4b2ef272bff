// CoderId::kMixed: one chunk as one sequence of arithmetically coded bits. The same function writes
// and reads it: see BitWriter and BitReader. Bit by bit: docs/formats-payload.md.
#pragma once

#include <algorithm>
#include <cstring>

#include "base/disk.h"
#include "delta/binary_coder.h"
#include "delta/common_prefix.h"
#include "delta/mirror.h"
#include "delta/mixed_state.h"
#include "delta/varint.h"

namespace layby::delta {

// Bytes of the source of a copy, with some on either side.
class SourceWindow {
 public:
  static constexpr std::size_t kBytes = 32 * 1024;  // that are copied from one window

  // Bytes [first, first + bytes) and what is around them, `size` being where the source ends.
  template <typename Read>
  Result<void> load(std::uint64_t first, std::size_t bytes, std::uint64_t size, Read read) {
    const std::uint64_t begin = first - std::min<std::uint64_t>(first, kFieldLookBehind);
    const std::uint64_t end = std::min(size, first + bytes + kFieldLookAhead);
    bytes_.resize(static_cast<std::size_t>(end - begin) + kPadding);
    const auto loaded = MutableByteSpan(bytes_).first(static_cast<std::size_t>(end - begin));
    TRY_VOID(read(begin, loaded));
    std::fill(bytes_.end() - kPadding, bytes_.end(), 0);
    size_ = loaded.size();
    at_ = static_cast<std::size_t>(first - begin);
    offset_ = first;
    return {};
  }

  void advance(std::size_t bytes) {
    at_ += bytes;
    offset_ += bytes;
  }

  std::uint64_t offset() const { return offset_; }
  const std::uint8_t* data() const { return bytes_.data() + at_; }
  // Bytes before data(), at most kFieldLookBehind; zeros where the source has none.
  std::uint8_t before(std::size_t distance) const {
    return distance <= at_ ? bytes_[at_ - distance] : 0;
  }
  ByteSpan window() const { return ByteSpan(bytes_).first(size_); }
  std::size_t at() const { return at_; }

 private:
  static constexpr std::size_t kPadding = 8;
  Bytes bytes_;
  std::size_t size_ = 0;
  std::size_t at_ = 0;
  std::uint64_t offset_ = 0;
};

template <class Bits>
class MixedChunk {
 public:
  // For writing, `out` holds the target bytes; for reading it gets them.
  MixedChunk(MixedState& state, const AddressTable& table, Bits& bits, const ReadAt* base,
             const ReadAt& target, std::uint64_t target_offset, MutableByteSpan out)
      : state_(state),
        table_(table),
        bits_(bits),
        base_(base),
        has_base_(base != nullptr && base->size() > 0),
        target_(target),
        target_offset_(target_offset),
        out_(out),
        base_ranges_(table.base),
        target_ranges_(table.target) {}

  // `copies`: for writing; they lie within the chunk.
  Result<void> run(std::span<const Copy> copies) {
    std::uint64_t copies_made = 0;
    while (at_ < out_.size()) {
      const Copy* next = copies.empty() ? nullptr : &copies.front();
      const std::uint64_t until = next != nullptr ? next->target_offset - target_offset_ : 0;
      const std::uint64_t new_bytes = number(
          state_.new_counts, 0, Bits::kReads ? 0 : (next != nullptr ? until : out_.size()) - at_);
      if (new_bytes > out_.size() - at_)
        return fail(ErrorCode::kBadPayload, "{} new bytes where {} are missing", new_bytes,
                    out_.size() - at_);
      for (std::uint64_t i = 0; i < new_bytes; ++i) code_literal();
      if (at_ == out_.size()) break;
      if (++copies_made > copies_max(out_.size()))
        return fail(ErrorCode::kBadPayload, "more than {} copies", copies_max(out_.size()));
      const Copy copy = TRY(code_copy(next));
      if (!copies.empty()) copies = copies.subspan(1);
      TRY_VOID(apply(copy));
    }
    return {};
  }

 private:
  static constexpr std::size_t kBlockBytes = 64;
  static constexpr std::size_t kSuperBytes = 1024;
  static constexpr std::uint32_t kFlagLimit = 200;
  static constexpr std::uint64_t kTaughtCopyBytes = 32;

  std::uint64_t number(NumberModel& model, std::size_t kind, std::uint64_t value) {
    return model.code(bits_, kind, value);
  }
  std::int64_t signed_number(NumberModel& model, std::size_t kind, std::int64_t value) {
    return unzigzag(model.code(bits_, kind, zigzag(value)));
  }
  bool flag(Slot& slot, bool value) { return code_bit(bits_, slot, value, kFlagLimit); }

  std::uint8_t byte_before(std::size_t distance) const {
    return distance <= at_ ? out_[at_ - distance] : 0;
  }
  void put(std::uint8_t byte) {
    if constexpr (Bits::kReads) out_[at_] = byte;
    ++at_;
  }

  // --- New bytes.

  void code_literal() {
    const std::uint64_t c1 = byte_before(1);
    const std::uint64_t c2 = c1 | std::uint64_t{byte_before(2)} << 8;
    const std::uint64_t c3 = c2 | std::uint64_t{byte_before(3)} << 16;
    const std::uint64_t column = (target_offset_ + at_) % 8;
    std::uint64_t tops = 0;  // highest bits: where numbers of several bytes end
    for (std::size_t i = 1; i <= 8; ++i) tops = tops << 1 | byte_before(i) >> 7;
    const Guess guess = state_.repeats.guess(out_.first(at_));
    const std::uint8_t byte = state_.literals.code(
        bits_, {c1, c2, c3, column << 8 | byte_before(8), tops << 8 | c1, tops << 8 | c2 >> 8},
        guess, guess.strength > 0 ? 2 : (c1 >> 7), Bits::kReads ? std::uint8_t{0} : out_[at_]);
    put(byte);
    state_.repeats.note(out_.first(at_));
  }

  // --- Copies.

  Copy::Source code_source(const Copy* given) {
    auto& slots = state_.history.copy_slots;
    if (has_base_ && !flag(slots[0], given && given->source != Copy::Source::kBase))
      return Copy::Source::kBase;
    return flag(slots[MixedHistory::kRecentCopies], given && given->source == Copy::Source::kMirror)
               ? Copy::Source::kMirror
               : Copy::Source::kTarget;
  }

  Result<Copy> code_copy(const Copy* given) {
    Copy copy;
    copy.target_offset = target_offset_ + at_;
    copy.source = code_source(given);
    copy.bytes = number(state_.copy_counts, static_cast<std::size_t>(copy.source),
                        given ? given->bytes - 1 : 0) +
                 1;
    if (copy.bytes > out_.size() - at_)
      return fail(ErrorCode::kBadPayload, "a copy of {} bytes where {} are missing", copy.bytes,
                  out_.size() - at_);
    copy.source_offset = code_place(copy, given);
    const bool is_mirror = copy.source == Copy::Source::kMirror;
    const std::uint64_t source_bytes =
        copy.source == Copy::Source::kBase ? base_->size() : copy.target_offset;
    if (copy.source_offset > source_bytes ||
        (!is_mirror && copy.bytes > source_bytes - copy.source_offset))
      return fail(ErrorCode::kBadPayload, "a copy of {} bytes at {} reaches past the end at {}",
                  copy.bytes, copy.source_offset, source_bytes);
    return copy;
  }

  std::uint64_t code_place(const Copy& copy, const Copy* given) {
    switch (copy.source) {
      case Copy::Source::kBase: return code_base_offset(copy.target_offset, given);
      case Copy::Source::kTarget: return code_target_offset(copy.target_offset, given);
      case Copy::Source::kMirror: return code_mirror_offset(given);
    }
    return 0;
  }

  // Borders go on where the last one stopped, often a few steps farther.
  std::uint64_t code_mirror_offset(const Copy* given) {
    const std::uint64_t last = state_.history.mirrored_to;
    return last + static_cast<std::uint64_t>(signed_number(
                      state_.jumps, 2,
                      given ? static_cast<std::int64_t>(given->source_offset - last) : 0));
  }

  Result<void> apply_mirror(const Copy& copy) {
    Mirror mirror(copy.source_offset, [this](std::uint64_t from, MutableByteSpan into) {
      return read_target(from, into);
    });
    const auto bytes = static_cast<std::size_t>(copy.bytes);
    // Who writes has the bytes, but must know how far back they reach.
    if (Bits::kReads) {
      const std::size_t made = TRY(mirror.fill(out_.subspan(at_, bytes)));
      if (made < bytes)
        return fail(ErrorCode::kBadPayload, "{} mirrored bytes where there are {}", bytes, made);
    } else {
      Bytes made(bytes);
      const std::size_t filled = TRY(mirror.fill(made));
      LAYBY_ASSERT(filled == bytes && std::memcmp(made.data(), &out_[at_], bytes) == 0);
    }
    at_ += bytes;
    state_.history.mirrored_to = mirror.begin();
    state_.repeats.note_copied(out_.first(at_), copy.bytes);
    return {};
  }

  // Alignment: source offset less target offset, modulo 2^64. Often one that was there before.
  std::uint64_t code_base_offset(std::uint64_t at, const Copy* given) {
    const std::uint64_t wanted = given ? given->source_offset - at : 0;
    auto& recent = state_.history.recent;
    std::size_t which = 1;
    for (; which < recent.size(); ++which)
      if (flag(state_.history.copy_slots[which], wanted == recent[which])) break;
    std::uint64_t alignment;
    if (which < recent.size())
      alignment = recent[which];
    else
      alignment = recent[0] + static_cast<std::uint64_t>(signed_number(
                                  state_.jumps, 0, static_cast<std::int64_t>(wanted - recent[0])));
    which = std::min(which, recent.size() - 1);
    for (; which > 0; --which) recent[which] = recent[which - 1];
    recent[0] = alignment;
    return at + alignment;
  }

  std::uint64_t code_target_offset(std::uint64_t at, const Copy* given) {
    return at - number(state_.jumps, 1, given ? at - given->source_offset : 0);
  }

  Result<void> apply(const Copy& copy) {
    if (copy.source == Copy::Source::kMirror) return apply_mirror(copy);
    const std::uint64_t source_end =
        copy.source == Copy::Source::kBase ? base_->size() : copy.target_offset;
    const auto read = [&](std::uint64_t from, MutableByteSpan into) {
      return copy.source == Copy::Source::kBase ? base_->read_at(from, into)
                                                : read_target(from, into);
    };
    segment_ = {};
    left_ = copy.bytes;
    of_base_ = copy.source == Copy::Source::kBase;
    is_long_ = copy.bytes >= kTaughtCopyBytes;
    while (left_ > 0) {
      const auto bytes =
          static_cast<std::size_t>(std::min<std::uint64_t>(left_, SourceWindow::kBytes));
      // Fields may reach over the end, by less than what is looked ahead.
      TRY_VOID(source_.load(copy.source_offset + (copy.bytes - left_), bytes, source_end, read));
      const std::uint64_t stop = left_ - bytes;
      while (left_ > stop) code_stretch(left_ - stop);  // may go on a little too far
    }
    state_.repeats.note_copied(out_.first(at_), copy.bytes);
    return {};
  }

  Result<void> read_target(std::uint64_t from, MutableByteSpan into) {
    const std::uint64_t stored =
        from < target_offset_ ? std::min<std::uint64_t>(into.size(), target_offset_ - from) : 0;
    if (stored > 0) TRY_VOID(target_.read_at(from, into.first(static_cast<std::size_t>(stored))));
    const MutableByteSpan rest = into.subspan(static_cast<std::size_t>(stored));
    if (!rest.empty())
      std::memcpy(rest.data(), &out_[static_cast<std::size_t>(from + stored - target_offset_)],
                  rest.size());
    return {};
  }

  void advance(std::size_t bytes) {
    at_ += bytes;
    left_ -= bytes;
    source_.advance(bytes);
  }

  // --- Stretches of a copy: a thousand bytes that are as expected cost one flag.

  // Codes up to `bytes` bytes, and a few more where a field reaches over the end.
  void code_stretch(std::uint64_t bytes) {
    if (source_.offset() >= segment_.until) enter_segment();
    bytes = std::min({bytes, segment_.until - source_.offset(), std::uint64_t{kSuperBytes}});
    if (bytes == kSuperBytes) {
      Slot& slot = state_.history.stretch_slots[state_.history.supers & 15];
      const bool clean = code_clean(slot, kSuperBytes);
      state_.history.supers = state_.history.supers << 1 | (clean ? 0 : 1);
      if (clean) return;
    }
    for (const std::uint64_t stop = left_ - bytes; left_ > stop;) {
      const auto block =
          static_cast<std::size_t>(std::min<std::uint64_t>(left_ - stop, kBlockBytes));
      Slot& slot = state_.history.stretch_slots[16 + (state_.history.blocks & 255)];
      const bool clean = block == kBlockBytes && code_clean(slot, block);
      if (block == kBlockBytes)
        state_.history.blocks = state_.history.blocks << 1 | (clean ? 0 : 1);
      if (!clean) code_dirty(block);
    }
  }

  // Whether the next `bytes` bytes, or a few more, are all as expected. If so they are done.
  bool code_clean(Slot& slot, std::size_t bytes) {
    if constexpr (Bits::kReads) {
      if (!flag(slot, false)) return false;
      const std::size_t made = expect(bytes);
      std::memcpy(&out_[at_], expected_.data(), made);
      advance(made);
      return true;
    } else {
      const std::size_t made = expect(bytes);
      const bool clean = std::memcmp(&out_[at_], expected_.data(), made) == 0;
      flag(slot, clean);
      if (clean) advance(made);
      return clean;
    }
  }

  // Puts what is expected next into expected_: at least `bytes` bytes and whole fields. Learns
  // nothing.
  std::size_t expect(std::size_t bytes) {
    if (!segment_.has_fields) {
      std::memcpy(expected_.data(), source_.data(), bytes);
      return bytes;
    }
    std::size_t made = 0;
    while (made < bytes) {
      Expectation field;
      if (expect_field(made, field)) {
        store_field(field.field, field.bits, &expected_[made]);
        made += field.field.bytes;
      } else {
        expected_[made] = source_.data()[made];
        ++made;
      }
    }
    return made;
  }

  // --- Where fields may be.

  struct Segment {
    std::uint64_t until = 0;  // source offset where it ends
    const AddressRange* base = nullptr;
    const AddressRange* target = nullptr;
    bool has_fields = false;
  };

  void enter_segment() {
    segment_ = {~std::uint64_t{0}, nullptr, nullptr, false};
    if (!of_base_ || table_.modules.empty()) return;
    const std::uint64_t target_at = target_offset_ + at_;
    segment_.base = base_ranges_.find(source_.offset());
    segment_.target = target_ranges_.find(target_at);
    segment_.until = source_.offset() + std::min(base_ranges_.until() - source_.offset(),
                                                 target_ranges_.until() - target_at);
    if (segment_.base == nullptr || segment_.target == nullptr ||
        segment_.base->module != segment_.target->module)
      return;
    segment_.has_fields =
        segment_.base->kind == segment_.target->kind && segment_.base->kind != RangeKind::kNothing;
    if (segment_.base->module != state_.history.module) {
      state_.history.module = segment_.base->module;
      state_.shifts.clear();
    }
    // Data that happens to equal code says nothing about where the code went.
    if (!is_long_ || segment_.base->kind != segment_.target->kind) return;
    const std::uint64_t address = source_.offset() + segment_.base->address_shift;
    teach(address, target_at + segment_.target->address_shift - address);
  }

  const Module& module() const { return table_.modules[segment_.base->module]; }

  void teach(std::uint64_t address, std::uint64_t shift) {
    const std::uint64_t key = address - module().low;
    const auto small = static_cast<std::int32_t>(shift);
    if (key >> 32 != 0 || static_cast<std::uint64_t>(std::int64_t{small}) != shift) return;
    if (state_.shifts.find(static_cast<std::uint32_t>(key)).here != small)
      state_.shifts.learn(static_cast<std::uint32_t>(key), small);
  }

  // A field and what it is expected to become.
  struct Expectation {
    Field field;
    std::uint64_t old_bits = 0;
    std::uint64_t moved = 0;  // as its address is thought to have moved
    std::uint64_t bits = 0;   // expected: moved, or unchanged
    ShiftMap::Shift shift;
    std::size_t choice = 0;
  };

  // Whether a field begins `ahead` bytes from here.
  bool expect_field(std::size_t ahead, Expectation& made) const {
    const std::uint64_t offset = source_.offset() + ahead;
    const std::uint8_t before = source_.at() + ahead > 0 ? *(source_.data() + ahead - 1) : 0;
    if (!may_begin_field(module(), segment_.base->kind, offset + segment_.base->address_shift,
                         before))
      return false;
    made.field =
        find_field(module(), *segment_.base, source_.window(), source_.at() + ahead, offset);
    if (!made.field) return false;
    if (made.field.bytes > std::min(left_ - ahead, segment_.until - offset)) return false;
    made.old_bits = load_field(made.field, source_.data() + ahead);
    const std::uint64_t key = made.field.address - module().low;
    if (key >> 32 == 0) made.shift = state_.shifts.find(static_cast<std::uint32_t>(key));
    made.moved = spell(made, made.shift.here, ahead);
    made.choice = made.field.role * 4u + (made.shift.exact ? 1 : 0) +
                  (made.shift.here == made.shift.next ? 2 : 0);
    made.bits = state_.history.choice.expects_move(made.choice) ? made.moved : made.old_bits;
    return true;
  }

  std::uint64_t spell(const Expectation& made, std::int32_t shift, std::size_t ahead) const {
    const std::uint64_t place = source_.offset() + ahead + segment_.base->address_shift;
    const std::uint64_t new_place = target_offset_ + at_ + ahead + segment_.target->address_shift;
    return spell_moved(made.field, made.old_bits,
                       {static_cast<std::uint64_t>(std::int64_t{shift}), new_place - place,
                        segment_.target->origin - segment_.base->origin, new_place});
  }

  // --- Not as expected.

  void code_dirty(std::size_t bytes) {
    for (const std::uint64_t stop = left_ - bytes; left_ > stop;) {
      Expectation field;
      if (segment_.has_fields && expect_field(0, field))
        code_field(field);
      else
        code_byte();
    }
  }

  void note_token(bool missed, std::size_t bytes) {
    state_.history.misses = state_.history.misses << 1 | (missed ? 1 : 0);
    if (missed) {
      state_.history.last_gap = state_.history.since_miss;
      state_.history.since_miss = 0;
    } else {
      state_.history.since_miss += static_cast<std::uint32_t>(bytes);
    }
    advance(bytes);
  }

  static std::uint64_t around(std::uint8_t before, std::uint8_t byte, std::uint8_t after) {
    return std::uint64_t{before} << 16 | std::uint64_t{byte} << 8 | after;
  }

  void code_byte() {
    const std::uint8_t* data = source_.data();
    const std::uint8_t expected = data[0];
    const std::uint64_t e0 = expected;
    const std::uint64_t since = std::min<std::uint32_t>(state_.history.since_miss, 255);
    const std::uint64_t gap = std::min<std::uint32_t>(state_.history.last_gap, 255);
    const std::uint64_t history = state_.history.misses;
    const auto& last = state_.history.last_differences;
    const auto distance = static_cast<std::size_t>(std::bit_width(since));
    // Reads ahead within the window's padding.
    state_.misses.expect(1, around(data[3], data[4], data[5]));
    const bool missed = state_.misses.code(
        bits_,
        {e0 << 4 | distance, around(source_.before(1), data[0], data[1]),
         std::uint64_t{last[0]} << 5 | std::min<std::uint64_t>(since, 31), gap << 8 | since},
        std::min<std::size_t>(distance, 7) * 8 + (history & 7),
        !Bits::kReads && out_[at_] != expected);
    if (!missed) {
      if constexpr (Bits::kReads) out_[at_] = expected;
      return note_token(false, 1);
    }
    const std::uint64_t c1 = byte_before(1);
    const std::uint8_t difference = state_.differences.code(
        bits_,
        {last[0],
         std::uint64_t{last[0]} << 16 | std::uint64_t{last[1]} << 8 |
             std::min<std::uint64_t>(since, 3),
         load_u32(data), c1 << 8 | e0},
        {}, since == 0 ? 1 : 0,
        Bits::kReads ? std::uint8_t{0} : static_cast<std::uint8_t>(out_[at_] - expected));
    if constexpr (Bits::kReads) out_[at_] = static_cast<std::uint8_t>(expected + difference);
    state_.history.last_differences = {difference, last[0]};
    note_token(true, 1);
  }

  void code_field(const Expectation& made) {
    const Field& field = made.field;
    const std::size_t role = field.role;
    const std::uint64_t actual = Bits::kReads ? 0 : load_field(field, &out_[at_]);
    const bool differs = made.moved != made.old_bits;
    const std::uint64_t kind = made.choice << 1 | (differs ? 1 : 0);
    const std::uint64_t before = std::uint64_t{source_.before(1)} << 16 |
                                 std::uint64_t{source_.before(2)} << 8 | source_.before(3);
    const bool missed = state_.field_misses.code(
        bits_,
        {kind, std::uint64_t{state_.history.role_misses[role]} << 8 | role,
         (state_.history.misses & 0xffull) << 8 | role, before << 8 | kind},
        role, actual != made.bits);
    const std::uint64_t bits = missed ? code_missed_field(made, actual) : made.bits;
    if (differs) state_.history.choice.learn(made.choice, bits == made.moved);
    if constexpr (Bits::kReads) store_field(field, bits, &out_[at_]);
    state_.history.role_misses[role] =
        static_cast<std::uint8_t>(state_.history.role_misses[role] << 1 | (missed ? 1 : 0));
    note_token(missed, field.bytes);
  }

  // The bits of a field that is not as expected: what else it may be, in order of likelihood.
  std::uint64_t code_missed_field(const Expectation& made, std::uint64_t actual) {
    const std::size_t slots = made.field.role * std::size_t{4};
    const std::uint64_t other = made.bits == made.moved ? made.old_bits : made.moved;
    if (other != made.bits && flag(state_.history.field_slots[slots], actual == other))
      return other;
    if (made.shift.next != made.shift.here) {
      const std::uint64_t next = spell(made, made.shift.next, 0);
      if (flag(state_.history.field_slots[slots + 1], actual == next)) {
        teach(made.field.address, static_cast<std::uint64_t>(std::int64_t{made.shift.next}));
        return next;
      }
    }
    const std::optional<std::int64_t> units =
        Bits::kReads ? std::nullopt : units_between(made.field, made.moved, actual);
    const bool counts = units && *units<kUnitsMax&& * units> - kUnitsMax;
    if (!flag(state_.history.field_slots[slots + 2], counts)) return code_other_field(made, actual);
    const std::int64_t moved_on = signed_number(
        state_.field_units, std::min<std::size_t>(static_cast<std::size_t>(made.field.form), 7),
        counts ? *units : 0);
    // Modulo 2^64: a hostile chunk may say any number.
    const auto farther = static_cast<std::int64_t>(
        static_cast<std::uint64_t>(moved_on) *
        static_cast<std::uint64_t>(unit_bytes(made.field, made.old_bits)));
    if (farther < kTaughtBytesMax && farther > -kTaughtBytesMax)
      teach(made.field.address,
            static_cast<std::uint64_t>(std::int64_t{made.shift.here} + farther));
    return add_units(made.field, made.moved, moved_on);
  }

  // Not an address any more, or another instruction.
  std::uint64_t code_other_field(const Expectation& made, std::uint64_t actual) {
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < made.field.bytes; ++i) {
      const std::uint64_t old = made.old_bits >> (8 * i) & 0xff;
      const std::uint64_t byte =
          state_.other_fields.code(bits_, {i << 8 | old, i << 8 | made.field.role}, {}, 0,
                                   static_cast<std::uint8_t>(actual >> (8 * i)));
      bits |= byte << (8 * i);
    }
    return bits;
  }

  static constexpr std::int64_t kUnitsMax = std::int64_t{1} << 40;
  static constexpr std::int64_t kTaughtBytesMax = std::int64_t{1} << 26;

  MixedState& state_;
  const AddressTable& table_;
  Bits& bits_;
  const ReadAt* base_;
  const bool has_base_;
  const ReadAt& target_;
  const std::uint64_t target_offset_;
  MutableByteSpan out_;
  std::size_t at_ = 0;

  // Of the copy that is being coded.
  RangeCursor base_ranges_;
  RangeCursor target_ranges_;
  SourceWindow source_;
  Segment segment_;
  std::uint64_t left_ = 0;
  bool of_base_ = false;
  bool is_long_ = false;  // and so no coincidence
  std::array<std::uint8_t, kSuperBytes + 8> expected_;
};

}  // namespace layby::delta
