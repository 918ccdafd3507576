"""What people fill in: each form's cleaned data is what an action takes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from django import forms

from controlplane.access.models import Project
from controlplane.ui.choices import RowField, RowsForm
from datasets_app import comparing, documents, encoding, vocabulary
from datasets_app.models import DatasetVersion, Tokenizer


class TokenizerForm(RowsForm):
    name = forms.SlugField(max_length=80)
    dataset_version = RowField(DatasetVersion)
    vocabulary_size = forms.IntegerField(min_value=300, max_value=200_000, initial=4096)
    sample_bytes = forms.IntegerField(min_value=10_000, initial=40_000_000, help_text="Of the train split, at random.")
    reserved_tokens = forms.IntegerField(min_value=0, max_value=256, initial=16, help_text="Kept for later sentinels.")
    pre_tokenizer = forms.ChoiceField(
        label="Pre-tokenisation",
        required=False,
        choices=[
            ("gpt2", "GPT-2: a blank goes with the word after it, digits stay together"),
            ("gpt4", "GPT-4: at most three digits together; merges are learnt about 10 times slower"),
            ("qwen2", "Qwen2: every digit by itself; merges are learnt about 10 times slower"),
        ],
        help_text="Where text is cut before any merge.",
    )
    special_tokens = forms.CharField(
        required=False,
        max_length=2_000,
        widget=forms.Textarea(attrs={"rows": 2}),
        label="More special tokens",
        help_text=(
            "Beside those for the end of text, fill-in-the-middle and padding, which are always there. Separated by "
            "blanks: <code>&lt;|im_start|&gt; &lt;|im_end|&gt;</code>"
        ),
    )
    seed = forms.IntegerField(min_value=0, initial=17)

    def clean_pre_tokenizer(self) -> str:
        return self.cleaned_data["pre_tokenizer"] or "gpt2"

    def clean_special_tokens(self) -> list[str]:
        return _distinct(self.cleaned_data["special_tokens"].split())

    def parameters(self) -> dict[str, Any]:
        return {name: value for name, value in self.cleaned_data.items() if name not in {"name", "dataset_version"}}


class ImportTokenizerForm(RowsForm):
    """A tokenizer that exists already; the dataset version is what its fertility is measured on."""

    name = forms.SlugField(max_length=80)
    import_from = forms.CharField(
        max_length=500,
        label="Tokenizer",
        help_text=(
            "A folder with tokenizer.json that the workers can read, an address such as <code>s3://bucket/folder</code>, "
            "<code>hf:org/name</code> from the Hugging Face hub, or <code>gpt2</code>, which the workers have with them."
        ),
    )
    dataset_version = RowField(DatasetVersion, label="Measured on", help_text="The held-out text of this version.")
    seed = forms.IntegerField(min_value=0, initial=17)

    def clean_import_from(self) -> str:
        location: str = self.cleaned_data["import_from"].strip()
        if location != "gpt2" and not location.startswith(("/", "hf:")) and "://" not in location:
            raise forms.ValidationError("Give an absolute path, an address, hf:org/name or gpt2.")
        return location

    def parameters(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in ("import_from", "seed")}


class CompareForm(RowsForm):
    """Which tokenizers to put side by side (`ids`, and one to `add`), and the text to cut."""

    ids = forms.CharField(required=False, max_length=500, widget=forms.HiddenInput)
    add = RowField(Tokenizer, required=False, label="Add a tokenizer")
    text = forms.CharField(
        required=False,
        strip=False,
        max_length=encoding.MAX_CHARACTERS,
        label="Text",
        widget=forms.Textarea(attrs={"rows": 9, "spellcheck": "false", "class": "mono"}),
    )

    def chosen(self, project: Project) -> list[Tokenizer]:
        """In the order they were named, `add` last; ids of other projects' rows lead to nothing."""
        asked = [pk.replace("\0", "") for pk in self.data.get("ids", "").split(",")]
        found = {row.pk: row for row in Tokenizer.objects.for_list(project).ready().filter(pk__in=asked)}
        rows = [found[pk] for pk in asked if pk in found]
        added = self.cleaned_data.get("add") if self.is_valid() else None
        if added is not None and added.pk not in found:
            rows.append(Tokenizer.objects.for_list(project).get(pk=added.pk))
        return rows[-comparing.MOST :]

    def snippet(self) -> str:
        """What was typed, or an example; nothing of what is too long."""
        asked: str = self.cleaned_data.get("text", "") if self.is_valid() or self.cleaned_data else ""
        # Browsers send line ends as CR LF, which no training text has.
        return asked.replace("\r\n", "\n") if "text" in self.data else comparing.SNIPPET


class VocabularyForm(forms.Form):
    """Which tokens to show; all fields may be missing."""

    text = forms.CharField(required=False, strip=False, max_length=100)
    shown = forms.ChoiceField(required=False, choices=[(name, label) for name, (label, _) in vocabulary.SHOWN.items()])
    order = forms.ChoiceField(required=False, choices=[(name, name) for name in vocabulary.ORDERS])
    below = forms.IntegerField(required=False, min_value=1, max_value=1_000_000)
    page = forms.IntegerField(required=False, min_value=0, max_value=100_000)

    def clean(self) -> dict[str, Any]:
        cleaned = {name: value for name, value in (super().clean() or {}).items() if value not in {"", None}}
        defaults = {"text": "", "shown": "all", "order": "id", "below": vocabulary.DEFAULT_BELOW, "page": 0}
        return defaults | cleaned


