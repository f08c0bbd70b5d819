"""Where `trivet` starts, prints errors and exits."""

from __future__ import annotations

import sys

import click

from builder.cli import trivet
from firstboot.errors import Exit, TrivetError


def main() -> None:
    """Run the command line; a TrivetError becomes its text and its exit code, a traceback means a bug."""
    sys.exit(run(sys.argv[1:]))


def run(argv: list[str]) -> int:
    """Run with these arguments and return the exit code."""
    try:
        result = trivet.main(args=argv, prog_name="trivet", standalone_mode=False)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.UsageError as error:
        error.show()
        return Exit.USAGE
    except click.ClickException as error:
        error.show()
        return Exit.FAILED
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return Exit.INTERRUPTED
    except PermissionError as error:
        click.echo(f"trivet: no permission: {error.filename or error}\n  next: run it as root: sudo", err=True)
        return Exit.MISSING
    except TrivetError as error:
        click.echo(f"trivet: {error}", err=True)
        return error.exit_code
    return result if isinstance(result, int) else Exit.OK


if __name__ == "__main__":
    main()
