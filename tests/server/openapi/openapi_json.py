"""openapi_json.py YAML OUT: the document as JSON, for the tests that are no Python."""

import json
import sys

import yaml

with open(sys.argv[1], encoding="utf-8") as document, open(sys.argv[2], "w", encoding="utf-8") as out:
    json.dump(yaml.safe_load(document), out)