class ShardsForm(RowsForm):
    dataset_version = RowField(DatasetVersion)
    tokenizer = RowField(Tokenizer)
    sequence_length = forms.IntegerField(min_value=16, max_value=65_536, initial=256, label="Sequence length, tokens")
    units = forms.ChoiceField(
        choices=[("functions", "functions and small classes (Python), else files"), ("documents", "whole files")]
    )
    max_tokens = forms.IntegerField(required=False, min_value=1000, label="At most, tokens")
    boundaries = forms.BooleanField(
        required=False,
        label="Record document boundaries",
        help_text="Each sample says where its units begin, for trainers that keep attention within them.",
    )
    seed = forms.IntegerField(min_value=0, initial=17)

    def parameters(self) -> dict[str, Any]:
        inputs = {"dataset_version", "tokenizer"}
        return {name: value for name, value in self.cleaned_data.items() if name not in inputs}


class SampleSearchForm(forms.Form):
    """Which samples of a shard set to list: of a split, from a number on, or those that hold a document."""

    split = forms.ChoiceField(required=False)
    first = forms.IntegerField(required=False, min_value=0, max_value=2**40)
    document = forms.CharField(required=False, max_length=64)

    def __init__(self, *args: Any, splits: Mapping[str, int], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.splits = splits
        field = self.fields["split"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(split, split.replace("_", " ")) for split in splits]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        split = cleaned.get("split") or next(iter(self.splits), "")
        last = max(self.splits.get(split, 0) - 1, 0)
        document = cleaned.get("document", "").replace("\0", "").strip()
        return {"split": split, "first": min(cleaned.get("first") or 0, last), "document": document}


class RowSearchForm(forms.Form):
    """Which rows of a dataset version to show; all fields may be empty. Ranges are what a histogram's bars ask for."""

    path = forms.CharField(required=False, label="Path contains")
    content = forms.CharField(required=False, strip=False, label="Content contains")
    id = forms.CharField(required=False, max_length=64, label="Id begins with")
    language = forms.CharField(required=False)
    source = forms.CharField(required=False)
    repository = forms.CharField(required=False, max_length=300, label="Repository contains")
    author = forms.CharField(required=False, max_length=300, label="Author contains")
    license = forms.CharField(required=False, label="Licence")
    split = forms.ChoiceField(
        required=False,
        choices=[
            ("", "any split"),
            ("train", "train"),
            ("held_out", "held out"),
            ("held_out_source", "held-out source"),
        ],
    )
    outcome = forms.ChoiceField(
        required=False,
        choices=[("", "kept rows"), ("dropped", "dropped rows")],
        widget=forms.Select(attrs={"aria-label": "Kept or dropped"}),
    )
    reason = forms.ChoiceField(required=False)
    size_from = forms.IntegerField(required=False, min_value=0, max_value=2**62, label="Bytes from")
    size_to = forms.IntegerField(required=False, min_value=0, max_value=2**62, label="Bytes to")
    tokens_from = forms.IntegerField(required=False, min_value=0, max_value=2**62, label="Tokens from")
    tokens_to = forms.IntegerField(required=False, min_value=0, max_value=2**62, label="Tokens to")
    longest_from = forms.IntegerField(required=False, min_value=0, max_value=2**31, label="Longest line from")
    longest_to = forms.IntegerField(required=False, min_value=0, max_value=2**31, label="Longest line to")

    MAIN = ("path", "content", "language", "outcome")

    def __init__(self, *args: Any, reasons: Iterable[str] = (), knows_origins: bool = True, **options: Any) -> None:
        super().__init__(*args, **options)
        self.knows_origins = knows_origins
        field = self.fields["reason"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", "any reason"), *((code, code) for code in reasons)]

    @property
    def is_for_dropped(self) -> bool:
        return bool(self.cleaned_data["outcome"] or self.cleaned_data["reason"])

    def unanswered(self) -> list[str]:
        """Labels of what was asked for and is not known of dropped rows."""
        names = set(self.fields) - {"outcome", *documents.OF_DROPPED}
        return self._asked(names) if self.is_for_dropped else []

    def unknown(self) -> list[str]:
        """Labels of what was asked for and no row of this version carries."""
        return [] if self.knows_origins else self._asked(documents.ORIGINS)

    def _asked(self, names: Collection[str]) -> list[str]:
        asked = [name for name in self.fields if name in names and self.cleaned_data.get(name) not in ("", None)]
        return [str(self[name].label).lower() for name in asked]

    def more(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name not in self.MAIN]

    def is_narrowed(self) -> bool:
        """Is one of the fields asked for that are folded away?"""
        return any(field.value() not in ("", None) for field in self.more())


def _distinct(names: list[str]) -> list[str]:
    """As they are; refuses one that is named twice."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise forms.ValidationError(f"Named twice: {', '.join(twice)}.")
    return names
