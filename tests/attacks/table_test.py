"""docs/attacks.md against the code: every attack has a row, every test, function and error in a row exists."""
import os
import re
import sys

ATTACKS = (
    "arbitrary software", "rollback", "image rollback with stolen Director keys", "freeze", "fast-forward", "endless data",
    "slow retrieval", "mix-and-match", "mixed bundle", "extraneous dependency", "wrong software for this ECU or this VIN",
    "another car's valid or empty metadata", "replayed manifest", "drop-request", "partial bundle", "threshold minus one",
    "key under two ids", "nine copies of one signature", "path traversal in names", "duplicate JSON keys", "deep nesting",
    "huge numbers", "non-canonical bytes", "poisoned clock", "every online key",
    "compromised supplier", "stolen licence key", "stolen certificate authorities",
    "compromised primary: arbitrary image", "compromised primary: replayed metadata, older image",
    "compromised primary: freeze", "compromised primary: another car's metadata", "compromised primary: another ECU's image",
    "compromised primary: mixed repositories", "compromised primary: replayed or forged time",
    "compromised primary: withheld root", "compromised primary: endless data", "compromised primary: messages that are none",
    "compromised primary: torn messages", "compromised primary: switches without an image",
    "lying secondary: answers that are none", "lying secondary: impostor", "lying secondary: reports", "lying secondary: endless wants",
    "lying secondary: texts that command terminals", "lying secondary: silence",
)
ROOMS = ("base", "crypto", "manifest", "agent", "delta", "server")


def read(*parts):
    with open(os.path.join(*parts), encoding="utf-8") as stream:
        return stream.read()


def rows_of(page):
    """Cells of each row of the one table; a step's text may hold no bar."""
    for number, line in enumerate(page.splitlines(), 1):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("| ") and len(cells) == 5 and cells[0] != "attack":
            yield number, cells


def sources(root):
    texts = []
    for room in ROOMS:
        for folder, _, names in os.walk(os.path.join(root, room)):
            texts += [read(folder, name) for name in names if name.endswith((".h", ".cc"))]
    return "\n".join(texts)


def wrong_proofs(root, cell, registered):
    """`script`: `a step in it`, …: the script is a test of CTest and has a step of this text."""
    script, steps = None, 0
    for quoted in re.findall(r"`([^`]+)`", cell):
        if quoted.endswith(".py"):
            if script and not steps:
                yield f"{script} is named without a step"
            script, steps = quoted, 0
            if not os.path.exists(os.path.join(root, script)):
                yield f"there is no {script}"
                script = None
            elif os.path.basename(script)[:-len("_test.py")] not in registered(os.path.dirname(script)):
                yield f"{script} is no test of CTest"
        elif script is None:
            yield f"`{quoted}` follows no script"
        else:
            steps += 1
            text = read(root, script)
            if f'step("{quoted}")' not in text and f'step(f"{quoted}")' not in text:
                yield f"{script} has no step `{quoted}`"
    if not steps:
        yield "names no step that mounts it"


def findings(root):
    page = read(root, "docs", "attacks.md")
    code = sources(root)
    errors = set(re.findall(r'return "([a-z-]+)";', read(root, "base", "error.cc"))) | {"bad-manifest"}

    def registered(folder):
        return re.findall(r"[a-z_]+", " ".join(re.findall(r"foreach\(name ([^)]*)\)", read(root, folder, "CMakeLists.txt"))))
    seen = []
    for number, (attack, stops, tests, names, learns) in rows_of(page):
        where = f"docs/attacks.md:{number}: {attack}"
        seen.append(attack)
        functions = re.findall(r"`(\w+)`", stops)
        for function in functions:
            if not re.search(rf"\b{function}\b", code):
                yield f"{where}: no room has `{function}`"
        for problem in wrong_proofs(root, tests, registered):
            yield f"{where}: {problem}"
        named = re.findall(r"`([a-z-]+)`", names)
        for error in named:
            if error not in errors:
                yield f"{where}: `{error}` is no error"
        if not named or not learns or not stops:
            yield f"{where}: an empty cell"
    for attack in ATTACKS:
        if seen.count(attack) != 1:
            yield f"docs/attacks.md: {attack}: {seen.count(attack)} rows"
    for attack in set(seen) - set(ATTACKS):
        yield f"docs/attacks.md: {attack} is none of the attacks that this test knows"


def main():
    found = list(findings(sys.argv[1]))
    print("\n".join(found) or "the table is complete")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
