#!/usr/bin/env python3
"""A reader of the maps, as a navigation system is one: resolves the live set once, then reads regions in it.

    watch_maps.py CURRENT OUT REGION...

Makes the file OUT.ready after its first look. Until the file OUT.stop appears, notes in OUT.json each different combination of regions that it saw. Exit status 1 if
a combination mixes two releases: if any region of one combination stands in another one beside other regions.
"""
import hashlib
import json
import os
import sys
import time


def look(current, regions):
    """The digests of the regions in the live set, or None if the set was replaced and cleared away meanwhile."""
    live = os.path.realpath(current)
    try:
        digests = []
        for region in regions:
            with open(os.path.join(live, region, "places.json"), "rb") as stream:
                digests.append(hashlib.sha256(stream.read()).hexdigest())
        return tuple(digests)
    except FileNotFoundError:
        return None


def main(arguments):
    current, out, regions = arguments[0], arguments[1], arguments[2:]
    seen, looks = [], 0
    while True:
        stopping = os.path.exists(out + ".stop")
        combination = look(current, regions)
        looks += 1
        if looks == 1:
            open(out + ".ready", "w", encoding="utf-8").close()
        if combination and combination not in seen:
            seen.append(combination)
        if stopping:
            break
        time.sleep(0.005)
    mixed = any(a[i] == b[i] for a in seen for b in seen if a != b for i in range(len(regions)))
    with open(out + ".json", "w", encoding="utf-8") as stream:
        json.dump({"looks": looks, "regions": regions, "seen": seen, "mixed": mixed}, stream)
    return 1 if mixed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
