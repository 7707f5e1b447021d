"""Runs PlatformIO without a network: `python scripts/offline_pio.py run -e qemu_cortex_m4`.

PlatformIO downloads its own copy of SCons on first use. Here a package that hands over to the SCons of this Python's
site-packages (`pip install scons`) stands in for it. The stand-in has its own core directory, so that a PlatformIO with
its real packages stays as it is.
"""

import json
import os
import re
import sys
from pathlib import Path

from platformio.__main__ import main
from platformio.dependencies import get_core_dependencies

PROJECT = Path(__file__).resolve().parents[1]
NAME = "tool-scons"
SCRIPT = "import sys\n\nfrom SCons.Script import main\n\nsys.exit(main())\n"


def provide_scons(core: Path) -> None:
    """Writes the package; its version must satisfy what PlatformIO asks for."""
    version = re.sub(r"[^0-9.]", "", get_core_dependencies()[NAME])
    spec = {"owner": "platformio", "id": None, "name": NAME, "requirements": None, "uri": None}
    package = core / "packages" / NAME
    package.mkdir(parents=True, exist_ok=True)
    (package / "package.json").write_text(json.dumps({"name": NAME, "version": version}))
    (package / ".piopm").write_text(json.dumps({"type": "tool", "name": NAME, "version": version, "spec": spec}))
    (package / "scons.py").write_text(SCRIPT)


if __name__ == "__main__":
    core = Path(os.environ.setdefault("PLATFORMIO_CORE_DIR", str(PROJECT / ".pio/core")))
    os.environ.setdefault("PLATFORMIO_SETTING_ENABLE_TELEMETRY", "no")
    provide_scons(core)
    sys.exit(main())
