"""Settings of the whole test run, made before anything of ours is imported."""

import hashlib
import os
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_CODE = hashlib.sha256()
for _path in sorted((_ROOT / "core").glob("*.py")):
    _CODE.update(_path.read_bytes())

# The folder that wsgi.py takes: a desk started after the tests has nothing left to compile.
if os.access(_ROOT, os.W_OK):
    _folder = _ROOT / ".cache" / f"kernels-{_CODE.hexdigest()[:12]}"
    os.environ.setdefault("NUMBA_CACHE_DIR", str(_folder))
