"""Settings of the whole test run, made before anything of ours is imported."""

import hashlib
import os
import tempfile
from pathlib import Path

_CODE = hashlib.sha256()
for _path in sorted((Path(__file__).parents[1] / "core").glob("*.py")):
    _CODE.update(_path.read_bytes())

# numba notices a change in a kernel's own file only, not in what the kernel inlines.
os.environ.setdefault(
    "NUMBA_CACHE_DIR",
    str(
        Path(tempfile.gettempdir())
        / f"pairdesk-{os.getuid()}"
        / f"kernels-{_CODE.hexdigest()[:12]}"
    ),
)
