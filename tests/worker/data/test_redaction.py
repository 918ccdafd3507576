"""What is replaced, what is left alone, and that equal values stay equal."""

from __future__ import annotations

import random
import string

import pytest

from worker.data.redaction import redact

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
