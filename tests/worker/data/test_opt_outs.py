"""The list of those who asked to be left out: what a rule covers, and what a list says when it is wrong."""

from __future__ import annotations

import pytest

from worker.data.opt_outs import OptOutError, read_opt_outs
from worker.sources import repository_name

LIST = """
# asked on 3 May
repo: ada/engine
repo: grace/*
path: secret/*
path: linus/kernel:drivers/gpu/*.c
author: Ada@Example.org
author: Grace Hopper
"""


@pytest.mark.parametrize(
    ("names", "path", "author", "rule"),
    [
        (["ada/engine"], "a.py", None, "repo: ada/engine"),
        (["grace/cobol", "a source"], "a.py", None, "repo: grace/*"),
        (["ada/other"], "a.py", None, None),
        (["Ada/engine"], "a.py", None, None),
        ([None], "secret/deep/a.py", None, "path: secret/*"),
        ([None], "public/secret/a.py", None, None),
        (["linus/kernel"], "drivers/gpu/x/y.c", None, "path: linus/kernel:drivers/gpu/*.c"),
        (["other"], "drivers/gpu/x/y.c", None, None),
        ([None], "a.py", "Ada L <ada@example.org>", "author: ada@example.org"),
        ([None], "a.py", "grace hopper <x@y.z>", "author: grace hopper"),
        ([None], "a.py", "Ada", None),
        ([None], "a.py", "Eve <e@v.e>; ADA@EXAMPLE.ORG", "author: ada@example.org"),
    ],
)
def test_rule_for(names, path, author, rule):
    assert read_opt_outs(LIST).rule_for(names, path, author) == rule


def test_every_wrong_line_is_named():
    with pytest.raises(OptOutError) as error:
        read_opt_outs("repo: a/b\nowner: c\npath:\nrepo: *\nplain words\n")
    assert error.value.problems == (
        "Line 2: it begins with none of repo:, path:, author:",
        "Line 3: nothing stands behind path:",
        "Line 4: repo: * would leave out everything",
        "Line 5: it begins with none of repo:, path:, author:",
    )


def test_an_empty_list_covers_nobody():
    assert read_opt_outs("\n# nobody yet\n").rule_for(["a/b"], "a.py", "Ada") is None


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("ada/tool", "ada/tool"),
        ("https://github.com/ada/tool", "ada/tool"),
        ("git+https://www.github.com/ada/tool.git#readme", "ada/tool"),
        ("git@github.com:ada/tool.git", "ada/tool"),
        ("ssh://git@forge.example:2222/team/tool.git/", "forge.example/team/tool"),
        ("github.com/ada/*", "ada/*"),
        ("tool-1.0", "tool-1.0"),
        ("", ""),
    ],
)
def test_a_repository_goes_by_one_name_however_it_is_written(written, name):
    assert repository_name(written) == name
    if name:
        assert read_opt_outs(f"repo: {written}").rule_for([name.replace("*", "x")], "a.py", None) == f"repo: {written}"
