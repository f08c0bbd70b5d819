"""The command `trivet-node`: the only place that prints errors and exits."""

from __future__ import annotations

import os
import sys

from firstboot.cli import execute
from firstboot.errors import Exit, TrivetError


def main() -> None:
    try:
        code = execute(sys.argv[1:])
        sys.stdout.flush()
    except TrivetError as error:
        print(f"trivet-node: {error}", file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = Exit.FAILED
    sys.exit(code)


if __name__ == "__main__":
    main()
