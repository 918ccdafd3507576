"""What is replaced, what is left alone, and that equal values stay equal."""

from __future__ import annotations

import ast
import random
import string
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pyarrow as pa
import pytest

from tests.worker.data.plants import PLANTS, Sample, decoys, plants
from worker.data.patterns import HAS_HYPERSCAN, PatternSet
from worker.data.redaction import redact, redact_batch
from worker.data.redaction.engine import RULES

# The rules were written on seeds below 100.
HELD_BACK = 7319

LETTERS = string.ascii_letters + string.digits
RNG = random.Random(5)


def mixed(n: int, alphabet: str = LETTERS) -> str:
    return "a1" + "".join(RNG.choice(alphabet) for _ in range(n - 2))


HEX = mixed(32, "0123456789abcdef")
SECRETS = {
    "ada.lovelace+x@analytical-engine.co.uk": "EMAIL",
    "93.184.216.34": "IP_ADDRESS",
    "2606:2800:220:1:248:1893:25c8:1946": "IP_ADDRESS",
    "AKIA" + "Q2W3E4R5T6Y7UABC": "KEY",
    "ghp_" + mixed(36): "KEY",
    "github_pat_" + mixed(22) + "_" + mixed(59): "KEY",
    "glpat-" + mixed(20): "KEY",
    "xoxb-" + "123456789012-" + mixed(24): "KEY",
    "sk_live_" + mixed(24): "KEY",
    "AIza" + mixed(35): "KEY",
    "sk-proj-" + mixed(48): "KEY",
    "sk-ant-api03-" + mixed(60): "KEY",
    "hf_" + mixed(34): "KEY",
    "npm_" + mixed(36): "KEY",
    "pypi-AgEI" + mixed(60): "KEY",
    "SG." + mixed(22) + "." + mixed(43): "KEY",
    "AC" + HEX: "KEY",
    "ya29." + mixed(40): "KEY",
    "dop_v1_" + HEX + HEX: "KEY",
    "shpat_" + HEX: "KEY",
    "123456789:AA" + mixed(33): "KEY",
    "eyJ" + mixed(20) + ".eyJ" + mixed(30) + "." + mixed(43): "KEY",
    "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\n"
    + mixed(64)
    + "\n-----END RSA PRIVATE KEY-----": "KEY",
}


@pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: secret[:12])
def test_secret_becomes_its_placeholder(secret):
    text, counts = redact(f"value = '{secret}'  # keep\n".encode())
    assert text.decode() == f"value = '<{SECRETS[secret]}_1>'  # keep\n"
    assert counts == {SECRETS[secret]: 1}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("postgres://app:hunter42@db.internal/x", "postgres://app:<PASSWORD_1>@db.internal/x"),
        ("api_key = 'q8Zr2LmN0pXw4Ty7Vb3K'", "api_key = '<KEY_1>'"),
        ("GITHUB_TOKEN_PROD = 'q8Zr2LmN0pXw4Ty7Vb3K'", "GITHUB_TOKEN_PROD = '<KEY_1>'"),
        ('"client_secret": "q8Zr2LmN0pXw4Ty7Vb3K"', '"client_secret": "<KEY_1>"'),
        (
            "aws_secret_access_key=wJalrXUtnFEMIK7MDENGbPxRfiCYq8Zr2LmN0pXw",
            "aws_secret_access_key=<KEY_1>",
        ),
        ("Mail ada@analytical.org.", "Mail <EMAIL_1>."),
        ("The host is 93.184.216.34.", "The host is <IP_ADDRESS_1>."),
    ],
)
def test_only_the_value_is_replaced(line, expected):
    assert redact(line.encode())[0].decode() == expected


@pytest.mark.parametrize(
    "line",
    [
        "127.0.0.1 10.1.2.3 192.168.0.1 172.16.9.9 0.0.0.0 255.255.255.255 169.254.1.1",
        "localhost ::1 fe80::1:2:3 fd00::1:2:3",
        "8.8.8.8 is a well-known resolver",
        "version = '1.70.1.1'",
        "1.2.3.4.5 and 300.1.1.1",
        "x[1::2] + y[2000::3] and abc::def and std::add::bee",
        "user@example.com root@localhost a@host.test git@github.com:org/repo",
        "y = a@b.to(device); z = x@w.T; f@module.py",
        "@decorator.com\ndef f(): pass",
        "AKIAIOSFODNN7EXAMPLE",
        "tokenizer_class = 'Wav2Vec2CTCTokenizer2Fast'",
        "TOKEN_CLASSIFICATION = 'dbmdz/bert-large-cased-finetuned-conll03'",
        "token = 'your-token-goes-here-12345'",
        "password = 'changeme-changeme-1234'",
        "sk-learn-is-a-library-with-a-long-name",
        "pk_test_something_of_ours",
        "sha256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'",
        "12:30:45 and 2024:01:02",
        "token: \"keyword.$0\", secretName: 'my-app-secret-1'",
        "const OID = '1.3.101.112'; // see 20.11.4.3 and [22.2.1.2]",
        "BEGIN = '-----BEGIN PRIVATE KEY-----'; END = '-----END PRIVATE KEY-----'",
        "    <EMAIL_3> wrote password = '<PASSWORD_1>'",
        "password = input('Password: ').strip(); token = next(tokens2)",
        "You can't pass `load_in_4bit`or `load_in_8bit`",
        '"AWS::ApiGateway::ApiKey": "b899a0d240b53d9d",',
        "readerPass  uint32",
        "'ssh2_auth_password',\n    'ssh2_auth_pubkey_file',",
        "s.ReadUint16LengthPrefixed, but targets",
        '"spdx_license_key": "LicenseRef-scancode-menuet64-2024"',
        "result_key = 'Ipv6CidrAssociations'",
        "retina@2x.png ssh://hg@bitbucket.org/x svn+ssh://svn@svn.acme.org/y",
    ],
)
def test_look_alikes_are_left_alone(line):
    assert redact(line.encode()) == (line.encode(), {})


