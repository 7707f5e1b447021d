"""Flags that compiler and linker need alike, for either platform (PlatformIO's build_flags reach the compiler only)."""

Import("env")  # noqa: F821 (SCons provides it)

fpu = env.GetProjectOption("custom_fpu")  # noqa: F821
machine = [f"-mfpu={fpu}", "-mfloat-abi=hard"]
flags = env.GetProjectOption("custom_optimisation").split()  # noqa: F821
env.Append(  # noqa: F821
    CCFLAGS=machine,
    ASFLAGS=machine,
    CPPDEFINES=[("MN_FLAGS", env.StringifyMacro(",".join(flags)))],  # noqa: F821
    LIBPATH=["$PROJECT_DIR/ld"],
    LINKFLAGS=[*machine, "-nostartfiles", "--specs=nano.specs", "--specs=nosys.specs"],
)
