"""Secrets without a form of their own: the name beside them, or the place they stand in, says what they are.

Names and forms follow detect-secrets' keyword plugin and gitleaks' generic-api-key, curl-auth-* and
nuget-config-password; the checks are ours (worker.data.redaction.context).
"""

from __future__ import annotations

from worker.data.redaction.context import (
    is_aws_secret,
    is_bare_password,
    is_bare_secret,
    is_header_value,
    is_key_body,
    is_login_password,
    is_named_password,
    is_named_secret,
    is_option,
    is_service_key,
)
from worker.data.redaction.judgement import is_drawn
from worker.data.redaction.rules import KEY, PASSWORD, Rule

_PASSWORD_NAMES = r"passw(?:or)?d|passwort|passphrase|passcode|pwd|pass|\bpw|_pw"  # noqa: S105 - a pattern
_KEY_NAMES = (
    r"secret|token|credentials?|(?:api|access|auth|secret|private|encryption|signing|master|account|client|app|"
    r"application|consumer|service|subscription|license|shared|storage|admin|deploy|session|webhook|hmac|jwt)[_.-]?key|"
    r"api[_.-]?secret|auth(?:orization)?|bearer"
)
# What may follow the word and leave it the name of a secret: DB_PASSWORD_PROD, token2, secret_key_base.
_SUFFIX = (
    r"(?:[_.-]?(?:key|secret|token|value|string|str|base|hash_?key|prod|production|dev|development|staging|live|test|"
    r"local|old|new|primary|secondary|default|[0-9]{1,3}))*"
)
# Between name and value: a closing quote or bracket, a type, the sign of assignment or a bracket of a call.
_TYPE = r"(?:\s+As\s+String|\s*:\s*(?:&\s*)?(?:'static\s+)?[A-Za-z_][\w.<>?| ]{0,24}|\s+[A-Za-z_]\w{1,11}|\s*\[\d*\])?"
_SIGN = r"\s*(?:=>|:{1,3}=|\.=|<-|\|\|=|\?\?=|\?=|\+=|={1,3}|!==?|:{1,2}|,|\(|\{|\.equals\(|[ \t])\s*"
_PREFIX = r"(?:[@$bBrRfFuUlL]{0,2}|new\s+\w+\(|\w{2,12}\()"
# A digit or a sign somewhere: words and sentences are most of what is quoted, and RE2 passes them by without a match.
_QUOTED = (
    r"(?:\"((?:[^\"\s\\]|\\[^\s])*[0-9!@#$%^&*?](?:[^\"\s\\]|\\[^\s])*)\""
    r"|'((?:[^'\s\\]|\\[^\s])*[0-9!@#$%^&*?](?:[^'\s\\]|\\[^\s])*)'|`([^`\s]*[0-9!@#$%^&*?][^`\s]*)`"
    r"|\\[\"']([^\"'\s\\]*[0-9!@#$%^&*?][^\"'\s\\]*)\\[\"'])"
)
_LINE_START = r"(?im)^[ \t]*(?:export[ \t]+|set[ \t]+|setx[ \t]+|env[ \t]+|arg[ \t]+|-[ \t]+|[#;]+[ \t]*|//[ \t]*|\*[ \t]*|\$env:)?"
_BARE = r"([^\s\"'`,;(){}\[\]<>]*[0-9][^\s\"'`,;(){}\[\]<>]*)"


def _named(words: str) -> str:
    return rf"(?i)(?:{words}){_SUFFIX}\\?[\"'`]?[\])]{{0,2}}{_TYPE}{_SIGN}{_PREFIX}{_QUOTED}"


def _named_line(words: str, sign: str) -> str:
    return rf"{_LINE_START}[\"']?[\w.\-]*?(?:{words}){_SUFFIX}[\"']?{sign}{_BARE}[ \t]*(?:[#;].*|//.*)?$"


