"""How the local platform builds a program: the system's GNU tools for bare-metal ARM."""

import shutil
import sys

from SCons.Script import COMMAND_LINE_TARGETS, Default, DefaultEnvironment

PREFIX = "arm-none-eabi-"

env = DefaultEnvironment()
if shutil.which(PREFIX + "gcc") is None:
    sys.exit(f"{PREFIX}gcc is not on PATH. Debian and Ubuntu: apt install gcc-arm-none-eabi libnewlib-arm-none-eabi")

cpu = env.BoardConfig().get("build.cpu")
env.Replace(
    AR=PREFIX + "gcc-ar",
    AS=PREFIX + "gcc",
    CC=PREFIX + "gcc",
    CXX=PREFIX + "g++",
    LINK=PREFIX + "gcc",
    RANLIB=PREFIX + "gcc-ranlib",
    SIZETOOL=PREFIX + "size",
    OBJCOPY=PREFIX + "objcopy",
    ARFLAGS=["rc"],
    PROGNAME="firmware",
    PROGSUFFIX=".elf",
    LDSCRIPT_PATH="$PROJECT_DIR/" + env.BoardConfig().get("build.ldscript"),
    SIZECHECKCMD="$SIZETOOL -A -d $SOURCES",
    SIZEPRINTCMD="$SIZETOOL -B -d $SOURCES",
    SIZEPROGREGEXP=r"^(?:\.text|\.ARM\.exidx|\.data)\s+(\d+).*",
    SIZEDATAREGEXP=r"^(?:\.data|\.bss)\s+(\d+).*",
)
env.Append(
    CCFLAGS=["-mthumb", f"-mcpu={cpu}", "-ffunction-sections", "-fdata-sections"],
    ASFLAGS=["-mthumb", f"-mcpu={cpu}"],
    ASPPFLAGS=["-x", "assembler-with-cpp"],
    LINKFLAGS=["-mthumb", f"-mcpu={cpu}", "-Wl,--gc-sections"],
)

program = env.BuildProgram()
size = env.Alias("size", program, env.VerboseAction("$SIZEPRINTCMD", "Size of $SOURCE"))
env.AlwaysBuild(size)
Default([env.Alias("buildprog", program), size])
if "upload" in COMMAND_LINE_TARGETS:
    sys.exit("The local platform only builds. Upload with the board's environment on the ststm32 platform.")
