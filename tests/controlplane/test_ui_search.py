"""The search language reads what MLflow's users type, and points at the character that it cannot read."""

import pytest

from controlplane.ui.search import And, Comparison, Or, QueryError, parse


def flat(node):
    """Comparisons as (scope, name, operator, value), joins as (word, ...): trees that can be read in a test."""
    if isinstance(node, Comparison):
        return (node.scope, node.name, node.operator, node.value)
    return ("and" if isinstance(node, And) else "or", *map(flat, node.parts))


def test_the_example_of_the_manual_is_read():
    text = """metrics.loss < 2 and params.lr = "0.001" and tags.x = 'y' and status = "failed\""""
    assert flat(parse(text)) == (
        "and",
        ("metrics", "loss", "<", 2.0),
        ("params", "lr", "=", "0.001"),
        ("tags", "x", "=", "y"),
        ("", "status", "=", "failed"),
    )


@pytest.mark.parametrize("name", ["metrics.loss/val", "metrics.`loss/val`", 'metrics."loss/val"', "metric.`loss/val`"])
def test_a_name_with_a_slash_may_be_quoted_or_bare(name):
    assert flat(parse(f"{name} >= 1e-3")) == ("metrics", "loss/val", ">=", 0.001)


def test_and_binds_closer_than_or_and_parentheses_closer_than_both():
    assert flat(parse("a=1 or b=2 and c=3"))[0] == "or"
    tree = parse("(a=1 OR b=2) AND c=3")
    assert isinstance(tree, And)
    assert isinstance(tree.parts[0], Or)


def test_like_in_and_escapes():
    assert flat(parse("name ILIKE '%heron%'")) == ("", "name", "ilike", "%heron%")
    assert flat(parse("status in ('failed', crashed)")) == ("", "status", "in", ("failed", "crashed"))
    assert flat(parse(r"tags.x = 'it\'s'")) == ("tags", "x", "=", "it's")
    assert flat(parse("attributes.name = brave-heron-12")) == ("", "name", "=", "brave-heron-12")


def test_nothing_typed_is_no_condition():
    assert parse("  ") is None


@pytest.mark.parametrize(
    ("text", "position", "says"),
    [
        ("metrics.loss <", 14, "a number or a text"),
        ("metrics.loss 2", 13, "one of ="),
        ("tags.x = 'y", 9, "never closed"),
        ("a = 1 and", 9, "a name"),
        ("a = 1 b = 2", 6, "“and”, “or” or the end"),
        ("(a = 1", 6, "“)”"),
        ("a = 1)", 5, "the end"),
        ("metrics. = 1", 9, "after the dot"),
        ("a = 1 & b = 2", 6, "means nothing"),
        ("a like 5", 7, "text in quotes"),
        ("a in 5", 5, "“(”"),
        ("a = and b = 2", 4, "a number or a text"),
        ("(" * 21 + "a=1" + ")" * 21, 20, "20 deep"),
        ("a" * 2001, 2000, "2,000 characters"),
    ],
)
def test_a_bad_query_is_pointed_at(text, position, says):
    with pytest.raises(QueryError) as caught:
        parse(text)
    assert caught.value.position == position
    assert says in caught.value.message


def test_the_pointer_lies_under_the_character():
    with pytest.raises(QueryError) as caught:
        parse("a = 1\nand b ! 2")
    assert caught.value.pointed("a = 1\nand b ! 2") == "and b ! 2\n      ^"


def test_a_comparison_knows_where_it_was_written():
    tree = parse("a = 1 and typo.b = 2")
    assert tree.parts[1].position == 10
