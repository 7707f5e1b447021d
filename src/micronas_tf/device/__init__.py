"""The board side: protocol, ports, emulated boards, firmware builds, and measuring operators."""

from micronas_tf.device.bench import Bench, Preload, bundle_bench, check_has_firmware, emulated_bench, prepare_bench
from micronas_tf.device.build import build_image, environment, upload
from micronas_tf.device.calibrate import Calibration, calibrate, check_calibrates, check_emulated
from micronas_tf.device.characterise import LARGEST_SPREAD, REPEATS, Characterisation, characterise
from micronas_tf.device.emulator import MACHINES, emulated_board
from micronas_tf.device.link import DisconnectedError, Link, Patience, SilenceError, Stream
from micronas_tf.device.protocol import Banner, GarbledError, RefusedError, Reply, WrongFirmwareError
from micronas_tf.device.prove import MOST_CLASSES, Difference, Proof, check_same_kernels, prove
from micronas_tf.device.serial_port import find_port, open_stream
from micronas_tf.device.whole_network import network_counts

__all__ = [
    "LARGEST_SPREAD",
    "MACHINES",
    "MOST_CLASSES",
    "REPEATS",
    "Banner",
    "Bench",
    "Calibration",
    "Characterisation",
    "Difference",
    "DisconnectedError",
    "GarbledError",
    "Link",
    "Patience",
    "Preload",
    "Proof",
    "RefusedError",
    "Reply",
    "SilenceError",
    "Stream",
    "WrongFirmwareError",
    "build_image",
    "bundle_bench",
    "calibrate",
    "characterise",
    "check_calibrates",
    "check_emulated",
    "check_has_firmware",
    "check_same_kernels",
    "emulated_bench",
    "emulated_board",
    "environment",
    "find_port",
    "network_counts",
    "open_stream",
    "prepare_bench",
    "prove",
    "upload",
]
