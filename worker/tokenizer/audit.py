"""What can be wrong with special tokens, checked before anything is packed with them.

Each finding is {"check", "level": "ok" | "warning" | "error", "detail"}. An error makes an import refuse; warnings are
shown. Nothing here changes the tokenizer.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tokenizers import Tokenizer

from worker.tokenizer.special import CHAT, ROLES, vocabulary_size

Finding = dict[str, str]
LOOKS_SPECIAL = re.compile(r"^(<\|.{1,40}\|>|<[a-z]+[_-][a-z_-]{1,30}>|▁?<(PRE|SUF|MID|EOT)>|\[/?[A-Z]{3,12}\])$")
SHOWN = 5


def audit(
    tokenizer: Tokenizer, raw: Mapping[str, Any], roles: Mapping[str, str], added: set[str], config: Mapping[str, Any]
) -> list[Finding]:
    """`raw` is the tokenizer.json, `roles` as of special.find_roles, `added` the tokens that an import had to add."""
    return [
        *_roles(tokenizer, roles, added),
        *_ids(tokenizer, raw),
        *_splitting(tokenizer, raw),
        *_greedy(raw),
        _chat(tokenizer, config),
    ]


def has_errors(findings: list[Finding]) -> bool:
    return any(finding["level"] == "error" for finding in findings)


def _finding(check: str, level: str, detail: str) -> Finding:
    return {"check": check, "level": level, "detail": detail}


def _roles(tokenizer: Tokenizer, roles: Mapping[str, str], added: set[str]) -> Iterator[Finding]:
    for role in ROLES:
        token = roles.get(role)
        if token is None:
            yield _finding(role, "error", "no token has this role")
        else:
            here = f"{token} is {tokenizer.token_to_id(token)}"
            yield _finding(role, "ok", f"{here}, added by the import" if token in added else here)
    shared = [token for token, n in Counter(roles.values()).items() if n > 1]
    if shared:
        yield _finding("roles differ", "warning", f"{', '.join(shared)} has several roles: ends and padding look alike")


def _ids(tokenizer: Tokenizer, raw: Mapping[str, Any]) -> Iterator[Finding]:
    size, n_tokens = vocabulary_size(tokenizer), tokenizer.get_vocab_size()
    by_id: dict[int, set[str]] = {}
    for token, number in [*raw["model"]["vocab"].items(), *((t["content"], t["id"]) for t in raw["added_tokens"])]:
        by_id.setdefault(number, set()).add(token)
    clashes = [f"{number}: {' and '.join(sorted(tokens))}" for number, tokens in by_id.items() if len(tokens) > 1]
    if clashes:
        yield _finding("ids are unique", "error", "; ".join(clashes[:SHOWN]))
    else:
        yield _finding("ids are unique", "ok", f"{n_tokens:,} tokens")
    if size != n_tokens:
        yield _finding("ids are dense", "warning", f"{size - n_tokens} ids below {size} belong to no token")
    else:
        yield _finding("ids are dense", "ok", f"0 to {size - 1}")


def _splitting(tokenizer: Tokenizer, raw: Mapping[str, Any]) -> Iterator[Finding]:
    """A token that looks special but is none is cut up by the pre-tokeniser: its embedding is never used."""
    special = {token["content"] for token in raw["added_tokens"]}
    split = [token for token in raw["model"]["vocab"] if LOOKS_SPECIAL.match(token) and token not in special]
    broken = [token for token in special if tokenizer.encode(token, add_special_tokens=False).tokens != [token]]
    if broken:
        yield _finding(
            "special tokens stay whole", "error", f"cut when written out: {', '.join(sorted(broken)[:SHOWN])}"
        )
    elif split:
        shown = ", ".join(sorted(split)[:SHOWN])
        yield _finding("special tokens stay whole", "warning", f"in the vocabulary but not declared special: {shown}")
    else:
        yield _finding("special tokens stay whole", "ok", f"{len(special)} special tokens")


def _greedy(raw: Mapping[str, Any]) -> Iterator[Finding]:
    flags = ("lstrip", "rstrip")
    eating = [token["content"] for token in raw["added_tokens"] if any(token.get(flag) for flag in flags)]
    if eating:
        shown = ", ".join(sorted(eating)[:SHOWN])
        yield _finding("special tokens keep blanks", "warning", f"these swallow the blanks beside them: {shown}")
    plain = [token["content"] for token in raw["added_tokens"] if not token["special"]]
    if plain:
        shown = ", ".join(repr(token) for token in sorted(plain)[:SHOWN])
        yield _finding(
            "added words", "warning", f"{len(plain)} added tokens are not special and match in any text: {shown}"
        )


def _chat(tokenizer: Tokenizer, config: Mapping[str, Any]) -> Finding:
    found = [token for token in CHAT if tokenizer.token_to_id(token) is not None]
    template = "with a chat template" if config.get("chat_template") else "without a chat template"
    return _finding("chat", "ok", f"{', '.join(found)}; {template}" if found else f"no chat tokens, {template}")
