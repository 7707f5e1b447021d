"""The platform has no packages: PlatformIO finds nothing to download."""

from platformio.public import PlatformBase


class System_gccPlatform(PlatformBase):  # noqa: N801 (PlatformIO derives this name from platform.json)
    pass
