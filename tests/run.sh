#!/usr/bin/env bash
# Every test, from nothing: installs what is missing, builds the release preset with warnings as errors, runs CTest.
#
#   run.sh [--long]      --long: the long versions of the crash tests too (LAYBY_LONG=1), the size of the car's side, which must
#                        not grow beyond its limit (benches/size.sh), and the interactive demo (tests/e2e/demo_test.py)
#
# Exit status 0 only if everything was built and every test passed.
set -euo pipefail
cd -- "$(dirname -- "$0")/.."

case ${1-} in
  '') ;;
  --long) export LAYBY_LONG=1 ;;
  *)
    sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac

bash build.sh release
ctest --test-dir build/release --output-on-failure -j"$(($(nproc) + 1))"
if [ "${LAYBY_LONG-}" = 1 ]; then
  bash benches/size.sh
  LAYBY_BIN_DIR=$PWD/build/release/bin PYTHONDONTWRITEBYTECODE=1 python3 tests/e2e/demo_test.py
fi
