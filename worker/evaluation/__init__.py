"""Scores: a model version against a suite of problems, and against held-out text.

suites/         any suite's problems as one record, with a content hash for its version
runtimes/       the languages that programs can be judged in here
admission.py    which problems tell right from wrong on this machine; only those count
admit.py        admit_suite: the order of it, and the receipt that evaluate_model finds
generate.py     completions, through the engine that serves (the only thing taken from worker.serving)
scorers.py      how one completion is judged: by running it, by its text, or by a script of the suite's
judging.py      many of them, two at a time, kept as they end
pass_at_k.py    the estimator and its interval
held_out.py     perplexity and bits per byte
score.py        everything a page says about an evaluation
stage.py        evaluate_model: the order of it, and what survives a killed attempt (journal.py)
"""
