"""Checks every file of vectors in this folder, or in the one that is named, with an implementation of its own.

    python check.py [FOLDER]

Needs Python 3.11 and pycryptodome. A file tells its `kind`; a kind that nobody reads, a file without cases and a kind
without a file are errors, so that nothing goes unchecked.
"""

import json
import pathlib
import sys

import check_directory
import check_links
import check_spread

CHECKS = check_directory.CHECKS | check_links.CHECKS | check_spread.CHECKS


def main():
    here = pathlib.Path(__file__).resolve().parent
    folder = pathlib.Path(sys.argv[1]) if sys.argv[1:] else here
    found = set()
    for path in sorted(folder.glob("*.json")):
        file = json.loads(path.read_text(encoding="utf-8"))
        kind, cases = file["kind"], file["cases"]
        assert kind == path.stem, f"{path.name} says it is of kind {kind}"
        assert cases, f"{path.name} has no case"
        for number, case in enumerate(cases):
            try:
                CHECKS[kind](case)
            except Exception as error:
                raise SystemExit(f"{path.name}, case {number}: {type(error).__name__}: {error}") from error
        found.add(kind)
        sys.stdout.write(f"{kind} {len(cases)}\n")
    missing = sorted(set(CHECKS) - found)
    if missing:
        raise SystemExit(f"no vectors of {', '.join(missing)}")


if __name__ == "__main__":
    main()
