"""Every step, in the order in which they may run, with its parameters, thresholds' sources and reasons. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from worker.cleaning.model import CONTENT, DATASET, FILES, Parameter, Reason, Step

CODEX = "Chen et al. 2021 (Codex), section 3.1"
STARCODER = "Li et al. 2023 (StarCoder), section 3 and appendix A; bigcode-dataset, preprocessing"
STARCODER2 = "Lozhkov et al. 2024 (StarCoder2 and The Stack v2), section 4"
# Never read beyond it, whatever a recipe says: a shard of files is held in memory twice.
LARGEST_FILE_BYTES = 16_000_000
# Linguist hides these from a repository's language bar, where being wrong costs nothing; most of it is people's code.
BROAD_RULES = (
    "cache",
    "dependencies",
    "dist",
    "documentation_theme",
    "fixtures",
    "git",
    "go",
    "python",
    "tool_settings",
    "typescript_declarations",
)


def _bound(name: str, default: float | None, help: str, unit: str = "share", maximum: float = 1) -> Parameter:
    """A bound of the step filters: a number from 0, or off."""
    return Parameter(name, "number", default, help, unit, 0, maximum, optional=True)


CATALOGUE: tuple[Step, ...] = (
    Step(
        "feedback",
        "Completions",
        FILES,
        "Takes the completions that people accepted out of an export.",
        reasons={
            "bad-row": Reason("The line is not an object with the fields of a completion.", "line number"),
            "repeated-row": Reason("The same completion came twice, or the base dataset has it already."),
            "not-accepted": Reason("Nobody accepted this completion."),
        },
        fixed=True,
    ),
    Step(
        "walk",
        "List",
        FILES,
        "Lists what a source holds. Nothing outside of it is followed, and nothing is opened that is not text.",
        reasons={
            "unreadable-folder": Reason("The folder could not be listed."),
            "symlink": Reason(
                "A symbolic link: inside the source its target is read at its own place, outside it is not ours."
            ),
            "special-file": Reason("Neither a file nor a folder (a pipe, socket or device)."),
            "submodule": Reason("A submodule: another repository, which is a source of its own."),
            "unsafe-path": Reason("A path in an archive that leads out of it."),
            "nested-archive": Reason("An archive in an archive; these are not opened."),
            "corrupt-member": Reason("A part of an archive that cannot be unpacked."),
            "corrupt-archive": Reason("The archive is damaged; what came before the damage was taken."),
            "archive-bomb": Reason("It unpacks to far more than an archive of code does; what came before was taken."),
            "corrupt-file": Reason("The data file is damaged; the rows before the damage were taken."),
            "corrupt-row": Reason("The row is no JSON object, or too long to hold."),
            "no-content": Reason("The row has no text in its column of contents."),
            "low-score": Reason("An answer with a lower score than the source asks for."),
            "no-code": Reason("An answer with less code than the source asks for."),
        },
        fixed=True,
    ),
    Step(
        "opt_out",
        "Opt-outs",
        FILES,
        "Leaves out what its authors withdrew: repositories, path patterns and authors, as the opt-out list names them.",
        source="The Stack's opt-out process (Kocetkov et al. 2022, section 3)",
        parameters=(
            Parameter(
                "repositories", "names", (), "Repositories or sources, as owner/name or a pattern of shell type."
            ),
            Parameter("paths", "names", (), "Patterns of paths, as source:pattern or a pattern for every source."),
            Parameter("authors", "names", (), "Authors, by the name or address that their source states."),
        ),
        reasons={"opted-out": Reason("Its author or repository asked to be left out; the entry is beside it.")},
    ),
    Step(
        "licence",
        "Licences",
        FILES,
        "Keeps files by the licence of their source or row, an SPDX expression. A choice of licences counts by the "
        "most permissive, a conjunction by the least.",
        source=f"Blue Oak Council's list; {STARCODER2}",
        parameters=(
            Parameter(
                "keep",
                "choice",
                "permissive-or-unknown",
                "Which licences stay.",
                choices=("any", "permissive-or-unknown", "permissive"),
            ),
            Parameter(
                "also",
                "names",
                (),
                "Expressions that stay whatever the rule above says, as their source writes them: our own, for instance.",
            ),
        ),
        reasons={
            "licence-not-permissive": Reason("Its licence is not permissive, and the recipe does not name it."),
            "licence-unknown": Reason("No licence is known of it, and the recipe asks for one."),
        },
    ),
    Step(
        "language",
        "Language",
        FILES,
        "Tells the language by extension or file name, and by content where an extension is shared (.h, .m, .pl, "
        ".ts, ...) or missing (the interpreter line of a script).",
        source="GitHub Linguist: languages.yml and heuristics.yml",
        parameters=(
            Parameter("languages", "names", (), "Names as in GitHub Linguist; empty keeps every language known."),
            Parameter("by_content", "boolean", True, "Look into files whose name does not tell their language."),
        ),
        reasons={
            "unknown-language": Reason("The extension is not in the table of languages."),
            "language-not-asked": Reason("A language that the recipe leaves out."),
        },
        required=True,
    ),
    Step(
        "size",
        "File size",
        FILES,
        "Leaves out files that are next to nothing, or so large that they are data more often than code.",
        source="1 MB: The Stack v1 (Kocetkov et al. 2022)",
        parameters=(
            Parameter("min_bytes", "integer", 32, "The smallest file that stays.", "bytes", 0, LARGEST_FILE_BYTES),
            Parameter(
                "max_bytes", "integer", 1_000_000, "The largest file that stays.", "bytes", 1, LARGEST_FILE_BYTES
            ),
        ),
        reasons={
            "too-small": Reason("Smaller than the recipe's smallest file.", "bytes"),
            "too-large": Reason("Larger than the recipe's largest file.", "bytes"),
        },
    ),
    Step(
        "sample",
        "Sample",
        FILES,
        "Where the recipe bounds the total size: files by a seeded hash of their names until it is full.",
        reasons={"not-sampled": Reason("Beyond the total size asked for; the sample is drawn by hash.", "bytes")},
        fixed=True,
    ),
    Step(
        "read",
        "Read",
        CONTENT,
        "Reads the files, each up to the size it was listed with.",
        reasons={"unreadable-file": Reason("The file could not be read.")},
        fixed=True,
    ),
    Step(
        "encoding",
        "Encoding",
        CONTENT,
        "Decodes to UTF-8, normalises newlines, mends mis-decoded lines that round-trip as a whole, and drops binaries.",
        reasons={
            "binary": Reason("Holds a NUL byte, so it is not text.", "byte offset of the first NUL"),
            "not-utf8": Reason("Not UTF-8, and in no other encoding for sure.", "byte offset of the first bad byte"),
        },
        required=True,
    ),
    Step(
        "content_language",
        "Language by content",
        CONTENT,
        "The second half of the step Language, once a file's content is known.",
        reasons={
            "unknown-script": Reason("No extension, and no interpreter line of a known language."),
            "other-language": Reason("Its content is of a language that the recipe leaves out."),
        },
        fixed=True,
    ),
    Step(
        "lines",
        "Lines",
        CONTENT,
        "Drops files with very long lines, or with few letters and digits: data, minified code, drawings.",
        source=f"{CODEX}; the languages with their own bound: {STARCODER2}",
        parameters=(
            Parameter("max_line", "integer", 1_000, "The longest line that stays.", "characters", 80, 1_000_000),
            Parameter("max_mean_line", "number", 100.0, "The longest mean line that stays.", "characters", 10, 100_000),
            Parameter("min_alphanumeric", "number", 0.25, "The least share of letters and digits.", "share", 0, 1),
            Parameter(
                "long_line_languages",
                "names",
                ("HTML", "JSON", "Markdown", "Roff", "Roff Manpage", "SMT", "TeX", "Text", "XML"),
                "Languages whose lines may be as long as the next parameter says, with any mean.",
            ),
            Parameter(
                "max_line_there",
                "integer",
                100_000,
                "The longest line in those languages.",
                "characters",
                80,
                10_000_000,
            ),
        ),
        reasons={
            "long-line": Reason("Its longest line is longer than the recipe allows.", "characters"),
            "long-mean-line": Reason("Its lines are longer on average than the recipe allows.", "characters"),
            "few-alphanumerics": Reason("Too small a share of its characters are letters or digits.", "share"),
        },
    ),
    Step(
        "filters",
        "StarCoder's filters",
        CONTENT,
        "Drops what is not code although its lines look like it: encoded data, mark-up without text, listings, text "
        "files that document nothing. A bound that is empty is off.",
        source=f"{STARCODER}; {STARCODER2}; data files: Guo et al. 2024 (DeepSeek-Coder), section 2.1",
        parameters=(
            _bound("max_lines", 100_000, "The most lines.", "lines", 10_000_000),
            _bound("min_alphabetic", 0.25, "The least share of letters."),
            _bound("max_encoded_run", 1_024, "The longest stretch of encoded data.", "characters", 1_000_000),
            _bound("max_encoded_share", 0.5, "The largest share of encoded data."),
            Parameter("xml_head", "boolean", True, "Drop XML in files of other languages, by its first line."),
            _bound("min_visible_share", 0.2, "The least share of visible text in HTML."),
            _bound("min_visible", 100, "The least visible text in HTML.", "characters", 100_000),
            _bound("min_data", 50, "The shortest JSON or YAML file.", "characters", 100_000),
            _bound("max_data", 5_000, "The longest JSON or YAML file.", "characters", LARGEST_FILE_BYTES),
            _bound("max_listing_lines", 512, "The most lines of data, text and graph files.", "lines", 1_000_000),
            _bound("min_comments", None, "The least share of comments."),
            _bound("max_comments", 0.8, "The largest share of comments."),
            Parameter("only_known_texts", "boolean", True, "Of plain text keep requirements, readmes and the like."),
        ),
        reasons={
            "many-lines": Reason("More lines than the recipe allows.", "lines"),
            "few-letters": Reason("Too small a share of its characters are letters.", "share"),
            "encoded-run": Reason("A long stretch of encoded data.", "characters"),
            "encoded-data": Reason("Most of it is encoded data.", "share"),
            "xml-head": Reason("XML under another extension."),
            "little-visible-text": Reason("Mark-up with hardly any text to read.", "characters or share"),
            "small-data-file": Reason("A data file with next to nothing in it.", "characters"),
            "large-data-file": Reason("A data file of more than an example's size.", "characters"),
            "long-listing": Reason("More lines of data than the recipe allows.", "lines"),
            "few-comments": Reason("Fewer comments than the recipe asks for.", "share"),
            "mostly-comments": Reason("Nearly nothing but comments.", "share"),
            "unknown-text": Reason("Plain text of a name that says nothing about code."),
        },
    ),
    Step(
        "generated",
        "Generated, minified, vendored",
        CONTENT,
        "Drops files that a tool wrote, that a tool compressed, or that were copied in from elsewhere. Each rule is "
        "named, with its source, and can be switched off.",
        source="GitHub Linguist: generated.rb and vendor.yml; header phrases: " + STARCODER2,
        parameters=(
            Parameter(
                "kinds",
                "names",
                ("generated", "minified", "vendored"),
                "Which kinds of rules run.",
                choices=("generated", "minified", "vendored"),
            ),
            Parameter("without", "names", BROAD_RULES, "Rules that are left out, by name."),
        ),
        reasons={
            "generated": Reason("A tool wrote it; the rule is beside it."),
            "minified": Reason("A tool compressed it; the rule is beside it."),
            "vendored": Reason("Copied in from elsewhere; the rule is beside it."),
        },
    ),
    Step(
        "redaction",
        "Personal data and secrets",
        CONTENT,
        "Replaces addresses, keys, tokens and passwords by typed placeholders, the same for the same value within a "
        "document. Drops nothing, and keeps no value.",
        source="Li et al. 2023 (StarCoder), section 4; detect-secrets; gitleaks",
        parameters=(Parameter("keep", "names", (), "Kinds that are not replaced: EMAIL, IP_ADDRESS, KEY, PASSWORD."),),
        version=2,
    ),
    Step(
        "exact_deduplication",
        "Exact duplicates",
        DATASET,
        "Of equal contents, over all sources, one stays: a held-out source's first, a completion last, then the "
        "lowest source and path.",
        reasons={"duplicate": Reason("Equal content was kept under another path or source.")},
    ),
    Step(
        "near_deduplication",
        "Near duplicates",
        DATASET,
        "MinHash over 5-grams of tokens, checked on a sketch of both. A row goes if a row that stays resembles it; "
        "which one stays follows the rule for exact duplicates.",
        source=f"Lee et al. 2022; {STARCODER}",
        parameters=(
            Parameter("threshold", "number", 0.7, "The least similarity of a duplicate.", "Jaccard", 0.5, 0.95),
        ),
        reasons={"near-duplicate": Reason("It resembles a document that was kept.", "estimated Jaccard similarity")},
        version=2,
    ),
    Step(
        "split",
        "Split",
        DATASET,
        "Holds out a share of the documents for measuring, whole clusters of near duplicates at a time.",
        reasons={
            "resembles-held-out": Reason(
                "It resembles a held-out document, so training on it would spoil what is measured there.",
                "estimated Jaccard similarity",
            ),
        },
        fixed=True,
    ),
    Step(
        "parse",
        "Parse check",
        DATASET,
        "Parses what is left in the languages with a grammar and drops files of which too much is no code of that "
        "language. Macros make C and C++ fail to parse without being wrong, so their bounds are wider.",
        source="error-tolerant parsing with tree-sitter; bounds measured on released packages",
        parameters=(
            Parameter("languages", "names", (), "Languages to check; empty checks every one that has a grammar."),
            Parameter(
                "max_error",
                "shares",
                {},
                "The largest share of a file within syntax errors, by language, where it is not the usual one.",
                "share",
                0,
                1,
            ),
        ),
        reasons={
            "does-not-parse": Reason("Too much of it is no code of its language.", "share of bytes in errors"),
            "too-complex": Reason("Parsing it takes more than bounded steps or memory."),
        },
    ),
    Step(
        "quality",
        "Quality sampling",
        DATASET,
        "Draws documents by a score of five plain signs (comments, repetition, line length, letters, size): with a "
        "Pareto draw, so that a few with a low score stay. Languages of data can be thinned out.",
        source="the draw: Brown et al. 2020 (GPT-3), appendix A; the signs: SantaCoder, Gopher (Rae et al. 2021)",
        parameters=(
            Parameter("exponent", "number", 0.0, "How strict the draw is; 0 keeps all, GPT-3 took 9.", "", 0, 20),
            Parameter("shares", "shares", {}, "The share of documents to keep, by language.", "share", 0, 1),
        ),
        reasons={
            "low-quality": Reason("Not drawn; a higher score is drawn more often.", "score from 0 to 1"),
            "thinned-out": Reason("Beyond the share of its language that the recipe keeps."),
        },
    ),
)

STEPS: Mapping[str, Step] = {step.name: step for step in CATALOGUE}
REASONS: Mapping[str, Reason] = {
    code: replace(reason, step=step.name) for step in CATALOGUE for code, reason in step.reasons.items()
}
CHOSEN: tuple[str, ...] = tuple(step.name for step in CATALOGUE if not step.fixed)
