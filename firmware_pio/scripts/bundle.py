"""Compiles the model of a bundle into the firmware: the folder that the variable MICRONAS_BUNDLE names."""

import os
import sys
from pathlib import Path

Import("env")  # noqa: F821 (SCons provides it)

bundle = Path(os.environ.get("MICRONAS_BUNDLE", ""))
if not (bundle / "model.c").is_file():
    sys.exit(f"MICRONAS_BUNDLE names the folder of a bundle. Received: {str(bundle)!r}. `micronas-tf export` writes one.")

env.Append(  # noqa: F821
    CPPPATH=[str(bundle), "$PROJECT_INCLUDE_DIR", "$PROJECT_SRC_DIR/bench"],
    CPPDEFINES=[
        "MN_BUNDLE",
        # A line takes more of a window than the 160 bytes of a firmware without a bundle.
        ("MN_LONGEST_LINE", 1200),
        # What a plan left out would be written there.
        ("MODEL_GUARD_BYTES", 256),
        ("MODEL_STEP_HEADER", env.StringifyMacro("bundle_step.h")),  # noqa: F821
    ],
)
env.BuildSources("$BUILD_DIR/bundle", str(bundle), "+<model.c>")  # noqa: F821
