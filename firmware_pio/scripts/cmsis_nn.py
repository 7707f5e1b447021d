"""Compiles CMSIS-NN as a library: the copy that lib_deps brought, or the folder that custom_cmsis_nn names."""

import re
import sys
from pathlib import Path

Import("env")  # noqa: F821 (SCons provides it)

FOLDERS = ("ConvolutionFunctions", "BasicMathFunctions", "NNSupportFunctions", "PoolingFunctions", "SoftmaxFunctions")

named = env.GetProjectOption("custom_cmsis_nn", "")  # noqa: F821
root = Path(named) if named else Path(env.subst("$PROJECT_LIBDEPS_DIR/$PIOENV/CMSIS-NN"))  # noqa: F821
header = root / "Include/arm_nnfunctions.h"
if not header.is_file():
    sys.exit(f"CMSIS-NN is expected in {root}. Name a copy as custom_cmsis_nn in platformio_override.ini.")

match = re.search(r"\$Revision:\s*V\.?([0-9.]+)", header.read_text())
version = match.group(1) if match else "unknown"
# Up to 2022 CMSIS-NN was a folder of CMSIS 5 and used headers of its neighbours.
neighbours = [root.parent / name / "Include" for name in ("Core", "DSP")]
includes = [root / "Include", *(path for path in neighbours if path.is_dir())]
env.Append(  # noqa: F821
    CPPPATH=[str(path) for path in includes],
    CPPDEFINES=["MN_BACKEND_CMSIS_NN", ("MN_CMSIS_NN_VERSION", env.StringifyMacro(version))],  # noqa: F821
)
sources = " ".join(f"+<{folder}/>" for folder in FOLDERS)
library = env.BuildLibrary("$BUILD_DIR/CMSIS-NN", str(root / "Source"), sources + " -<**/*_f16*> -<**/*_f32*>")  # noqa: F821
env.Prepend(LIBS=[library])  # noqa: F821