# A block that was cut off: what looks like its lines.
_LINES = r"(?:\s|\\[nr]|[\"',+])*(?:[A-Za-z0-9+/=]{40,}(?:\s|\\[nr]|[\"',+])*)+"
_BEGIN = r"-----BEGIN (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----"
PRIVATE_KEYS: tuple[Rule, ...] = (
    Rule(
        "private-key",
        KEY,
        "gitleaks private-key; RFC 7468, RFC 4880",
        rf"{_BEGIN}(?:(?:[^-]|-[^-])+-----END (?:[A-Z0-9]+ ){{0,4}}PRIVATE KEY(?: BLOCK)?-----|{_LINES})",
        is_key_body,
        r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY",
    ),
    Rule(
        "encoded-private-key",
        KEY,
        "RFC 7468 in base64, as in kubeconfig's client-key-data",
        r"\bLS0tLS1CRUdJTi(?:BSU0Eg|BQUklW|BFQyBQ|BPUEVOU1NI|BEU0Eg|BFTkNSWVBURUQ)[A-Za-z0-9+/]{60,}={0,2}",
    ),
    Rule(
        "putty-key",
        KEY,
        "detect-secrets private_key",
        r"PuTTY-User-Key-File-\d:[^\n]*\n(?:[A-Za-z-]+:[^\n]*\n|[A-Za-z0-9+/=]+\n){4,}",
        is_key_body,
        r"PuTTY-User-Key-File-\d:",
    ),
)
_URL_LOGIN = r"[A-Za-z][A-Za-z0-9+.\-]{1,20}://[^\s:/@\"'<>`,;(){}]{0,64}:([^\s/@\"'<>`]{3,})@[A-Za-z0-9\[]"
_OPTION_NAMES = r"password|passwd|pwd|pass|token|api[_-]?key|apikey|access[_-]?token|auth[_-]?token|secret|client[_-]?secret|access[_-]?key"

_SETS = r"[ \t]*[?:+]?[:=][ \t]*(?:[|>][+-]?[ \t]*\n[ \t]+)?"
# The clue of an unquoted value: a digit in it, and nothing but a comment behind it.
_BARE_CLUE = r"=?[ \t]{0,3}(?:[|>][+-]?[ \t]*\n[ \t]+)?[^\s\"'`(,;]*[0-9][^\s\"'`(,;]*[ \t]*(?:[#;/].*)?$"

