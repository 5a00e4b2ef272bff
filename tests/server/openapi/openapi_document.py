"""docs/openapi.yaml as a document: references resolve, every operation says who may call it and how
it refuses, and every problem code that the server's sources name is listed, and no other."""

import pathlib
import re
import sys

import yaml

METHODS = {"get", "head", "post", "put", "patch", "delete"}


def references(node):
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolve(document, reference):
    node = document
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


def operations(document):
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert method in METHODS, f"{path}: {method}"
            yield f"{method.upper()} {path}", operation


def problems(node, listed="x-problems"):
    """Status -> codes."""
    return {status: set(codes) for status, codes in node.get(listed, {}).items()}


def check_operation(name, operation):
    assert operation["summary"].endswith("."), f"{name}: the summary is a sentence"
    codes = set(operation["responses"])
    refusals = {code for code in codes if code >= "400"}
    assert refusals == set(problems(operation)), f"{name}: x-problems and responses name different statuses"
    assert any(code.startswith("2") for code in codes), f"{name}: no success"
    if operation["security"]:
        assert {"401", "403"} <= codes, f"{name}: needs a caller, but never refuses one"
    for parameter in re.findall(r"\{(\w+)\}", name):
        given = [p.get("name") for p in operation.get("parameters", [])]
        assert parameter in given, f"{name}: parameter {parameter}"


def source_codes(root):
    """Codes of the server's own refusals, and those of errors, as the sources name them."""
    own = set()
    for source in (root / "server").rglob("*.cc"):
        own |= set(re.findall(r'problem\(\s*\d+,\s*"([a-z-]+)"', source.read_text()))
    named = re.compile(r'return "([a-z-]+)"')
    own |= set(named.findall((root / "server/fleet/refusal.cc").read_text()))
    return own, set(named.findall((root / "base/error.cc").read_text()))


def main(root):
    document = yaml.safe_load((root / "docs/openapi.yaml").read_text())
    assert document["openapi"].startswith("3.1.")
    for reference in references(document):
        resolve(document, reference)
    used = set(references(document))
    for name in document["components"]["schemas"]:
        assert f"#/components/schemas/{name}" in used, f"schema {name} is used nowhere"
    names = []
    for name, operation in operations(document):
        check_operation(name, operation)
        names.append(operation["operationId"])
    assert len(names) == len(set(names)), "operation ids repeat"
    listed = set(document["components"]["schemas"]["ProblemCode"]["enum"])
    nodes = [problems(document), problems(document, "x-unrouted")]
    nodes += [problems(operation) for _, operation in operations(document)]
    used = {code for node in nodes for codes in node.values() for code in codes}
    assert used == listed, f"ProblemCode and the operations differ: {sorted(used ^ listed)}"
    own, errors = source_codes(root)
    assert len(own) > 30 and len(errors) > 20, "the sources were not understood"
    assert own <= listed, f"not listed: {sorted(own - listed)}"
    unknown = listed - own - errors - {"unknown-method"}  # by a conditional expression
    assert not unknown, f"listed, never said: {sorted(unknown)}"
    print(f"{len(names)} operations, {len(listed)} codes")


main(pathlib.Path(sys.argv[1]))
