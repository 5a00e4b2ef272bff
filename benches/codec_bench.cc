// The codec beside zstd in the same run, on two generated versions of a file of 4 MiB. The counter
// of interest is `of_zstd`: payload bytes for each byte of `zstd -19 --patch-from`.
#include <benchmark/benchmark.h>
#include <zstd.h>

#include <cstdlib>

#include "base/assert.h"
#include "delta/applier.h"
#include "delta/encoder.h"
#include "tests/delta/memory_file.h"

using namespace layby;
using layby::delta::tests::MemoryFile;

namespace {

constexpr std::size_t kBytes = 4 * kMiB;

struct Pair {
  MemoryFile base;
  MemoryFile target;
  std::size_t zstd_bytes = 0;
};

std::size_t zstd_patch_bytes(const Bytes& base, const Bytes& target, int level) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  Bytes out(ZSTD_compressBound(target.size()));
  ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level);
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, 26);
  ZSTD_CCtx_setParameter(context, ZSTD_c_enableLongDistanceMatching, 1);
  ZSTD_CCtx_refPrefix(context, base.data(), base.size());
  const std::size_t size =
      ZSTD_compress2(context, out.data(), out.size(), target.data(), target.size());
  LAYBY_ASSERT(!ZSTD_isError(size));
  ZSTD_freeCCtx(context);
  return size;
}

// Half text, half noise, with words that moved by a constant as addresses do.
const Pair& pair() {
  static const Pair made = [] {
    delta::tests::Random random(1);
    Bytes base = delta::tests::prose(random, kBytes / 2);
    const Bytes rest = delta::tests::noise(random, kBytes / 2);
    base.insert(base.end(), rest.begin(), rest.end());
    Bytes target = delta::tests::later_version(random, base, 100);
    for (std::size_t at = 0; at + 4 < target.size(); at += 40 + random() % 200) {
      const std::uint32_t moved = load_u32(&target[at]) + 0x1240;
      for (int i = 0; i < 4; ++i) target[at + i] = static_cast<std::uint8_t>(moved >> (8 * i));
    }
    Pair out{MemoryFile(base), MemoryFile(target)};
    out.zstd_bytes = zstd_patch_bytes(base, target, 19);
    return out;
  }();
  return made;
}

void encode(benchmark::State& state, delta::Profile profile) {
  const Pair& from = pair();
  delta::EncodeOptions options;
  options.profile = profile;
  std::uint64_t bytes = 0;
  for (auto _ : state) {
    MemoryFile output;
    const auto report = delta::encode(&from.base, from.target, options, output);
    LAYBY_ASSERT(report);
    bytes = report->payload_bytes;
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * from.target.bytes.size()));
  state.counters["payload_bytes"] = static_cast<double>(bytes);
  state.counters["of_zstd"] = static_cast<double>(bytes) / static_cast<double>(from.zstd_bytes);
}

void encode_smallest(benchmark::State& state) {
  encode(state, delta::Profile::kSmall);
}
void encode_fast(benchmark::State& state) {
  encode(state, delta::Profile::kFast);
}
void zstd_patch_from_19(benchmark::State& state) {
  for (auto _ : state)
    benchmark::DoNotOptimize(zstd_patch_bytes(pair().base.bytes, pair().target.bytes, 19));
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * kBytes));
}

// Every digest checked: base before, chunks on the way, target after.
void apply(benchmark::State& state) {
  MemoryFile payload;
  LAYBY_ASSERT(delta::encode(&pair().base, pair().target, {}, payload));
  MemoryFile out;
  for (auto _ : state) LAYBY_ASSERT(delta::apply_payload(payload, &pair().base, out));
  state.SetBytesProcessed(
      static_cast<std::int64_t>(state.iterations() * pair().target.bytes.size()));
}

BENCHMARK(encode_smallest)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(encode_fast)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(zstd_patch_from_19)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(apply)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
