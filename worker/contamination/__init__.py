"""Whether the problems of a suite stand in a dataset's training rows, and where.

    grams.py    tokens of text and code, their n-grams, and one pass over documents that looks them up: machine code
    probes.py   what to look for: a problem's words, and its right solution as code
    verify.py   whether a document that shares n-grams holds the problem, how alike, and how it was changed
    scan.py     one part of a dataset: hits, candidates, verified matches
    stage.py    find_contamination: all parts over the data engine, and the summary

What a score is without the problems that were found is the control plane's affair (eval_app.contamination).
"""
