#!/usr/bin/python3
"""Reads Avro events as any consumer would: by the schema that the registry holds for their id.

Nothing of pipe is used: the bytes come from kcat, the decoding is Debian's python3-avro.

    kcat -b $KAFKA_BROKERS -C -t TOPIC -o beginning -e -q -f '%K %k%R%s' | read_avro.py REGISTRY [--show N] [--fold]

kcat's %K prints the key's length as text, %R the value's in four bytes; a length of -1 is a null.
--show N prints the first N events; --fold prints the rows that are left when the events are applied.
"""

import argparse
import base64
import datetime
import decimal
import io
import json
import struct
import sys
import urllib.request

import avro.io
import avro.schema


class Registry:
    """Fetches schemas by id, each once."""

    def __init__(self, url):
        self.url = url.rstrip("/")
        self.readers = {}

    def reader(self, number):
        if number not in self.readers:
            with urllib.request.urlopen(f"{self.url}/schemas/ids/{number}") as answer:
                text = json.load(answer)["schema"]
            self.readers[number] = avro.io.DatumReader(avro.schema.parse(text))
        return self.readers[number]

    def decode(self, data):
        if data is None:
            return None
        magic, number = struct.unpack(">bI", data[:5])
        if magic != 0:
            raise ValueError(f"magic byte is {magic}, want 0")
        body = io.BytesIO(data[5:])
        value = self.reader(number).read(avro.io.BinaryDecoder(body))
        if body.read(1):
            raise ValueError("bytes are left after the datum")
        return value


def frames(stream):
    """Yields (key, value) pairs of kcat's framed output."""

    while True:
        digits = b""
        while not digits.endswith(b" "):
            byte = stream.read(1)
            if not byte:
                return
            digits += byte
        key = sized(stream, int(digits))
        yield key, sized(stream, struct.unpack(">i", stream.read(4))[0])


def sized(stream, size):
    return None if size < 0 else stream.read(size)


def plain(value):
    if isinstance(value, decimal.Decimal):
        return str(value)
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(type(value))


def text(value):
    return json.dumps(value, default=plain, ensure_ascii=False, sort_keys=True)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("registry")
    args.add_argument("--show", type=int, default=0)
    args.add_argument("--fold", action="store_true")
    args = args.parse_args()

    registry, rows, events = Registry(args.registry), {}, 0
    for raw_key, raw_value in frames(sys.stdin.buffer):
        key, value = registry.decode(raw_key), registry.decode(raw_value)
        events += 1
        if args.show and events <= args.show:
            print(text(key), text(value))
        row = value
        if value is not None and "op" in value and "source" in value:
            row = None if value["op"] == "d" else value["after"]
        if row is None:
            rows.pop(text(key), None)
        else:
            rows[text(key)] = row
    if args.fold:
        for key in sorted(rows):
            print(text(rows[key]))
    print(f"{events} events decoded, {len(rows)} rows are left", file=sys.stderr)


if __name__ == "__main__":
    main()
