"""Scores: a model version against a suite of problems, and against held-out text.

suites.py       any suite's problems as one record, with a content hash for its version
generate.py     completions, through the engine that serves (the only thing taken from worker.serving)
judging.py      programs to verdicts, in worker.sandbox
pass_at_k.py    the estimator and its interval
held_out.py     perplexity and bits per byte
score.py        everything a page says about an evaluation
stage.py        evaluate_model: the order of it, and what survives a killed attempt (journal.py)
"""
