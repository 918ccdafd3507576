from __future__ import annotations

from typing import Any

import pytest

from worker.evaluation.cut import Cut, closes_at, cut
from worker.evaluation.runtimes import declared
from worker.evaluation.suites import Problem, load_suite
from worker.specs import SuiteRef

MORE = "\n\nvoid other() {\n    it's not {"


def body(language: str, prompt: str, **more: Any) -> Problem:
    return Problem("t", language, prompt, tests="check();", **more)


@pytest.mark.parametrize(
    ("language", "prompt", "right"),
    [
        (
            "java",
            "class A {\n  /** it's { */\n  String f() {\n",
            "    if (b) { return \"}\"; }\n    char c = '}';\n  }\n}",
        ),
        ("java", "class A {\n  char f() {\n", "    char q = '\\'', r = '{';\n    return r;\n  }\n}"),
        ("java", "class A {\n  String f() {\n", '    return """\n      } \\""" }\n      """;\n  }\n}'),
        (
            "javascript",
            "const f = (s) => {\n",
            "  // don't }\n  return s.replace(/[/}]\\}/g, '}') + `}${s + `}`}}`;\n};",
        ),
        ("javascript", "run(function (a) {\n", "  return a / 2 / 3;\n});"),
        (
            "typescript",
            "function f(a: {b: number}): number {\n",
            "  const x: {c: string} = {c: '}'};\n  return a.b / 2;\n}",
        ),
        ("c", "int f(void) {\n", '    /* } */ char *s = "\\"}";\n    return \'}\' == s[0];\n}'),
        ("cpp", "int f() {\n", '    auto s = R"x(})" })x"; int n = 1\'000\'000;\n    return n;\n}'),
        ("cpp", "struct A {\n", "    int f() { return 1; }\n};"),
        ("go", "func f() string {\n", "\tr := '}'\n\treturn `}\\` + string(r) // }\n}"),
        ("rust", "fn f<'a>(s: &'a str) -> usize {\n", '    let c = \'}\'; let r = r#"}"}"#;\n    r.len() + s.len()\n}'),
        (
            "php",
            "function f($a) {\n",
            "    # }\n    $s = \"}{$a}\";\n    $t = <<<EOT\n  }\nEOT;\n    return '}' . $s;\n}",
        ),
    ],
)
def test_a_body_ends_where_the_prompts_braces_close_whatever_hides_others(
    language: str, prompt: str, right: str
) -> None:
    assert cut(body(language, prompt), right + MORE, ()) == Cut(right, "braces")
    assert cut(body(language, prompt), right, ()) == Cut(right, "braces")
    assert cut(body(language, prompt), right[:-4], ()) == Cut(right[:-4])


def test_braces_that_the_tests_bring_stay_open() -> None:
    one = Problem("t", "cpp", "int f() {\n", tests="}\nint main() { return f(); }")
    assert cut(one, "    return 1;\n}\nint g() {", ()) == Cut("    return 1;\n", "braces")
    inner = Problem("t", "java", "class A {\n  int f() {\n", tests="  }\n  public static void main(String[] a) {}\n}")
    assert cut(inner, "    return 1;\n  }\n  int g() {", ()).text == "    return 1;\n  "


def test_what_comes_first_ends_it() -> None:
    problem = body("javascript", "function f() {\n")
    assert cut(problem, "  return 1;\n}\n\nfunction g() {}", ("\nfunction ",)) == Cut("  return 1;\n}", "braces")
    assert cut(problem, "  a();\n//\n}", ("\n//",)) == Cut("  a();", "stop")
    assert cut(body("python", "def f():\n"), "  return 1\nx\ny", ("\ny", "\nx")) == Cut("  return 1", "stop")


@pytest.mark.parametrize(
    "problem",
    [
        body("python", "d = {\n"),
        body("javascript", "const a = "),
        body("java", "class A {\n  int f() {\n", kind="infill"),
        body("cobol", "f {\n"),
    ],
)
def test_without_a_body_to_close_nothing_is_cut(problem: Problem) -> None:
    assert closes_at(problem, "1 }\n}\n}\n}") is None


def test_the_starter_suites_references_end_at_their_own_brace() -> None:
    for problem in load_suite(SuiteRef("starter", "starter")).problems:
        reference = problem.reference or ""
        at = closes_at(problem, reference)
        assert at is None or reference[:at].rstrip() == reference.rstrip(), problem.task_id


def test_the_languages_that_need_it_declare_what_hides_a_brace() -> None:
    having = {name for name, runtime in declared().items() if runtime.opaque}
    assert having == {"c", "cpp", "go", "java", "javascript", "php", "rust", "typescript"}
