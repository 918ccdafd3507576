"""Which SPDX expressions count as permissive."""

from __future__ import annotations

import pytest

from worker.data.licences import Freedom, freedom, is_permissive


@pytest.mark.parametrize(
    "spdx",
    [
        "MIT",
        "mit",
        "Apache-2.0 WITH LLVM-exception",
        "BSD-2-Clause-FreeBSD",
        "CC0-1.0",
        "Unlicense",
        "Artistic-2.0",
        "MIT OR GPL-3.0-only",
        "(MIT AND BSD-3-Clause) OR LGPL-2.1-only",
        "MIT/Apache-2.0",
    ],
)
def test_permissive(spdx):
    assert is_permissive(spdx)


@pytest.mark.parametrize(
    "spdx",
    [
        "GPL-3.0-only",
        "GPL-2.0+",
        "AGPL-3.0",
        "MPL-2.0",
        "CC-BY-SA-4.0",
        "BUSL-1.1",
        "MIT AND GPL-3.0-only",
        "GPL-2.0-only WITH Classpath-exception-2.0",
        "GPL-3.0-only AND Made-Up",
    ],
)
def test_restricted(spdx):
    assert freedom(spdx) is Freedom.RESTRICTED


@pytest.mark.parametrize(
    "spdx", ["", "unknown", "NOASSERTION", "Made-Up", "MIT AND Made-Up", "see LICENSE file", "MIT AND"]
)
def test_nothing_is_known(spdx):
    assert freedom(spdx) is Freedom.UNKNOWN
    assert not is_permissive(spdx)


def test_an_unknown_choice_does_not_spoil_a_known_one():
    assert is_permissive("MIT OR Made-Up")


def test_own_licences_can_be_let_in():
    ours = frozenset({"LicenseRef-Acme"})
    assert freedom("LicenseRef-Acme AND MIT", ours) is Freedom.PERMISSIVE
    assert freedom("LicenseRef-acme", ours) is Freedom.PERMISSIVE
    assert freedom("LicenseRef-Other", ours) is Freedom.UNKNOWN
