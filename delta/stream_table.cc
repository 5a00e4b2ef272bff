#include "delta/stream_table.h"

#include "delta/varint.h"
#include "delta/xz_stream.h"
#include "delta/zstd_frame.h"

namespace layby::delta {
namespace {

constexpr int kPackLevel = 19;
constexpr std::uint64_t kUnpackedBytesMax = 4 * kStreamTableBytesMax;

enum class Side { kBase, kTarget };

// Columns of like things pack better than records.
void append_list(Bytes& to, const StreamList& list, Side side) {
  append_varint(to, list.size());
  std::uint64_t end = 0;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const StreamPiece& first = list.pieces(list[i]).front();
    append_varint(to, first.offset - end);
    end = first.end();
  }
  for (std::size_t i = 0; i < list.size(); ++i)
    append_varint(to, list.pieces(list[i]).front().bytes);
  for (std::size_t i = 0; i < list.size(); ++i) append_varint(to, list[i].text_bytes);
  for (std::size_t i = 0; i < list.size(); ++i)
    append_varint(to, static_cast<std::uint64_t>(list[i].form));
  if (side == Side::kTarget)
    for (std::size_t i = 0; i < list.size(); ++i) append_varint(to, list[i].recipe);
  for (std::size_t i = 0; i < list.size(); ++i) append_varint(to, list[i].pieces_count - 1);
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto pieces = list.pieces(list[i]);
    for (std::size_t k = 1; k < pieces.size(); ++k) {
      append_varint(to, zigzag(static_cast<std::int64_t>(pieces[k].offset - pieces[k - 1].end())));
      append_varint(to, pieces[k].bytes);
    }
  }
}

// One number, at most `most`.
Result<std::uint64_t> bounded(VarintReader& numbers, std::uint64_t most, const char* what) {
  const std::uint64_t number = TRY(numbers.next());
  if (number > most)
    return fail(ErrorCode::kBadPayload, "stream table: {} {}, at most {}", what, number, most);
  return number;
}

// The first piece of one stream and the count of its pieces.
struct Row {
  Stream stream;
  StreamPiece first;
};

// What lists may have, both of an image together.
struct ListRoom {
  std::size_t streams = kStreamsMax;
  std::size_t pieces = kStreamPiecesMax;
};

Result<std::vector<Row>> parse_rows(VarintReader& numbers, Side side, ListRoom& room) {
  std::vector<Row> rows(static_cast<std::size_t>(TRY(bounded(numbers, room.streams, "streams"))));
  room.streams -= rows.size();
  std::uint64_t end = 0;
  for (Row& row : rows) row.first.offset = TRY(bounded(numbers, kImageBytesMax, "a gap of"));
  for (Row& row : rows) {
    row.first.bytes =
        static_cast<std::uint32_t>(TRY(bounded(numbers, kStreamBytesMax, "a piece of")));
    row.first.offset += end;  // cannot overflow: so many gaps and pieces of such sizes
    end = row.first.end();
  }
  for (Row& row : rows) {
    row.stream.text_bytes =
        static_cast<std::uint32_t>(TRY(bounded(numbers, kStreamTextBytesMax, "a text of")));
    if (row.first.bytes == 0 || row.stream.text_bytes == 0)
      return fail(ErrorCode::kBadPayload, "stream table: a stream without bytes");
  }
  for (Row& row : rows) {
    const std::uint64_t form = TRY(bounded(numbers, kStreamFormMax, "a form"));
    if (form == 0) return fail(ErrorCode::kBadPayload, "stream table: a stream has the form 0");
    row.stream.form = static_cast<StreamForm>(form);
  }
  if (side == Side::kTarget)
    for (Row& row : rows)
      row.stream.recipe =
          static_cast<std::uint32_t>(TRY(bounded(numbers, ~std::uint32_t{0}, "a recipe")));
  if (rows.size() > room.pieces)
    return fail(ErrorCode::kBadPayload, "stream table: too many pieces");
  room.pieces -= rows.size();
  for (Row& row : rows) {
    const std::uint64_t further = TRY(bounded(numbers, room.pieces, "more pieces"));
    row.stream.pieces_count = static_cast<std::uint32_t>(1 + further);
    room.pieces -= further;
  }
  return rows;
}

Result<StreamList> parse_list(VarintReader& numbers, Side side, ListRoom& room) {
  StreamList list;
  std::vector<StreamPiece> pieces;
  for (const Row& row : TRY(parse_rows(numbers, side, room))) {
    pieces.assign(1, row.first);
    std::uint64_t bytes = row.first.bytes;
    while (pieces.size() < row.stream.pieces_count) {
      StreamPiece piece;
      piece.offset =
          pieces.back().end() + static_cast<std::uint64_t>(unzigzag(TRY(numbers.next())));
      piece.bytes = static_cast<std::uint32_t>(
          TRY(bounded(numbers, kStreamBytesMax - bytes, "a further piece of")));
      if (piece.bytes == 0 || piece.offset > kImageBytesMax)
        return fail(ErrorCode::kBadPayload, "stream table: a piece of {} bytes at {}", piece.bytes,
                    piece.offset);
      bytes += piece.bytes;
      pieces.push_back(piece);
    }
    list.add(row.stream, pieces);
  }
  return list;
}

