"""OpenAI's own client, unmodified, against the site: it needs only a base URL and a token."""

from __future__ import annotations

import openai
import pytest

from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def connect(web, served, project, grace):
    def make(*scopes, key=None):
        secret = key or factories.token(project, grace, *scopes, name=f"token {scopes}")[1]
        return openai.OpenAI(base_url=f"{web.url}/v1", api_key=secret, max_retries=0, timeout=30)

    return make


ASKED = {"model": "completer", "prompt": "def add", "max_tokens": 4}


def test_it_lists_models(connect):
    assert [model.id for model in connect().models.list()] == ["completer@production"]


def test_it_completes(connect):
    answer = connect().completions.create(**ASKED, temperature=0.2, stop=["\n\n"], seed=1, n=2, user="grace")
    assert [choice.text for choice in answer.choices] == ["def add def add "] * 2
    assert answer.usage.completion_tokens == 8
    assert answer.id.startswith("cmpl-")


def test_it_streams_with_usage(connect):
    stream = connect().completions.create(**ASKED, stream=True, stream_options={"include_usage": True})
    *parts, last = list(stream)
    assert "".join(part.choices[0].text for part in parts) == "def add def add "
    assert parts[-1].choices[0].finish_reason == "length" or parts[-2].choices[0].finish_reason == "length"
    assert last.usage.total_tokens == last.usage.prompt_tokens + 4


def test_it_fills_in_the_middle(connect, served):
    connect().completions.create(**ASKED, suffix="\nprint(add(1, 2))")
    assert served.triton.requests[-1]["suffix"] == "\nprint(add(1, 2))"


def test_its_exceptions_are_the_ones_it_knows(connect):
    with pytest.raises(openai.AuthenticationError):
        connect(key="yard_nothing").models.list()
    with pytest.raises(openai.PermissionDeniedError):
        connect("read").completions.create(**ASKED)
    with pytest.raises(openai.NotFoundError, match="no live deployment for you"):
        connect().completions.create(**{**ASKED, "model": "gpt"})
    with pytest.raises(openai.BadRequestError, match="max_tokens"):
        connect().completions.create(**{**ASKED, "max_tokens": 0})
