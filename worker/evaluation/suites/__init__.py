"""Suites of problems, whatever file they come from, as one record.

    problem.py   the record, and how it becomes a program
    formats.py   a reader for each published format; a row's fields say which it is
    load.py      files, folders and built-in names to a Suite, whose version is the hash of what decides its scores

Our own format is the record itself, one JSON object a line. starter.jsonl (8 languages) and starter-python.jsonl are
written in it for this project. Nothing here runs a program: whether a problem is any good is admission's affair.
"""

from worker.evaluation.suites.load import SCORER_FOLDER, Script, Suite, load_suite
from worker.evaluation.suites.problem import FUNCTION_STOPS, Problem

__all__ = ["FUNCTION_STOPS", "SCORER_FOLDER", "Problem", "Script", "Suite", "load_suite"]
