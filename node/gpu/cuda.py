"""One CUDA device through NVIDIA's own Python bindings: kernels compiled at run time, memory, launches.

Needs the extra `gpunode[cuda]` and a driver. Used in helper processes only: a driver that hangs takes its process with
it. Not run on a device yet: in the tests bindings and compiler are NVIDIA's, and a library stands in for the driver.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.resources import files
from typing import Any

from node.errors import GpuError

_INSTALL = "pip install 'gpunode[cuda]', beside an NVIDIA driver for which `nvidia-smi` works"
_ATTRIBUTE = "CU_DEVICE_ATTRIBUTE_"


def load_binding(name: str) -> Any:
    """`driver` or `nvrtc` of NVIDIA's bindings. Raises GpuError where they are not installed."""
    try:
        return import_module(f"cuda.bindings.{name}")
    except ImportError as error:
        raise GpuError(f"NVIDIA's CUDA bindings are not installed: {error}", hint=_INSTALL) from error


def source(name: str) -> str:
    """The text of a kernel file of ours."""
    return files("node.gpu.kernels").joinpath(name).read_text()


def compile_kernels(
    name: str, arch: str, defines: Mapping[str, int] | None = None, headers: Sequence[str] = ("tile.cuh",)
) -> bytes:
    """Machine code (or PTX, for `compute_..`) of a kernel file for one architecture such as `sm_80`.

    Raises GpuError with the compiler's own words.
    """
    nvrtc = load_binding("nvrtc")
    texts = [source(each).encode() for each in headers]
    program = _done(
        nvrtc.nvrtcCreateProgram(
            source(name).encode(), name.encode(), len(texts), texts, [each.encode() for each in headers]
        ),
        "NVRTC",
    )
    options = [f"--gpu-architecture={arch}".encode(), b"--std=c++17"]
    options += [f"-D{key}={value}".encode() for key, value in (defines or {}).items()]
    try:
        (result,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
        if int(result):
            log = bytearray(_done(nvrtc.nvrtcGetProgramLogSize(program), "NVRTC"))
            nvrtc.nvrtcGetProgramLog(program, log)
            raise GpuError(f"{name} does not compile for {arch}: {log.decode(errors='replace')[:500]}")
        virtual = arch.startswith("compute_")
        measure, take = (
            (nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX) if virtual else (nvrtc.nvrtcGetCUBINSize, nvrtc.nvrtcGetCUBIN)
        )
        code = bytearray(_done(measure(program), "NVRTC"))
        _done(take(program, code), "NVRTC")
        return bytes(code)
    finally:
        nvrtc.nvrtcDestroyProgram(program)


def best_arch(capability: tuple[int, int]) -> str:
    """What to compile for on a device: its own machine code, or PTX where this compiler does not know it yet."""
    known = _done(load_binding("nvrtc").nvrtcGetSupportedArchs(), "NVRTC")
    own = capability[0] * 10 + capability[1]
    if own in known:
        return f"sm_{own}"
    older = [arch for arch in known if arch < own]
    if not older:
        raise GpuError(f"this compiler makes no code for compute capability {capability[0]}.{capability[1]}")
    return f"compute_{max(older)}"


class CudaDevice:
    """One GPU, opened; everything on it goes with `close`, or with the process."""

    def __init__(self, uuid: str | None) -> None:
        """`uuid`: as NVML gives it; None: the first. Raises GpuError."""
        if uuid is not None:
            # Read by the driver when it is initialised. It takes the names of whole GPUs and of their slices (MIG).
            os.environ["CUDA_VISIBLE_DEVICES"] = uuid
        self._cuda = cuda = load_binding("driver")
        self._allocated: set[int] = set()
        try:
            self._call(cuda.cuInit(0))
        except (RuntimeError, OSError) as error:  # the bindings' word for "no libcuda"
            raise GpuError(f"there is no CUDA driver: {error}", hint=_INSTALL) from error
        self._device = self._call(cuda.cuDeviceGet(0))
        # A thread that waits for the GPU sleeps; it must not take a processor from whatever else runs.
        self._call(cuda.cuDevicePrimaryCtxSetFlags(self._device, cuda.CUctx_flags.CU_CTX_SCHED_BLOCKING_SYNC))
        self._call(cuda.cuCtxSetCurrent(self._call(cuda.cuDevicePrimaryCtxRetain(self._device))))
        self.capability = (
            self.attribute("COMPUTE_CAPABILITY_MAJOR"),
            self.attribute("COMPUTE_CAPABILITY_MINOR"),
        )
        name = self._call(cuda.cuDeviceGetName(128, self._device))
        self.name = name.split(b"\0")[0].decode(errors="replace")
        self.memory_bytes = int(self._call(cuda.cuDeviceTotalMem(self._device)))

    def attribute(self, name: str) -> int:
        """A device attribute by its name in the driver's interface, less the prefix."""
        which = getattr(self._cuda.CUdevice_attribute, _ATTRIBUTE + name)
        return int(self._call(self._cuda.cuDeviceGetAttribute(which, self._device)))

    def load(self, name: str, functions: Sequence[str], defines: Mapping[str, int] | None = None) -> dict[str, Any]:
        """Compile a kernel file for this device; its functions by name. Raises GpuError."""
        code = ctypes.create_string_buffer(compile_kernels(name, best_arch(self.capability), defines))
        module = self._call(self._cuda.cuModuleLoadData(ctypes.addressof(code)))
        return {each: self._call(self._cuda.cuModuleGetFunction(module, each.encode())) for each in functions}

    def allow_shared(self, function: Any, size: int) -> None:
        """Let a kernel have more than 48 KiB of shared memory a block."""
        which = self._cuda.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        self._call(self._cuda.cuFuncSetAttribute(function, which, size))

    def allocate(self, size: int) -> int:
        """Address of new device memory."""
        place = int(self._call(self._cuda.cuMemAlloc(size)))
        self._allocated.add(place)
        return place

    def free(self, place: int) -> None:
        """Give memory back."""
        self._allocated.discard(place)
        self._call(self._cuda.cuMemFree(place))

    def upload(self, place: int, data: bytes | memoryview) -> None:
        """Copy to the device."""
        raw = (ctypes.c_char * len(data)).from_buffer_copy(data)
        self._call(self._cuda.cuMemcpyHtoD(place, ctypes.addressof(raw), len(data)))

    def download(self, place: int, size: int) -> bytearray:
        """Copy from the device, once all that was launched is done."""
        data = bytearray(size)
        raw = (ctypes.c_char * size).from_buffer(data)
        self._call(self._cuda.cuMemcpyDtoH(ctypes.addressof(raw), place, size))
        return data

    def copy(self, to: int, source: int, size: int) -> None:
        """Copy within the device; it goes on while this returns."""
        self._call(self._cuda.cuMemcpyDtoDAsync(to, source, size, 0))

    def launch(
        self, function: Any, grid: tuple[int, int], block: int, *arguments: ctypes._SimpleCData[Any], shared: int = 0
    ) -> None:
        """Start a kernel; those started before it on this device end first."""
        pointers = (ctypes.c_void_p * len(arguments))(*(ctypes.addressof(each) for each in arguments))
        # Arguments are copied before the call returns; `pointers` and they may go away after it.
        self._call(self._cuda.cuLaunchKernel(function, *grid, 1, block, 1, 1, shared, 0, ctypes.addressof(pointers), 0))

    def wait(self) -> None:
        """Until all that was launched is done. Raises GpuError for what went wrong meanwhile."""
        self._call(self._cuda.cuCtxSynchronize())

    def timed(self, work: Callable[[], object]) -> float:
        """Seconds on the device for what `work()` launches."""
        cuda = self._cuda
        began, ended = (self._call(cuda.cuEventCreate(0)) for _ in range(2))
        self._call(cuda.cuEventRecord(began, 0))
        work()
        self._call(cuda.cuEventRecord(ended, 0))
        self._call(cuda.cuEventSynchronize(ended))
        seconds = float(self._call(cuda.cuEventElapsedTime(began, ended))) / 1000
        for event in (began, ended):
            self._call(cuda.cuEventDestroy(event))
        return seconds

    def close(self) -> None:
        """Give all memory back."""
        for place in list(self._allocated):
            self.free(place)

    def _call(self, answer: tuple[Any, ...]) -> Any:
        return _done(answer, "the CUDA driver")


def _done(answer: tuple[Any, ...], who: str) -> Any:
    """What a call of the bindings answered beside its result code. Raises GpuError unless that is 0."""
    result, *values = answer
    if int(result):
        name = getattr(result, "name", str(result))
        raise GpuError(f"{who} refused: {name}", hint="see that `nvidia-smi` works, and how much GPU memory is free")
    return values[0] if len(values) == 1 else tuple(values) or None
