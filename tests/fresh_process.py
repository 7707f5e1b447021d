"""What a statement imports, seen by a new interpreter: this one has imported nearly everything already."""

from __future__ import annotations

import subprocess
import sys


def modules_after(statement: str, *, timeout: float = 60) -> set[str]:
    """Top-level names of the modules that `statement` loads beyond those that Python starts with."""
    probe = (
        f"import sys\nbefore = set(sys.modules)\n{statement}\n"
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    command = [sys.executable, "-c", probe]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())
