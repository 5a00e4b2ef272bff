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


def check_operation(name, operation):
    assert operation["summary"].endswith("."), f"{name}: the summary is a sentence"
    codes = set(operation["responses"])
    assert any(code.startswith("2") for code in codes), f"{name}: no success"
    if operation["security"]:
        assert {"401", "403"} <= codes, f"{name}: needs a caller, but never refuses one"
    for parameter in re.findall(r"\{(\w+)\}", name):
        given = [p.get("name") for p in operation.get("parameters", [])]
        assert parameter in given, f"{name}: parameter {parameter}"


def source_codes(root):
    """Codes that a response of the server can carry, as its sources name them."""
    codes = set()
    for source in (root / "server").rglob("*.cc"):
        codes |= set(re.findall(r'problem\(\s*\d+,\s*"([a-z-]+)"', source.read_text()))
    named = re.compile(r'return "([a-z-]+)"')
    refusals = (root / "server/fleet/refusal.cc").read_text()
    errors = (root / "base/error.cc").read_text()
    return codes | set(named.findall(refusals)) | set(named.findall(errors))


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
    said = source_codes(root)
    assert len(said) > 50, "the sources were not understood"
    assert said <= listed, f"not listed: {sorted(said - listed)}"
    assert listed <= said, f"listed, never said: {sorted(listed - said)}"
    print(f"{len(names)} operations, {len(listed)} codes")


main(pathlib.Path(sys.argv[1]))
