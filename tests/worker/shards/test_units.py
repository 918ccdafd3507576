"""What a unit is, and that its text is found again in the document."""

from __future__ import annotations

import pytest

from worker.shards.units import Unit, original_positions, python_units, unit_text

SMALL = "class Small:\n    def m(self):\n        return 1\n"
LONG = "class Long:\n    x = 1\n\n" + "".join(f"    def m{i}(self):\n        return {i}\n\n" for i in range(12))


def texts(content: str) -> dict[str, str]:
    return {unit.name: unit_text(content, unit.start, unit.end, unit.dedent) for unit in python_units(content)}


def test_functions_and_small_classes_are_units_and_methods_of_long_ones():
    found = texts(f"import os\n\ndef f(a):\n    return a\n\n{SMALL}\n{LONG}")
    assert found["f"] == "def f(a):\n    return a\n"
    assert found["Small"] == SMALL
    assert found["Long.m3"] == "def m3(self):\n    return 3\n"
    assert "Long" not in found and "Small.m" not in found


def test_decorators_and_async_belong_to_the_unit():
    assert texts("@cache\n@other(\n  1)\nasync def f():\n    pass\n")["f"].startswith("@cache\n@other(")


def test_definitions_inside_conditions_are_found():
    content = "try:\n    import x\nexcept ImportError:\n    def f():\n        pass\n"
    content += "if 1:\n    pass\nelse:\n    def g():\n        pass\n"
    assert texts(content) == {"f": "def f():\n    pass\n", "g": "def g():\n    pass\n"}


def test_a_unit_at_the_end_without_a_newline_is_whole():
    assert texts("def f(): return 1") == {"f": "def f(): return 1"}


def test_strings_that_hang_out_of_the_block_keep_their_lines():
    content = f'{LONG}    def doc(self):\n        """one\ntwo\n  three\n        """\n        return é\n'
    assert texts(content)["Long.doc"] == 'def doc(self):\n    """one\ntwo\nthree\n    """\n    return é\n'


def test_form_feeds_and_other_line_marks_do_not_shift_spans():
    content = "x = 'é\u2028'\n\x0c\ndef f():\n    s = '\x1c'\n    return s\n" + LONG
    found = texts(content)
    assert found["f"] == "def f():\n    s = '\x1c'\n    return s\n"
    assert found["Long.m11"] == "def m11(self):\n    return 11\n"


@pytest.mark.parametrize("content", ["print 'x'\n", "def f(:\n", "a\0b", "(" * 5000])
def test_what_does_not_parse_has_no_units(content):
    assert python_units(content) is None


def test_positions_point_at_the_same_characters():
    content = f'{LONG}    def doc(self):\n        """one\ntwo\n\n  three"""\n        return 1'
    for unit in [*python_units(content), Unit("", 0, len(content))]:
        text = unit_text(content, unit.start, unit.end, unit.dedent)
        positions = original_positions(content, unit)
        assert "".join(content[position] for position in positions) == text


def test_any_piece_of_a_unit_is_found_again_by_its_span():
    content = f'{LONG}    def doc(self):\n        """one\ntwo\n\n  three"""\n        return 1\n'
    unit = python_units(content)[-1]
    text = unit_text(content, unit.start, unit.end, unit.dedent)
    positions = original_positions(content, unit)
    for start in range(len(text)):
        for end in range(start + 1, len(text) + 1):
            span = positions[start], positions[end - 1] + 1
            assert unit_text(content, *span, unit.dedent) == text[start:end]
