"""The catalogue of cleaning steps: what each does, its parameters, the reasons it gives, and the order of all.

Pure data, shared by the control plane (which draws the recipe's editor from it) and the worker (which runs it). A
recipe is a list of names and parameters in the catalogue's order; `problems` says what is wrong with one, by step and
parameter. `fixed` steps belong to every ingest and are not named in a recipe. A step's `version` changes when the same
parameters may judge a row otherwise: the keys of finished work hash it. Nothing here runs a step.
"""

from __future__ import annotations

from worker.cleaning.catalogue import CATALOGUE, CHOSEN, LARGEST_FILE_BYTES, REASONS, STEPS
from worker.cleaning.model import CONTENT, DATASET, FILES, PLACES, Parameter, Reason, Step
from worker.cleaning.recipes import completed, problems, with_parameters

__all__ = [
    "CATALOGUE",
    "CHOSEN",
    "CONTENT",
    "DATASET",
    "FILES",
    "LARGEST_FILE_BYTES",
    "PLACES",
    "REASONS",
    "STEPS",
    "Parameter",
    "Reason",
    "Step",
    "completed",
    "problems",
    "with_parameters",
]
