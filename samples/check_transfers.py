#!/usr/bin/env python3
"""Proves from the server's count that no verified chunk was sent twice:

    check_transfers.py STATUS_AT_KILL TRANSFERS_AT_KILL TRANSFERS_AT_END

STATUS_AT_KILL is `layby-agent status --json` after the kill: what the journal holds as verified. The other two are
`layby transfers --json`, before the agent was started again and after it had everything. What was asked for in between
must not touch a verified byte of any payload. Exit status 0 if so, else 1.
"""
import json
import sys


def load(path):
    with open(path, encoding="utf-8") as stream:
        return json.load(stream)


def ranges_by_payload(transfers):
    return {t["payload"]: [(r["offset"], r["length"]) for r in t["ranges"]] for t in transfers["transfers"]}


def asked_later(before, after):
    """The ranges of `after` that are not in `before`; the server joins complete neighbours, so the last one may grow."""
    if not before:
        return after
    grown_offset, grown_length = after[len(before) - 1]
    offset, length = before[-1]
    if after[: len(before) - 1] != before[:-1] or grown_offset != offset or grown_length < length:
        raise SystemExit("check_transfers.py: the server's record of what it had sent before has changed")
    grown = [(offset + length, grown_length - length)] if grown_length > length else []
    return grown + after[len(before):]


def main(arguments):
    status, before, after = (load(path) for path in arguments)
    before, after = ranges_by_payload(before), ranges_by_payload(after)
    verified_sum = twice_sum = 0
    for order in status["orders"]:
        for payload in order.get("payloads", []):
            verified = payload["bytesVerified"]
            if verified == 0:
                continue
            verified_sum += verified
            digest = payload["sha256"]
            for offset, length in asked_later(before.get(digest, []), after.get(digest, [])):
                twice = max(0, min(offset + length, verified) - offset)
                twice_sum += twice
                if twice:
                    print(f"payload {digest[:16]}: {twice} of {verified} verified bytes were asked for again, from {offset}")
    sent = sum(length for ranges in after.values() for _, length in ranges)
    print(f"        {verified_sum} bytes were verified at the kill, {twice_sum} of them were sent again; {sent} bytes in all")
    return 0 if verified_sum > 0 and twice_sum == 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