def test_equal_values_share_a_number_within_a_document():
    text, counts = redact(b"a@corp.org b@corp.org a@corp.org")
    assert text == b"<EMAIL_1> <EMAIL_2> <EMAIL_1>"
    assert counts == {"EMAIL": 3}


def test_overlapping_matches_leave_no_tail():
    secret = "sk-proj-" + mixed(40)
    text, _ = redact(f"api_key = '{secret}'".encode())
    assert text == b"api_key = '<KEY_1>'"


def test_text_beside_other_alphabets_keeps_its_bytes():
    text, _ = redact("é ada@corp.org 日本".encode())
    assert text.decode() == "é <EMAIL_1> 日本"


def test_recall_on_plants_that_the_rules_were_not_written_on():
    samples = list(plants(HELD_BACK, 20 * len(PLANTS)))
    missed = [sample for sample in samples if sample.value in _redacted(sample)]
    by_kind, totals = Counter(s.kind for s in missed), Counter(s.kind for s in samples)
    assert len(totals) >= 20
    assert len(missed) <= 0.03 * len(samples), missed
    assert {kind for kind, n in by_kind.items() if n > 0.2 * totals[kind]} == set(), missed


def test_decoys_are_left_alone():
    samples = list(decoys(HELD_BACK, 1000))
    hit = [sample for sample in samples if _redacted(sample) != sample.text]
    assert len(hit) <= 0.02 * len(samples), hit


def test_nothing_beside_a_plant_is_lost():
    for sample in plants(HELD_BACK + 1, 5 * len(PLANTS)):
        text = redact(f"before = 1\n{sample.text}\nafter = 2\n".encode())[0].decode()
        assert text.startswith("before = 1\n"), sample.kind
        assert text.endswith("\nafter = 2\n"), sample.kind


def test_python_with_secrets_in_its_strings_still_parses():
    values = [sample.value for sample in plants(HELD_BACK + 2, 4 * len(PLANTS))]
    program = "\n".join(f"password_{row} = token_{row} = {value!r}" for row, value in enumerate(values))
    text, counts = redact(program.encode())
    assert sum(counts.values()) > len(values) / 2
    assert len(ast.parse(text).body) == len(values)


def test_a_clue_is_found_wherever_its_rule_finds_a_value():
    for sample in plants(HELD_BACK + 3, 4 * len(PLANTS)):
        text = sample.text.encode()
        found = {number for number in range(len(RULES)) if any(_values(number, text))}
        assert found <= set(_clues(HAS_HYPERSCAN).hits(text)), sample


@pytest.mark.skipif(not HAS_HYPERSCAN, reason="this platform has no wheel of hyperscan")
def test_both_scanners_say_the_same():
    texts = [sample.text.encode() for sample in (*plants(HELD_BACK + 4, 100), *decoys(HELD_BACK + 4, 100))]
    with_hyperscan, without = _clues(True), _clues(False)
    assert [with_hyperscan.hits(text) for text in texts] == [without.hits(text) for text in texts]


def test_threads_get_what_one_thread_gets():
    texts = [sample.text.encode() for sample in plants(HELD_BACK + 5, 200)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(redact, texts)) == [redact(text) for text in texts]


def test_a_batch_says_where_and_what_but_not_which():
    secret = "ghp_" + mixed(36)
    text = f"a = 1\nb = '{secret}'\n# ada@corp.org, ada@corp.org\n"
    batch = redact_batch(pa.array([text, "plain\n", None], pa.large_string()))
    assert batch.content.to_pylist() == ["a = 1\nb = '<KEY_1>'\n# <EMAIL_1>, <EMAIL_1>\n", "plain\n", None]
    assert batch.counts.to_pylist() == [[("EMAIL", 2), ("KEY", 1)], [], None]
    assert batch.spans.to_pylist()[0] == [
        {"line": 2, "kind": "github", "placeholder": "<KEY_1>"},
        {"line": 3, "kind": "email", "placeholder": "<EMAIL_1>"},
        {"line": 3, "kind": "email", "placeholder": "<EMAIL_1>"},
    ]
    assert secret not in repr(batch)