Result<Bytes> unpack(ByteSpan bytes) {
  VarintReader numbers(bytes);
  const std::uint64_t raw = TRY(bounded(numbers, kUnpackedBytesMax, "bytes unpacked:"));
  Bytes out(static_cast<std::size_t>(raw));
  TRY_VOID(ZstdUnpacker().unpack(numbers.rest(), {}, out));
  return out;
}

bool has_form(const StreamTable& table, StreamForm form) {
  for (const StreamList* list : {&table.target, &table.inner_target})
    for (std::size_t i = 0; i < list->size(); ++i)
      if ((*list)[i].form == form) return true;
  return false;
}

// Of target streams: the car must have the memory.
Result<void> check_remakable(const StreamList& list) {
  for (std::size_t i = 0; i < list.size(); ++i)
    if (list[i].form == StreamForm::kZstd &&
        list[i].text_bytes > zstd_text_bytes_max(list[i].recipe))
      return fail(ErrorCode::kBadPayload, "stream table: a zstd stream of {} bytes of text",
                  list[i].text_bytes);
  for (std::size_t i = 0; i < list.size(); ++i)
    if (list[i].form == StreamForm::kXz) TRY_VOID(XzRecipe::from_number(list[i].recipe));
  return {};
}

// Of both sides: all of it is held while it is expanded.
Result<void> check_xz_texts(const StreamList& list) {
  for (std::size_t i = 0; i < list.size(); ++i)
    if (list[i].form == StreamForm::kXz && list[i].text_bytes > kXzTextBytesMax)
      return fail(ErrorCode::kBadPayload, "stream table: an xz stream of {} bytes of text",
                  list[i].text_bytes);
  return {};
}

Result<void> check_inner(const StreamList& list) {
  for (std::size_t i = 0; i < list.size(); ++i)
    if (list[i].bytes > kInnerStreamBytesMax)
      return fail(ErrorCode::kBadPayload, "stream table: an inner stream of {} bytes",
                  list[i].bytes);
  return {};
}

}  // namespace

Bytes serialise_stream_table(const StreamTable& table) {
  Bytes packed;
  if (table.empty()) return packed;
  Bytes raw;
  append_varint(raw, table.zstd_version);
  append_list(raw, table.base, Side::kBase);
  append_list(raw, table.target, Side::kTarget);
  const bool has_xz = has_form(table, StreamForm::kXz);
  if (table.has_inner() || has_xz) {
    append_list(raw, table.inner_base, Side::kBase);
    append_list(raw, table.inner_target, Side::kTarget);
  }
  if (has_xz) append_varint(raw, table.xz_version);
  append_varint(packed, raw.size());
  const Bytes frame = zstd_pack(raw, {}, kPackLevel);
  packed.insert(packed.end(), frame.begin(), frame.end());
  return packed;
}

Result<StreamTable> parse_stream_table(ByteSpan bytes) {
  StreamTable table;
  if (bytes.empty()) return table;
  const Bytes raw = TRY(unpack(bytes));
  VarintReader numbers(raw);
  table.zstd_version =
      static_cast<std::uint32_t>(TRY(bounded(numbers, ~std::uint32_t{0}, "a version")));
  ListRoom base_room;
  ListRoom target_room;
  table.base = TRY(parse_list(numbers, Side::kBase, base_room));
  table.target = TRY(parse_list(numbers, Side::kTarget, target_room));
  if (!numbers.at_end()) {
    table.inner_base = TRY(parse_list(numbers, Side::kBase, base_room));
    table.inner_target = TRY(parse_list(numbers, Side::kTarget, target_room));
    const bool has_xz = has_form(table, StreamForm::kXz);
    if (!table.has_inner() && !has_xz)
      return fail(ErrorCode::kBadPayload, "stream table: it lists no inner stream");
    if (has_xz)
      table.xz_version =
          static_cast<std::uint32_t>(TRY(bounded(numbers, ~std::uint32_t{0}, "a version")));
  }
  if (!numbers.at_end()) return fail(ErrorCode::kBadPayload, "stream table: bytes left over");
  if (table.empty()) return fail(ErrorCode::kBadPayload, "stream table: it lists no stream");
  for (const StreamList* list : {&table.inner_base, &table.inner_target})
    TRY_VOID(check_inner(*list));
  for (const StreamList* list : {&table.target, &table.inner_target})
    TRY_VOID(check_remakable(*list));
  for (const StreamList* list :
       {&table.base, &table.target, &table.inner_base, &table.inner_target})
    TRY_VOID(check_xz_texts(*list));
  if (has_form(table, StreamForm::kZstd) != (table.zstd_version != 0) ||
      has_form(table, StreamForm::kXz) != (table.xz_version != 0))
    return fail(ErrorCode::kBadPayload, "stream table: streams and re-encoders do not fit");
  return table;
}

}  // namespace layby::delta
