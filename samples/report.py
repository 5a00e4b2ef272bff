#!/usr/bin/env python3
"""The last step of the demo: the car's timeline from its audit trail, and what each payload cost.

    report.py STATE_DIR VIN
"""
import json
import os
import sys
from datetime import datetime


def load(state, name):
    with open(os.path.join(state, name), encoding="utf-8") as stream:
        return json.load(stream)


def seconds_between(a, b):
    return (datetime.fromisoformat(b) - datetime.fromisoformat(a)).total_seconds()


def print_timeline(audit):
    print("        what happened to the car, from its audit trail:")
    for record in audit["records"]:
        print(f"          {record['at']}  {record['who']:<34} {record['what']:<24} {record.get('order', '')}")


def download_seconds(orders):
    """Order -> seconds from its first byte to its last, as the car reported them; the time that the agent was dead counts."""
    seconds = {}
    for order in orders["orders"]:
        at = {}
        for entry in order["history"]:
            at.setdefault(entry["state"], entry["at"])
        if "downloading" in at and "downloaded" in at:
            seconds[order["id"]] = seconds_between(at["downloading"], at["downloaded"])
    return seconds


def print_payloads(progress, transfers, images, jobs, orders):
    sent = {t["payload"]: t["bytes_sent"] for t in transfers["transfers"]}
    full = {i["image"]: i["length"] for i in images["images"]}
    made = {}
    for job in jobs["jobs"]:
        if job["state"] == "done":
            made[(job["image"], job.get("base_sha256"))] = job["wall_ms"] / 1000
    loaded = download_seconds(orders)
    head = f"{'image':<32} {'full size':>12} {'bytes sent':>12} {'share':>8} {'made in':>9} {'order sent in':>14}"
    print("\n        " + head)
    all_sent = all_full = 0
    for order in progress["orders"]:
        for payload in order.get("payloads", []):
            image, bytes_sent = payload["image"], sent.get(payload["sha256"], 0)
            size, seconds = full[image], made.get((image, payload.get("base")))
            all_sent, all_full = all_sent + bytes_sent, all_full + size
            took = f"{seconds:8.1f}s" if seconds is not None else f"{'-':>9}"
            whole = f"{loaded[order['id']]:13.0f}s" if order["id"] in loaded else f"{'-':>14}"
            print(f"        {image:<32} {size:>12,} {bytes_sent:>12,} {bytes_sent / size:>8.2%} {took} {whole}")
    print(f"        {'together':<32} {all_full:>12,} {all_sent:>12,} {all_sent / all_full:>8.2%}")


def main(arguments):
    state, _ = arguments
    print_timeline(load(state, "audit.json"))
    print_payloads(load(state, "progress.json"), load(state, "transfers-at-end.json"), load(state, "images.json"),
                   load(state, "jobs.json"), load(state, "orders.json"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
