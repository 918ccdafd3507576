"""The search language of the lists: metrics.loss < 2 and params.lr = "0.001" and tags.x = 'y' and status = "failed".

The grammar is MLflow's filter_string, plus `or` and parentheses:

    query      := any? end
    any        := all ("or" all)*
    all        := one ("and" one)*
    one        := "(" any ")" | name operator value
    name       := part ("." part)?          part may be in `backticks` or "double quotes": metrics.`loss/val`
    operator   := = != < <= > >= like ilike in
    value      := number | 'text' | "text" | bare word | "(" value ("," value)* ")" after `in`

Only text to tree: which names exist and what they mean is the list's business, which raises QueryError itself with the
comparison's position for a name it does not know.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "like", "ilike", "in"]
Scalar = float | str
OPERATORS = frozenset({"=", "!=", "<", "<=", ">", ">=", "like", "ilike", "in"})
SCOPES = {"metric": "metrics", "param": "params", "tag": "tags", "attribute": "attributes", "attr": "attributes"}
MAX_LENGTH = 2_000
MAX_DEPTH = 20  # parentheses; each is a level of Python's stack here and of the database's later


class QueryError(ValueError):
    """A query that cannot be read. `position` is the index of the character at fault, from 0; len(text) is its end."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.message = message
        self.position = position

    def pointed(self, text: str) -> str:
        """The query's line and a caret under the character, in two lines for a fixed-width font."""
        start = text.rfind("\n", 0, self.position) + 1
        line = text[start:].split("\n", 1)[0].replace("\t", " ")
        return f"{line}\n{' ' * (self.position - start)}^"


@dataclass(frozen=True)
class Comparison:
    """`scope` is "" for a plain name such as status; `value` is a tuple after `in` and one value otherwise."""

    scope: str
    name: str
    operator: Operator
    value: Scalar | tuple[Scalar, ...]
    position: int


@dataclass(frozen=True)
class And:
    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Or:
    parts: tuple[Node, ...]


Node = Comparison | And | Or


@dataclass(frozen=True)
class Token:
    kind: str  # word, number, single, double, backtick, operator, punctuation, end
    text: str
    position: int


TOKEN = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w/-]))
    | (?P<single>'(?:[^'\\]|\\.)*')
    | (?P<double>"(?:[^"\\]|\\.)*")
    | (?P<backtick>`[^`]+`)
    | (?P<operator><=|>=|!=|=|<|>)
    | (?P<punctuation>[().,])
    | (?P<word>[\w][\w/-]*)
    """,
    re.VERBOSE | re.DOTALL,
)


def tokens(text: str) -> list[Token]:
    found: list[Token] = []
    position = 0
    while position < len(text):
        match = TOKEN.match(text, position)
        if match is None:
            raise stray(text[position], position)
        kind = match.lastgroup or ""
        if kind != "space":
            found.append(Token(kind, match.group(), position))
        position = match.end()
    return [*found, Token("end", "", len(text))]


def stray(character: str, position: int) -> QueryError:
    if character in "'\"`":
        return QueryError("The quote opened here is never closed.", position)
    return QueryError(f"“{character}” means nothing here.", position)


def unquoted(token: Token) -> str:
    if token.kind == "backtick":
        return token.text[1:-1]
    if token.kind in {"single", "double"}:
        return re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL)
    return token.text


def parse(text: str) -> Node | None:
    """The query as a tree, None when it is empty. Raises QueryError, which knows the character at fault."""
    if len(text) > MAX_LENGTH:
        raise QueryError(f"A query has at most {MAX_LENGTH:,} characters; this one has {len(text):,}.", MAX_LENGTH)
    parser = Parser(tokens(text))
    if parser.now.kind == "end":
        return None
    node = parser.any()
    if parser.now.kind != "end":
        raise parser.expected("“and”, “or” or the end")
    return node


class Parser:
    """Recursive descent, one method a rule of the grammar."""

    def __init__(self, found: list[Token]) -> None:
        self.found = found
        self.at = 0
        self.depth = 0

    @property
    def now(self) -> Token:
        return self.found[self.at]

    def step(self) -> Token:
        token = self.now
        self.at += 1
        return token

    def take(self, text: str) -> bool:
        """Step over a keyword or sign, if it is what comes next."""
        if self.now.kind not in {"word", "operator", "punctuation"} or self.now.text.lower() != text:
            return False
        self.at += 1
        return True

    def expected(self, what: str) -> QueryError:
        got = f"“{self.now.text}”" if self.now.text else "the end"
        return QueryError(f"Here {what} was expected, not {got}.", self.now.position)

    def any(self) -> Node:
        parts = [self.all()]
        while self.take("or"):
            parts.append(self.all())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def all(self) -> Node:
        parts = [self.one()]
        while self.take("and"):
            parts.append(self.one())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def one(self) -> Node:
        if not self.take("("):
            return self.comparison()
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise QueryError(f"Parentheses lie at most {MAX_DEPTH} deep.", self.found[self.at - 1].position)
        node = self.any()
        if not self.take(")"):
            raise self.expected("“)”")
        self.depth -= 1
        return node

    def comparison(self) -> Comparison:
        position = self.now.position
        scope, name = "", self.part("a name, such as status or metrics.loss")
        if self.take("."):
            scope, name = SCOPES.get(name.lower(), name.lower()), self.part("a name after the dot")
        operator = self.operator()
        value = self.several() if operator == "in" else self.value()
        if operator in {"like", "ilike"} and not isinstance(value, str):
            raise QueryError(f"“{operator}” takes a text in quotes.", self.found[self.at - 1].position)
        return Comparison("" if scope == "attributes" else scope, name, operator, value, position)

    def part(self, what: str) -> str:
        keyword = self.now.kind == "word" and self.now.text.lower() in {"and", "or", "like", "ilike", "in"}
        if keyword or self.now.kind not in {"word", "backtick", "double"}:
            raise self.expected(what)
        return unquoted(self.step())

    def operator(self) -> Operator:
        text = self.now.text.lower()
        if text not in OPERATORS:
            raise self.expected("one of = != < <= > >= like ilike in")
        self.at += 1
        return text  # type: ignore[return-value]  # it is one of OPERATORS, which are Operator's words

    def value(self) -> Scalar:
        if self.now.kind == "number":
            return float(self.step().text)
        if self.now.kind == "word" and self.now.text.lower() in {"and", "or"}:
            raise self.expected("a number or a text in quotes")
        if self.now.kind in {"single", "double", "word"}:
            return unquoted(self.step())
        raise self.expected("a number or a text in quotes")

    def several(self) -> tuple[Scalar, ...]:
        if not self.take("("):
            raise self.expected("“(” and values with commas between")
        values = [self.value()]
        while self.take(","):
            values.append(self.value())
        if not self.take(")"):
            raise self.expected("“,” or “)”")
        return tuple(values)
