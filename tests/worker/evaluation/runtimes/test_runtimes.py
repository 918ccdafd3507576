"""Which languages can be judged, and that none of the quiet ways of failing counts as passing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from worker.evaluation.runtimes import RuntimeMissing, declaration, declared, judged, machine, readiness, run, self_test
from worker.evaluation.runtimes.__main__ import main
from worker.sandbox import Limits, Verdict, probe

LIMITS = Limits(cpu_seconds=10.0, wall_seconds=60.0)
SLOW = {"cpp", "go", "java", "rust", "typescript"}  # a second or more for each program
LANGUAGES = [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in declared()]

Judge = Callable[[str, str], Verdict]


@pytest.fixture(autouse=True)
def _needs_a_sandbox() -> None:
    if probe().level == "none":
        pytest.skip(probe().detail)


@pytest.fixture
def judge() -> Judge:
    def judge(language: str, source: str) -> Verdict:
        found = readiness(language, probe())
        if found.state != "ready":
            pytest.skip(f"{language} is {found.state}: {found.detail}")
        return run(source, language, LIMITS, probe())

    return judge


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_that_is_here_passes_its_self_test(language: str) -> None:
    found = readiness(language, probe())
    if found.state == "missing":
        pytest.skip(found.detail)
    assert (found.state, found.detail) == ("ready", "")
    assert all(found.versions.values())


@pytest.mark.slow
@pytest.mark.parametrize("language", declared())
def test_a_language_that_is_here_passes_its_self_test_without_namespaces(language: str) -> None:
    if probe().landlock_abi < 4:
        pytest.skip("no Landlock")
    found = readiness(language, dataclasses.replace(probe(), level="landlock", zygote=False))
    if found.state == "missing":
        pytest.skip(found.detail)
    assert (found.state, found.detail) == ("ready", "")


@pytest.mark.slow
def test_a_c_compiler_from_a_package_judges_where_the_system_has_none() -> None:
    """Cold, it compiles its C library first, for 40 s."""
    c = declared()["c"]
    (tool,) = c.tools
    package = dataclasses.replace(c, tools=(dataclasses.replace(tool, find=tool.find[-1:]),))
    try:
        installed = machine.install(package)
    except machine.NotFound as missing:
        pytest.skip(str(missing))
    assert installed.versions["cc"].startswith("clang version")
    found = self_test.test(installed, probe())
    assert (found.state, found.detail) == ("ready", "")


QUIET_FAILURES = {
    "a console.assert that only prints": ("javascript", "console.assert(false);"),
    "a rejection that nobody catches": ("javascript", "Promise.reject(new Error('no'));"),
    "a promise that is never settled": (
        "javascript", "(async () => { await new Promise(() => {}); console.assert(false); })();",
    ),
    "a timer's failed assertion": ("javascript", "setTimeout(() => console.assert(1 === 2), 5);"),
    "an exit code set on the way": ("javascript", "process.exitCode = 3;"),
    "an exit in a promise": ("javascript", "Promise.resolve().then(() => process.exit(0)); "),
    "a test in the middle that does not hold": ("bash", "[[ 1 == 2 ]]\necho done"),
    "a function's failure": ("bash", "f() { return 1; }\nf\ntrue"),
    "an assert that a php.ini would turn off": ("php", "<?php\nassert(false);\n"),
    "a warning turned fatal later": ("php", "<?php\nfunction f(): int { return 'x'; }\nf();\n"),
    "a failed Test::More test": ("perl", "use Test::More;\nok(1 == 2);\ndone_testing();\n"),
    "an exit inside a test that runs at the end": ("ruby", "at_exit { exit 0 }\n"),
    "an exit! before the tests": ("ruby", "exit!(0)\n"),
    "an exit from a coroutine": ("lua", "coroutine.wrap(function() os.exit(true) end)()\n"),
    "an exit from a destructor's place": ("c", "#include <unistd.h>\nint main(void) { _exit(0); }\n"),
    "an abort": ("c", "#include <stdlib.h>\nint main(void) { abort(); }\n"),
    "a function that never returns its value": ("c", "int two(void) { 1 + 1; }\nint main(void) { two(); return 0; }\n"),
    "another exit code": ("c", "int main(void) { return 3; }\n"),
    "a sys.exit": ("python", "import sys\nsys.exit(0)\nassert False\n"),
}  # fmt: skip
SLOW_QUIET_FAILURES = {
    "an assertion without -ea": (
        "java", "class Problem { public static void main(String[] a) { assert a.length > 0; } }",
    ),
    "an exception of another thread's making an exit": (
        "java", "class Main { public static void main(String[] a) { Runtime.getRuntime().exit(0); } }",
    ),
    "NDEBUG on the command line": ("cpp", "#include <cassert>\nint main() { assert(false); }\n"),
    "a method that never returns its value": ("cpp", "struct A { int two() { 1 + 1; } };\nint main() { A().two(); }\n"),
    "an exit in an exit handler": ("cpp", "#include <cstdlib>\nstruct A { A() { std::exit(0); } } a;\nint main() {}\n"),
    "an overflow": (
        "rust", "fn f(n: u8) -> u8 { n + 1 }\nfn main() { f(std::hint::black_box(255)); }\n",
    ),
    "an exit of a test": ("rust", "fn main() {}\n#[test]\nfn t() { std::process::exit(0); }\n"),
    "an exit in a Go test": (
        "go", 'package main\nimport ("os"; "testing")\nfunc TestIt(t *testing.T) { os.Exit(0) }\n',
    ),
    "a type that only says so": ("typescript", "console.assert((1 as number) === 2);\n"),
}  # fmt: skip


@pytest.mark.parametrize("what", QUIET_FAILURES)
def test_a_quiet_failure_does_not_pass(what: str, judge: Judge) -> None:
    assert judge(*QUIET_FAILURES[what]).outcome in ("error", "failed")


@pytest.mark.slow
@pytest.mark.parametrize("what", SLOW_QUIET_FAILURES)
def test_a_quiet_failure_of_a_compiled_language_does_not_pass(what: str, judge: Judge) -> None:
    assert judge(*SLOW_QUIET_FAILURES[what]).outcome in ("error", "failed")


HONEST = {
    "asynchronous tests": (
        "javascript",
        "const wait = ms => new Promise(done => setTimeout(done, ms));\n"
        "(async () => { await wait(5); console.assert(true); })();\n",
    ),
    "a main guard": ("javascript", "if (require.main !== module) throw new Error('not main');\n"),
    "tests at the end": ("ruby", "at_exit { raise 'no' unless 1 + 1 == 2 }\n"),
    "Test::More": ("perl", "use Test::More;\nok(1 == 1);\ndone_testing();\n"),
    "global variables": ("php", "<?php\n$n = 2;\nfunction f() { global $n; return $n; }\nassert(f() === 2);\n"),
    "files and children": ("bash", "echo text > file\n[[ $(cat file | tr a-z A-Z) == TEXT ]]\n"),
    "a main without a return": ("c", "int main(void) { }\n"),
}


@pytest.mark.parametrize("what", HONEST)
def test_honest_programs_pass(what: str, judge: Judge) -> None:
    assert judge(*HONEST[what]).outcome == "passed"


def test_a_program_that_does_not_compile_is_an_error_that_says_where(judge: Judge) -> None:
    verdict = judge("c", "int main(void) { return no_such_name; }\n")
    assert verdict.outcome == "error"
    assert verdict.detail.startswith("does not compile: ") and "no_such_name" in verdict.detail


def test_a_compilers_time_is_not_the_programs(judge: Judge) -> None:
    verdict = judge("c", "#include <stdio.h>\nint main(void) { return 1; }\n")
    assert verdict.outcome == "error"
    assert verdict.compile_cpu_seconds > verdict.cpu_seconds


def test_the_programs_text_is_gone_when_it_starts(judge: Judge) -> None:
    assert (
        judge("c", '#include <unistd.h>\nint main(void) { return access("program.c", 0) == 0; }\n').outcome == "passed"
    )


DASH = """
name = "dash"
title = "Dash"
file = "program.sh"
comment = "#"
stop = ["\\n}"]
run = "exec {sh} _verdict program.sh"
failed_pattern = "assertion failed"
[[tools]]
name = "sh"
find = ["no-such-shell", "sh"]
version = ["-c", "echo 1.0"]
at_least = "1.0"
[files]
_verdict = '''
read -r nonce <&3
exec 3<&-
echo ready >&4
. ./program.sh
echo "$nonce" >&4
'''
[self_test]
hello = "echo hello"
failing = "[ 1 = 2 ] || { echo assertion failed >&2; exit 1; }"
endless = "while :; do :; done"
missing_module = ". ./no_such_file"
early_exit = "exit 0"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where languages are declared, for a test of its own."""
    monkeypatch.setattr(declaration, "FOLDER", tmp_path)
    monkeypatch.setattr(judged, "_known", {})
    declared.cache_clear()
    machine.find.cache_clear()
    monkeypatch.setattr("builtins.print", lambda *words, **options: None)
    yield tmp_path
    declared.cache_clear()


def test_a_language_is_added_by_one_file(folder: Path) -> None:
    (folder / "dash.toml").write_text(DASH)
    assert run("[ 1 = 1 ]", "dash", LIMITS, probe()).outcome == "passed"
    (stamp,) = judged.stamps(["dash"], probe()).values()
    assert stamp.items() >= {"state": "ready", "detail": "", "versions": {"sh": "1.0"}}.items()


def test_another_flag_is_another_stamp_and_another_word_is_not(folder: Path) -> None:
    stamps = []
    for text in (DASH, DASH.replace("Dash", "A shell"), DASH.replace("exec {sh}", "exec {sh} -e")):
        (folder / "dash.toml").write_text(text)
        declared.cache_clear()
        stamps.append(declaration.fingerprint(declared()["dash"]))
    assert stamps[0] == stamps[1] != stamps[2]


def test_a_language_whose_tool_is_missing_or_too_old_is_not_available_with_the_reason(folder: Path) -> None:
    (folder / "dash.toml").write_text(DASH.replace('at_least = "1.0"', 'at_least = "1.10"'))
    with pytest.raises(RuntimeMissing, match=r"no no-such-shell; .*sh is 1\.0, needed is 1\.10"):
        run("true", "dash", LIMITS, probe())
    assert main(["dash"]) == 1


def test_a_language_that_lets_a_failed_assertion_by_scores_nothing(folder: Path) -> None:
    (folder / "dash.toml").write_text(DASH.replace("exit 1", "true"))
    with pytest.raises(RuntimeMissing, match="broken: failing ended as passed"):
        run("true", "dash", LIMITS, probe())


def test_an_unknown_language_is_missing(folder: Path) -> None:
    (folder / "dash.toml").write_text(DASH)
    assert readiness("cobol", probe()).state == "missing"
    assert "known: dash" in readiness("cobol", probe()).detail


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [('title = "Dash"', 'titel = "Dash"', "unknown: titel"), ('early_exit = "exit 0"', "", "early_exit"),
     ('name = "dash"', 'name = "ash"', "the name is not the file's")],
)  # fmt: skip
def test_a_bad_declaration_is_named(folder: Path, before: str, after: str, complaint: str) -> None:
    (folder / "dash.toml").write_text(DASH.replace(before, after, 1))
    with pytest.raises(ValueError, match=f"dash.toml: .*{complaint}"):
        declared()


def test_libraries_that_are_offered_are_read_and_stamped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, judge: Judge
) -> None:
    (tmp_path / "lua").mkdir()
    (tmp_path / "lua" / "greeting.lua").write_text("return 'hello'")
    monkeypatch.setenv("RUNTIME_LIBRARIES", str(tmp_path))
    judge("lua", "")
    monkeypatch.setattr(judged, "_known", {})
    assert run("assert(require('greeting') == 'hello')", "lua", LIMITS, probe()).outcome == "passed"
    assert len(readiness("lua", probe()).versions["libraries"]) == 16


def test_every_self_test_of_every_language_is_there() -> None:
    for runtime in declared().values():
        assert set(runtime.self_test) == set(self_test._EXPECTED) and runtime.stop and runtime.comment
