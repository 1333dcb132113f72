"""Settings of the whole test run, made before anything of ours is imported."""

import os
from pathlib import Path

from ingest.process.kernels import keep_kernels

# The folder that wsgi.py takes: a desk started after the tests has nothing left to compile.
keep_kernels(Path(__file__).parents[1], None, os.environ)
