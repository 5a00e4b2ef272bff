#include "delta/stream_table.h"

#include "delta/varint.h"
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

Result<std::vector<Row>> parse_rows(VarintReader& numbers, Side side) {
  std::vector<Row> rows(static_cast<std::size_t>(TRY(bounded(numbers, kStreamsMax, "streams"))));
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
  std::uint64_t pieces = rows.size();
  for (Row& row : rows) {
    const std::uint64_t further = TRY(bounded(numbers, kStreamPiecesMax - pieces, "more pieces"));
    row.stream.pieces_count = static_cast<std::uint32_t>(1 + further);
    pieces += further;
    if (pieces > kStreamPiecesMax)
      return fail(ErrorCode::kBadPayload, "stream table: too many pieces");
  }
  return rows;
}

Result<StreamList> parse_list(VarintReader& numbers, Side side) {
  StreamList list;
  std::vector<StreamPiece> pieces;
  for (const Row& row : TRY(parse_rows(numbers, side))) {
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

bool has_zstd(const StreamList& list) {
  for (std::size_t i = 0; i < list.size(); ++i)
    if (list[i].form == StreamForm::kZstd) return true;
  return false;
}

}  // namespace

Bytes serialise_stream_table(const StreamTable& table) {
  Bytes packed;
  if (table.empty()) return packed;
  Bytes raw;
  append_varint(raw, table.zstd_version);
  append_list(raw, table.base, Side::kBase);
  append_list(raw, table.target, Side::kTarget);
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
  table.base = TRY(parse_list(numbers, Side::kBase));
  table.target = TRY(parse_list(numbers, Side::kTarget));
  if (!numbers.at_end()) return fail(ErrorCode::kBadPayload, "stream table: bytes left over");
  if (table.empty()) return fail(ErrorCode::kBadPayload, "stream table: it lists no stream");
  for (std::size_t i = 0; i < table.target.size(); ++i)
    if (table.target[i].form == StreamForm::kZstd &&
        table.target[i].text_bytes > zstd_text_bytes_max(table.target[i].recipe))
      return fail(ErrorCode::kBadPayload, "stream table: a zstd stream of {} bytes of text",
                  table.target[i].text_bytes);
  if (has_zstd(table.target) != (table.zstd_version != 0))
    return fail(ErrorCode::kBadPayload, "stream table: streams and re-encoders do not fit");
  return table;
}

}  // namespace layby::delta
