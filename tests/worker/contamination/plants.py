"""Two problems, in Python and in JavaScript, copies of them as they stand in training data, and code that is none."""

from __future__ import annotations

PYTHON = {
    "task_id": "plant/py",
    "language": "python",
    "prompt": (
        "from typing import List\n\n\n"
        "def longest_rise(levels: List[int], gap: int) -> int:\n"
        '    """Give the length of the longest stretch of water levels in which no level\n'
        "    falls below the one before it by more than the gap that is allowed.\n"
        "    >>> longest_rise([3, 4, 1, 2], 1)\n    2\n"
        '    """\n'
    ),
    "reference": (
        "    best = current = 1 if levels else 0\n"
        "    for before, after in zip(levels, levels[1:]):\n"
        "        if before - after > gap:\n"
        "            current = 1\n"
        "        else:\n"
        "            current += 1\n"
        "        best = max(best, current)\n"
        "    return best\n"
    ),
    "tests": "assert longest_rise([3, 4, 1, 2], 1) == 2\n",
}
JAVASCRIPT = {
    "task_id": "plant/js",
    "language": "javascript",
    "prompt": (
        "// Split the ledger into pages so that the amounts of every page add up to no more than the limit given.\n"
        "function paginate(ledger, limit) {\n"
    ),
    "reference": (
        "  const pages = [];\n"
        "  let page = [], total = 0;\n"
        "  for (const entry of ledger) {\n"
        "    if (total + entry.amount > limit && page.length > 0) {\n"
        "      pages.push(page);\n"
        "      page = [];\n"
        "      total = 0;\n"
        "    }\n"
        "    page.push(entry);\n"
        "    total += entry.amount;\n"
        "  }\n"
        "  if (page.length > 0) pages.push(page);\n"
        "  return pages;\n"
        "}\n"
    ),
    "tests": "console.assert(paginate([], 1).length === 0);\n",
}
# Eleven tokens: shorter than an n-gram.
SHORT = {
    "task_id": "plant/short",
    "language": "python",
    "prompt": "def doubled_tide(level):\n",
    "reference": "    return level * 2\n",
    "tests": "assert doubled_tide(2) == 4\n",
}
TINY = {"task_id": "plant/tiny", "language": "python", "prompt": "x = ", "reference": "1", "tests": "assert x == 1\n"}
PROBLEMS = [PYTHON, JAVASCRIPT, SHORT, TINY]


def whole(problem: dict[str, str]) -> str:
    return problem["prompt"] + problem["reference"]


PYTHON_REFORMATTED = """\
class Tides:
    @staticmethod
    def longest_rise(
        levels: List[int], gap: int
    ) -> int:
        best = current = (1 if levels else 0)  # nothing is no stretch
        for before, after in zip(levels, levels[1:]):
            # how far it falls
            if before - after > gap: current = 1
            else:
                current += 1

            best = max(best, current)
        return best
"""
PYTHON_RENAMED = '''\
def steady_run(prices: List[int], slack: int) -> int:
    """How long the prices went on without a crash."""
    top = run = 1 if prices else 0
    for old, new in zip(prices, prices[1:]):
        if old - new > slack:
            run = 1
        else:
            run += 1
        top = max(top, run)
    return top
'''
PYTHON_PARTIAL = """\
def longest_rise(levels, gap):
    best = current = 1 if levels else 0
    for before, after in zip(levels, levels[1:]):
        if before - after > gap:
            current = 1
        else:
            current += 1
        if current > best:
            print("new best", current)
            best = current
    return best
"""
JAVASCRIPT_REFORMATTED = """\
export function paginate(ledger, limit)
{
    const pages = [];
    let page = [],
        total = 0; /* of this page */
    for (const entry of ledger)
    {
        // would it be too much?
        if (total + entry.amount > limit
            && page.length > 0)
        {
            pages.push(page); page = []; total = 0;
        }
        page.push(entry);
        total += entry.amount;
    }
    if (page.length > 0) pages.push(page);
    return pages;
}
"""
JAVASCRIPT_RENAMED = """\
function chunk(items, budget) {
  const chunks = [];
  let open = [], used = 0;
  for (const item of items) {
    if (used + item.size > budget && open.count > 0) {
      chunks.add(open);
      open = [];
      used = 0;
    }
    open.add(item);
    used += item.size;
  }
  if (open.count > 0) chunks.add(open);
  return chunks;
}
"""
DOCSTRING_ALONE = (
    "# Notes\n\nTask 7: give the length of the longest stretch of water levels in which no level falls below the one\n"
    "before it by more than the gap that is allowed. Example: longest_rise([3, 4, 1, 2], 1) is 2.\n"
)
COPIES = {
    "py/verbatim.py": ("Python", "import os\n\n\n" + whole(PYTHON) + "\n\nprint(longest_rise([1], 2))\n"),
    "py/reformatted.py": ("Python", PYTHON_REFORMATTED),
    "py/renamed.py": ("Python", PYTHON_RENAMED),
    "py/partial.py": ("Python", PYTHON_PARTIAL),
    "js/verbatim.js": ("JavaScript", "'use strict';\n" + whole(JAVASCRIPT)),
    "js/reformatted.js": ("JavaScript", JAVASCRIPT_REFORMATTED),
    "js/renamed.js": ("JavaScript", JAVASCRIPT_RENAMED),
    "notes.md": ("Markdown", DOCSTRING_ALONE),
    "py/short.py": ("Python", "A = 1\n\n\ndef doubled_tide( level ):  # twice\n    return level*2\n"),
}
DECOYS = {
    # The same signature, imports and first line of the docstring, another body.
    "decoy/signature.py": (
        "Python",
        "from typing import List\n\n\ndef longest_rise(levels: List[int], gap: int) -> int:\n"
        '    """Give the length of the longest stretch."""\n'
        "    lengths = [0]\n    while levels:\n        head = levels.pop()\n        lengths.append(head % gap)\n"
        "    return sorted(lengths)[-1]\n",
    ),
    # The same calls in another order and for another purpose.
    "decoy/api.py": (
        "Python",
        "def widths(levels):\n    pairs = list(zip(levels, levels[1:]))\n    best = max(after - before for before, after in pairs)\n"
        "    for before, after in zip(levels, levels[1:]):\n        print(before, after, max(best, before))\n    return best\n",
    ),
    "decoy/boilerplate.py": (
        "Python",
        "#!/usr/bin/env python\nimport argparse\nimport sys\nfrom typing import List\n\n\ndef main() -> int:\n"
        "    parser = argparse.ArgumentParser(description=__doc__)\n    args = parser.parse_args()\n    return 0\n\n\n"
        "if __name__ == '__main__':\n    sys.exit(main())\n",
    ),
    "decoy/loop.js": (
        "JavaScript",
        "function total(ledger, limit) {\n  let total = 0;\n  for (const entry of ledger) {\n"
        "    if (total + entry.amount > limit) {\n      return limit;\n    }\n    total += entry.amount;\n  }\n"
        "  return total;\n}\n",
    ),
    "decoy/short.py": ("Python", "def doubled_tide(level):\n    return level + 2\n"),
}
