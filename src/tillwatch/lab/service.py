"""Start or stop one process of a lab by its name: what runbooks of the demo chain are allowed to call.

`python -m tillwatch.lab.service --lab DIR start|stop|kill|status NAME`. Starting what runs and stopping what does not
are successes, so a step that is tried again changes nothing. Exit codes: 0 done, 1 `status` of a process that does not
run, 2 usage, 3 it did not come up.
"""

import argparse
import os
import sys
from pathlib import Path

from tillwatch.errors import TillwatchError, UsageError
from tillwatch.lab import fleet
from tillwatch.lab.layout import Lab

LAB_VARIABLE = "TILLWATCH_LAB"


def act(lab: Lab, command: str, name: str) -> tuple[int, str]:
    """Carry out one command; returns the exit code and one sentence."""
    daemon = fleet.daemon(lab, name)
    match command:
        case "start":
            already = daemon.process() is not None
            return 0, f"{name} {'already runs' if already else 'started'} (pid {daemon.start()})"
        case "stop":
            return 0, f"{name} {'stopped' if daemon.stop() else 'did not run'}"
        case "kill":
            return 0, f"{name} {'killed' if daemon.kill() else 'did not run'}"
        case _:
            process = daemon.process()
            return (0, f"{name} runs (pid {process.pid})") if process else (1, f"{name} does not run")


def main() -> int:
    parser = argparse.ArgumentParser(prog="tillwatch.lab.service", description=__doc__)
    parser.add_argument("--lab", type=Path, default=os.environ.get(LAB_VARIABLE), help=f"default: ${LAB_VARIABLE}")
    parser.add_argument("command", choices=["start", "stop", "kill", "status"])
    parser.add_argument("name")
    arguments = parser.parse_args()
    try:
        if arguments.lab is None:
            raise UsageError(f"which lab? Give --lab DIR or set {LAB_VARIABLE}")
        code, text = act(Lab.load(Path(arguments.lab)), arguments.command, arguments.name)
    except TillwatchError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command line program
        return error.exit_code
    print(text)  # noqa: T201 - a command line program
    return code


if __name__ == "__main__":
    sys.exit(main())