ASSIGNMENTS: tuple[Rule, ...] = (
    Rule(
        "aws-secret-key",
        KEY,
        "detect-secrets aws; gitleaks aws",
        r"(?i)(?:aws|secret|access)[\w.-]{0,24}key[\"'`]?[\])]?(?:\s*:\s*[\w&]+)?\s*(?:=>|:=|<-|[:=,(])?\s*[\"'`]?([A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+=]|$)",
        is_aws_secret,
        r"(?i)(?:aws|secret|access)[\w.-]{0,24}key",
    ),
    Rule(
        "framework-secret",
        KEY,
        "Django: get_random_secret_key; WordPress: api.wordpress.org/secret-key",
        r"\bSECRET_KEY\s*=\s*[\"'](?:django-insecure-)?([a-z0-9!@#$%^&*(\-_=+)]{50})[\"']"
        r"|\b(?:(?:SECURE_)?AUTH|LOGGED_IN|NONCE)_(?:KEY|SALT)[\"'],\s*(?:'([^'\n\\]{64})'|\"([^\"\n\\]{64})\")",
        is_drawn,
        r"\bSECRET_KEY\s{0,3}=\s{0,3}[\"'][a-z0-9!@#$%^&*(\-_=+)]{50}|\b(?:AUTH|LOGGED_IN|NONCE)_(?:KEY|SALT)[\"'],"
        r"|_AUTH_(?:KEY|SALT)[\"'],",
    ),
    Rule(
        "url-login",
        PASSWORD,
        "RFC 3986, 3.2.1; detect-secrets basic_auth",
        _URL_LOGIN,
        is_login_password,
        r"://[^\s/]*:[^\s/]*@",
    ),
    Rule(
        "authorization-header",
        KEY,
        "gitleaks curl-auth-header; RFC 7617, RFC 6750",
        r"(?i)(?:authorization|x-api-key|x-auth-token|private-token|x-vault-token)[\"'`]?\]?(?:\s*(?:=>|[:=,])|[ \t])\s*[\"'`]?"
        r"(?:(?:basic|bearer|(?:api-)?token|apikey|key)\s+)?([A-Za-z0-9._~+/=\-]{16,})",
        is_header_value,
        r"(?i)authorization|x-api-key|x-auth-token|private-token|x-vault-token",
    ),
    Rule("bearer", KEY, "RFC 6750", r"\b[Bb]earer\s+([A-Za-z0-9._~+/\-]{20,}=*)", is_header_value),
    Rule(
        "curl-user",
        PASSWORD,
        "gitleaks curl-auth-user",
        r"\bcurl\b(?:[^\n]|\\\n){0,300}?\s(?:-u|--user)(?:=|\s+)?[\"']?[\w.@+-]*:[\"']?([^\s\"']{5,})",
        is_option,
        r"\bcurl\b",
    ),
    Rule(
        "header-option",
        KEY,
        "gitleaks curl-auth-header",
        r"(?i)\s(?:-H|--header)(?:=|\s+)[\"'][\w-]*(?:key|token|secret):\s*([^\s\"']{8,})[\"']",
        is_option,
    ),
    Rule(
        "command-option",
        PASSWORD,
        "detect-secrets keyword",
        rf"(?i)\s--?(?:[a-z]+-)?(?:{_OPTION_NAMES})(?:=|[ \t]+)[\"']?([^\s\"'`]{{6,}})",
        is_option,
    ),
    Rule(
        "query-parameter",
        KEY,
        "gitleaks generic-api-key",
        rf"(?i)[?&](?:[\w.-]*(?:{_OPTION_NAMES}|auth|key)|sig|signature)=([^\s\"'`&#<>;{{}}]{{8,}})",
        is_option,
    ),
    Rule(
        "connection-string",
        PASSWORD,
        "GitHub generic patterns: connection strings",
        r"(?i)[;\"'\s](?:password|pwd)\s?=\s?([^;\"'\s&]{5,});",
        is_option,
    ),
    Rule(
        "element",
        PASSWORD,
        "gitleaks nuget-config-password; detect-secrets keyword",
        rf"(?i)<(?:\w+:)?[\w.-]*(?:{_PASSWORD_NAMES}|{_KEY_NAMES}){_SUFFIX}>\s*([^<>\s]{{6,}})\s*</",
        is_option,
        r"(?i)>\s*[^<>\s]{6,}\s*</(?:\w+:)?[\w.\-]*(?:pass|pwd|pw|secret|token|key|credential|auth|bearer)",
    ),
    Rule(
        "name-and-value",
        PASSWORD,
        "gitleaks nuget-config-password; Kubernetes: EnvVar",
        rf"(?i)\b(?:name|key)[\"']?\s*[:=]\s*[\"']?[\w.:-]*(?:{_PASSWORD_NAMES}|{_KEY_NAMES})[\w.-]*[\"']?,?\s+"
        r"(?:-\s*)?[\"']?value[\"']?\s*[:=]\s*[\"']?([^\"'\s]{6,})",
        is_option,
    ),
    Rule(
        "environment",
        KEY,
        "docker run --env; sh(1), assignments before a command",
        r"\b[A-Z][A-Z0-9_]*(?:PASSWORD|PASSWD|PASS|PWD|TOKEN|SECRET|KEY)=([^\s\"'`,;(){}\[\]<>$\\]*[0-9][^\s\"'`,;(){}\[\]<>$\\]*)",
        is_option,
    ),
    Rule(
        "command-password",
        PASSWORD,
        "mysql(1), sshpass(1)",
        r"\bmysql\w*\b[^\n]{0,200}?\s-p([^\s\"']{6,})" r"|\bsshpass\s+-p\s*[\"']?([^\s\"']{6,})",
        is_option,
    ),
    Rule("sql-password", PASSWORD, "SQL: CREATE USER", r"(?i)\bidentified\s+by\s+'([^'\s]{6,})'", is_option),
    Rule("netrc", PASSWORD, "netrc(5)", r"\blogin\s+\S+\s+password\s+(\S{6,})", is_option),
    Rule(
        "named-password",
        PASSWORD,
        "detect-secrets keyword",
        _named(_PASSWORD_NAMES),
        is_named_password,
        r"(?i)(?:pass|pwd|pw)[\w\"'`\]) \[\\]{0,30}[=:(,<{ \t][^\"'`]{0,40}[\"'`][^\"'`\s]*[0-9!@#$%^&*?]",
    ),
    Rule(
        "named-secret",
        KEY,
        "gitleaks generic-api-key; detect-secrets keyword",
        _named(_KEY_NAMES),
        is_named_secret,
        r"(?i)(?:secret|token|credential|key|auth|bearer)[\w\"'`\]) \\]{0,30}[=:(,<{ \t][^\"'`]{0,40}[\"'`][^\"'`\s]*[0-9]",
    ),
    Rule(
        "service-key",
        KEY,
        "gitleaks, the rules by a provider's name",
        rf"(?i)\b[\w.-]*key[\"'`]?[\])]{{0,2}}\s*(?:=>|:=|[=:])\s*{_QUOTED}",
        is_service_key,
        r"(?i)key[\"'`]?[\])]{0,2}\s{0,3}(?:=>|:=|[=:])\s{0,3}[\"'`][^\"'`\s]*[0-9]",
    ),
    Rule(
        "password-line",
        PASSWORD,
        "detect-secrets keyword, settings files",
        _named_line(_PASSWORD_NAMES, rf"(?:{_SETS}|[ \t]+)"),
        is_bare_password,
        r"(?im)(?:pass|pwd|pw)[\w.\-\"']{0,24}[ \t]{0,3}[?+]?[=: ]" + _BARE_CLUE,
    ),
    Rule(
        "secret-line",
        KEY,
        "gitleaks generic-api-key, settings files",
        _named_line(_KEY_NAMES, _SETS),
        is_bare_secret,
        r"(?im)(?:secret|token|credential|key|auth|bearer)[\w.\-\"']{0,24}[ \t]{0,3}[?+]?[=:]" + _BARE_CLUE,
    ),
)
