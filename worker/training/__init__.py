"""Training a model: one Composer run, resumable to the bit, that says which samples each step saw.

Importing this package prepares the process, because both preparations must come before torch is loaded:

- Idle OpenMP threads sleep instead of spinning. With cores shared, spinning made a step 2.6 to 3.2 times slower
  (58 s against 18-22 s for 20 batches at load 6), with the same loss to the last bit.
- torchvision becomes importable beside the CPU build of torch (worker.torchvision_hook).
"""

from __future__ import annotations

import os

from worker import torchvision_hook

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")
# transformers would warn about, and tokenizers would fork with, a thread pool that training does not use.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
torchvision_hook.install()
