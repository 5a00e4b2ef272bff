#!/usr/bin/env python3
"""Payloads are the same, byte for byte, on x86-64 and on AArch64, and each machine applies what the other has made.

    architectures_test.py BIN_DIR AARCH64_BIN_DIR ARM64_SYSROOT

The pairs are what the codec has different ways for: text, code, an archive with compressed members, noise, nothing.
"""
import gzip
import io
import os
import random
import subprocess
import sys
import tarfile
import tempfile

FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures")


def archive(texts, level):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for number, text in enumerate(texts):
            data = gzip.compress(text, level, mtime=0)
            entry = tarfile.TarInfo(f"{number}.gz")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def pairs():
    rng = random.Random(6)
    words = [bytes(rng.choices(b"abcdefghijklmnop", k=rng.randint(2, 9))) for _ in range(400)]
    text = b" ".join(rng.choices(words, k=40_000))
    lines = [b" ".join(rng.choices(words, k=9_000)) for _ in range(6)]
    edited = [line.replace(words[number], b"another", 3) for number, line in enumerate(lines)]
    noise = rng.randbytes(120_000)
    slices = sorted(os.listdir(os.path.join(FIXTURES, "head-unit")))
    code = []
    for name in [name for name in slices if name.endswith(".slice")][:2]:
        with open(os.path.join(FIXTURES, "head-unit", name), "rb") as stream:
            code.append(stream.read(1_500_000))
    return {"text": (text, text[:70_000] + b"put in here" + text[70_100:]), "code": (code[0], code[-1]),
            "gzip": (archive(lines, 6), archive(edited, 6)), "noise": (noise, noise[::-1]),
            "full": (None, text), "empty": (b"", b"")}


class Machine:
    def __init__(self, name, *command):
        self.name, self.command = name, command

    def run(self, *arguments):
        done = subprocess.run([*self.command, *arguments], capture_output=True, text=True, timeout=1200, check=False)
        if done.returncode != 0:
            raise SystemExit(f"FAILED: {self.name}: {' '.join(arguments)}: {done.returncode}\n{done.stderr}")


def main():
    bin_dir, arm_dir, sysroot = sys.argv[1:]
    machines = (Machine("x86-64", os.path.join(bin_dir, "layby-delta")),
                Machine("AArch64", "qemu-aarch64-static", "-L", sysroot, os.path.join(arm_dir, "layby-delta")))
    failed = 0
    with tempfile.TemporaryDirectory(prefix="layby-") as home:
        def at(name):
            return os.path.join(home, name)
        for name, (base, target) in pairs().items():
            for file, data in (("base", base or b""), ("target", target)):
                with open(at(file), "wb") as out:
                    out.write(data)
            payloads = []
            for machine in machines:
                made = at(f"{name}.{machine.name}")
                machine.run("diff", *(["--full"] if base is None else [at("base")]), at("target"), "-o", made)
                with open(made, "rb") as stream:
                    payloads.append(stream.read())
            is_same = payloads[0] == payloads[1]
            for maker, applier in (machines, machines[::-1]):
                again = at("again")
                if os.path.exists(again):
                    os.remove(again)
                applier.run("apply", *([] if base is None else ["--base", at("base")]), at(f"{name}.{maker.name}"), "-o", again)
                with open(again, "rb") as stream:
                    is_same = is_same and stream.read() == target
            print(f"{'ok' if is_same else 'FAILED'}: {name}: {len(target)} bytes, payload of {len(payloads[0])}", flush=True)
            failed += not is_same
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
