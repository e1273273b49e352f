"""Whether an error says that a device's memory is full. Nothing here imports torch."""

import re

MESSAGES = re.compile(
    r"out of memory"  # CUDA, HIP, MPS and XPU, from torch's allocator or the driver
    r"|(CUBLAS|CUDNN|CUSOLVER|CUSPARSE|CUFFT|HIPBLAS|MIOPEN)_STATUS_(ALLOC_FAILED|\w*ALLOCATION_FAILED)"
    r"|DefaultCPUAllocator: (can't|not enough)"
    r"|Invalid buffer size"  # one tensor beyond what MPS gives
    r"|Failed to allocate memory"
)


def is_out_of_memory(error: BaseException) -> bool:
    """Torch's own class, Python's, and the RuntimeErrors in which libraries below torch say it."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and MESSAGES.search(str(error)) is not None
