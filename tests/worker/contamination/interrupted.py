"""python -m tests.worker.contamination.interrupted DIR N: a check that kills itself (-9) in the middle of a part, once N
parts are done; N = -1 for a run to the end.
"""

from __future__ import annotations

import os
import signal
import sys

from worker.__main__ import main
from worker.contamination import scan

if __name__ == "__main__":
    left = int(sys.argv[2])
    write_sums = scan.write_atomically

    def write_or_die(path, text):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        write_sums(path, text)

    scan.write_atomically = write_or_die
    sys.exit(main(["find_contamination", sys.argv[1]]))