def test_kinds_can_be_kept():
    text = b"ada@corp.org at 93.184.216.34"
    assert redact(text, keep=("EMAIL",)) == (b"ada@corp.org at <IP_ADDRESS_1>", {"IP_ADDRESS": 1})
    with pytest.raises(ValueError, match="MAIL"):
        redact(text, keep=("MAIL",))


def test_a_text_redacted_before_keeps_its_numbers_apart():
    assert redact(b"<EMAIL_2> and ada@corp.org")[0] == b"<EMAIL_2> and <EMAIL_3>"
    once = redact(b"ada@corp.org, api_key = 'q8Zr2LmN0pXw4Ty7Vb3K'")[0]
    assert redact(once) == (once, {})


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("redis://:f4lc0nSky@cache.acme.io:6379/0", "redis://:<PASSWORD_1>@cache.acme.io:6379/0"),
        ("Password=Tr0ub4dor!;Encrypt=True", "Password=<PASSWORD_1>;Encrypt=True"),
        ("docker run -e POSTGRES_PASSWORD=k3Rn7xPq9 db", "docker run -e POSTGRES_PASSWORD=<KEY_1> db"),
        ("curl -u ada:S0mmerwind9 https://x.acme.io", "curl -u ada:<PASSWORD_1> https://x.acme.io"),
        ("  - name: DB_PASSWORD\n    value: k3Rn7xPq9", "  - name: DB_PASSWORD\n    value: <PASSWORD_1>"),
        ("<password>k3Rn7xPq9</password>", "<password><PASSWORD_1></password>"),
        ("api_token: |\n  q8Zr2LmN0pXw4Ty7Vb3K", "api_token: |\n  <KEY_1>"),
        ('x = "{\\"token\\": \\"q8Zr2LmN0pXw4Ty7Vb3K\\"}"', 'x = "{\\"token\\": \\"<KEY_1>\\"}"'),
        ("GET /v1?access_token=q8Zr2LmN0pXw4Ty7Vb3K&x=1", "GET /v1?access_token=<KEY_1>&x=1"),
        ("Jan <jan@wp.pl> at 93.184.216.34:8080", "Jan <<EMAIL_1>> at <IP_ADDRESS_1>:8080"),
        ("const password: string = 'k3Rn7xPq9';", "const password: string = '<PASSWORD_1>';"),
        ('const char password[32] = "k3Rn7xPq9";', 'const char password[32] = "<PASSWORD_1>";'),
        (
            "x = 'https://discord.com/api/webhooks/759898347887838483/5r1pY4OjE2jBMptUsGr7CmYuCu3ZR1zTOlUcR64cXQLioDnkHIfxIq2HZtPlJhx2jI'",
            "x = 'https://discord.com/api/webhooks/<KEY_1>'",
        ),
        (
            "h = 'https://hooks.zapier.com/hooks/catch/4153287/b8Zk3qp/'",
            "h = 'https://hooks.zapier.com/hooks/catch/<KEY_1>/'",
        ),
        ("SECRET_KEY = '$*_2d5#jv)g$ms)*d7!b)*iu*9me$rjt4%@*rh%h0%_cvxt-45'", "SECRET_KEY = '<KEY_1>'"),
        (
            "define('NONCE_KEY', 'Mzwzks9i(x{<8v3$tRlv!W*L aMTj6(qvQ5.>{(zQlmSze.S]v%zn#AO#b,d_2zz');",
            "define('NONCE_KEY', '<KEY_1>');",
        ),
        ("define('AUTH_KEY', 'put your unique phrase here');", "define('AUTH_KEY', 'put your unique phrase here');"),
        ('k = "sdk-89576179-0d88-49a4-8f30-46b02fbd0bea"', 'k = "<KEY_1>"'),
    ],
)
def test_places_in_which_secrets_stand(line, expected):
    assert redact(line.encode())[0].decode() == expected


def _redacted(sample: Sample) -> str:
    return redact(sample.text.encode())[0].decode()


@cache
def _clues(use_hyperscan: bool) -> PatternSet:
    return PatternSet([rule.clue or rule.pattern for rule in RULES], use_hyperscan)


def _values(number: int, text: bytes):
    rule = RULES[number]
    for match in COMPILED.compiled[number].finditer(text):
        groups = [match.span(group) for group in range(1, match.re.groups + 1) if match.start(group) >= 0]
        start, end = groups[0] if groups else match.span()
        if rule.check is None or rule.check(text[start:end], text, start, end):
            yield start, end


COMPILED = PatternSet([rule.pattern for rule in RULES], use_hyperscan=False)
