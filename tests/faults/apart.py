"""The inside of a namespace: measures one row and prints it as JSON for the process outside."""

import json
import sys
from dataclasses import asdict

from tests.faults.__main__ import measure, world


def main(number: str) -> None:
    with world() as here:
        from tests.faults import rows

        rows.register()
        sys.stdout.write(json.dumps(asdict(measure(number, here))))


if __name__ == "__main__":
    main(sys.argv[1])
