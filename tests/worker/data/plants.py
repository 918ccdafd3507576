"""Made-up secrets and personal data, and what looks like them, each in a piece of code: what redaction is measured on.

Values follow the formats that the providers document; nothing here is anybody's. `plants(seed, n)` and `decoys(seed, n)`
give the same list for the same seed; the rules were written on seeds below 100, and the tests measure on seeds above.
"""

from __future__ import annotations

import base64
import hashlib
import random
import string
import uuid
from collections.abc import Callable, Iterator
from typing import NamedTuple

LOWER, UPPER, DIGITS = string.ascii_lowercase, string.ascii_uppercase, string.digits
BASE62, HEX = LOWER + UPPER + DIGITS, "0123456789abcdef"
URLSAFE, BASE64 = BASE62 + "-_", BASE62 + "+/"
Make = Callable[[random.Random], str]


class Sample(NamedTuple):
    """`value` is what must go (a plant) or stay (a decoy) of `text`."""

    kind: str
    value: str
    text: str


def some(r: random.Random, alphabet: str, n: int) -> str:
    return "".join(r.choice(alphabet) for _ in range(n))


def _form(*parts: str | tuple[str, int]) -> Make:
    """_form("ghp_", (BASE62, 36)): literal texts and runs of random characters."""
    return lambda r: "".join(part if isinstance(part, str) else some(r, *part) for part in parts)


FIRST = [
    "ada",
    "grace",
    "alan",
    "linus",
    "margaret",
    "edsger",
    "barbara",
    "donald",
    "katherine",
    "dennis",
    "maria",
    "wei",
    "fatima",
    "olga",
    "jose",
    "yuki",
    "priya",
]
LAST = [
    "hopper",
    "turing",
    "lovelace",
    "torvalds",
    "hamilton",
    "dijkstra",
    "liskov",
    "knuth",
    "johnson",
    "ritchie",
    "garcia",
    "zhang",
    "haddad",
    "nowak",
    "sato",
]
HOSTS = [
    "gmail.com",
    "analytical-engines.com",
    "uni-kassel.de",
    "cs.berkeley.edu",
    "proton.me",
    "mail.ru",
    "naver.com",
    "acme.co.uk",
    "corp.io",
]


def email(r: random.Random) -> str:
    first, last = r.choice(FIRST), r.choice(LAST)
    local = r.choice(
        [f"{first}.{last}", f"{first}{r.randint(1, 99)}", f"{first[0]}{last}", f"{first}_{last}+git", last]
    )
    return f"{local}@{r.choice(HOSTS)}"


def public_ipv4(r: random.Random) -> str:
    first = r.choice([n for n in range(11, 223) if n not in (100, 127, 169, 172, 192, 198, 203)])
    return f"{first}.{r.randint(0, 255)}.{r.randint(0, 255)}.{r.randint(1, 254)}"


def public_ipv6(r: random.Random) -> str:
    head = r.choice(["2a01", "2a02", "2600", "2607", "2804", "2408"])
    groups = [f"{r.randint(1, 65535):x}" for _ in range(7)]
    return r.choice(
        [
            f"{head}:{':'.join(groups)}",
            f"{head}:{groups[0]}:{groups[1]}::{groups[2]}",
            f"{head}:{groups[0]}::{groups[1]}",
        ]
    )


def password(r: random.Random) -> str:
    word = r.choice(["Sommer", "tiger", "Galaxy", "mustang", "Kirsche", "falcon", "Broccoli"])
    return r.choice(
        [
            f"{word}{r.randint(10, 9999)}{r.choice('!?#%&*')}",
            f"{word[:2]}{r.choice('@$!')}{word[2:]}{r.randint(1, 99)}",
            some(r, BASE62, r.randint(8, 20)) + r.choice(DIGITS),
            some(r, BASE62 + "!@#%^&*-_=+", r.randint(10, 20)) + r.choice(DIGITS) + r.choice(LOWER),
        ]
    )


def pem(r: random.Random, label: str = "RSA PRIVATE KEY") -> str:
    lines = "\n".join(some(r, BASE64, 64) for _ in range(r.randint(3, 8)))
    return f"-----BEGIN {label}-----\n{lines}\n{some(r, BASE64, 30)}==\n-----END {label}-----"


def web_token(r: random.Random) -> str:
    part = [
        base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
        for text in (
            '{"alg":"HS256","typ":"JWT"}',
            f'{{"sub":"{r.randint(1, 10**9)}","name":"{r.choice(FIRST)}","iat":{r.randint(10**9, 2 * 10**9)}}}',
        )
    ]
    return f"{part[0]}.{part[1]}.{some(r, URLSAFE, 43)}"


# kind -> the value alone; it stands in any assignment
TOKENS: dict[str, Make] = {
    "aws-id": _form("AKIA", (UPPER + "234567", 16)),
    "github": lambda r: r.choice(["ghp_", "gho_", "ghs_", "ghu_", "ghr_"]) + some(r, BASE62, 36),
    "github-fine": _form("github_pat_", (BASE62, 22), "_", (BASE62, 59)),
    "gitlab": _form("glpat-", (URLSAFE, 20)),
    "slack-bot": _form("xoxb-", (DIGITS, 12), "-", (DIGITS, 13), "-", (BASE62, 24)),
    "slack-app": _form("xapp-1-A", (UPPER + DIGITS, 10), "-", (DIGITS, 13), "-", (HEX, 64)),
    "slack-webhook": _form("https://hooks.slack.com/services/T", (UPPER + DIGITS, 9), "/B", (UPPER + DIGITS, 10), "/", (BASE62, 24)),
    "stripe": lambda r: r.choice(["sk_live_", "rk_live_", "sk_test_"]) + some(r, BASE62, r.choice([24, 99])),
    "google": _form("AIza", (URLSAFE, 35)),
    "google-oauth": _form("ya29.", (URLSAFE, 120)),
    "google-secret": _form("GOCSPX-", (URLSAFE, 28)),
    "openai": _form("sk-proj-", (URLSAFE, 74), "T3BlbkFJ", (URLSAFE, 74)),
    "openai-old": _form("sk-", (BASE62, 20), "T3BlbkFJ", (BASE62, 20)),
    "anthropic": _form("sk-ant-api03-", (URLSAFE, 93), "AA"),
    "hugging-face": _form("hf_", (LOWER + UPPER, 34)),
    "npm": _form("npm_", (BASE62, 36)),
    "pypi": _form("pypi-AgEIcHlwaS5vcmc", (URLSAFE, 120)),
    "rubygems": _form("rubygems_", (HEX, 48)),
    "docker": _form("dckr_pat_", (URLSAFE, 27)),
    "sendgrid": _form("SG.", (URLSAFE, 22), ".", (URLSAFE, 43)),
    "mailgun": _form("key-", (HEX, 32)),
    "mailchimp": _form((HEX, 32), "-us", (DIGITS, 2)),
    "twilio": _form("SK", (HEX, 32)),
    "telegram": _form((DIGITS, 9), ":AA", (URLSAFE, 33)),
    "discord": _form("M", (BASE62, 23), ".", (URLSAFE, 6), ".", (URLSAFE, 27)),
    "shopify": _form("shpat_", (HEX, 32)),
    "square": _form("sq0atp-", (URLSAFE, 22)),
    "digitalocean": _form("dop_v1_", (HEX, 64)),
    "databricks": _form("dapi", (HEX, 32)),
    "vault": _form("hvs.", (URLSAFE, 95)),
    "terraform": _form((BASE62, 14), ".atlasv1.", (URLSAFE, 64)),
    "linear": _form("lin_api_", (BASE62, 40)),
    "notion": _form("ntn_", (DIGITS, 11), (BASE62, 35)),
    "postman": _form("PMAK-", (HEX, 24), "-", (HEX, 34)),
    "new-relic": _form("NRAK-", (UPPER + DIGITS, 27)),
    "grafana": _form("glsa_", (BASE62, 32), "_", (HEX, 8)),
    "azure-ad": _form((BASE62, 3), "8Q~", (URLSAFE + "~.", 34)),
    "atlassian": _form("ATATT3xFfGF0", (URLSAFE + "=", 174)),
    "facebook": _form("EAAC", (BASE62, 160)),
    "age": _form("AGE-SECRET-KEY-1", ("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58)),
    "web-token": web_token,
    "email": email,
    "ipv4": public_ipv4,
    "ipv6": public_ipv6,
}  # fmt: skip

# `{n}` is a name, `{v}` the value
QUOTED = (
    '{n} = "{v}"',
    "{n} = '{v}'",
    'const {n} = "{v}";',
    "let {n}: string = '{v}';",
    'private static final String {n} = "{v}";',
    '{n} := "{v}"',
    'let {n}: &str = "{v}";',
    "${n} = '{v}';",
    'std::string {n}("{v}");',
    "{n}: '{v}',",
    '  "{n}": "{v}",',
    "  '{n}' => '{v}',",
    '#define {n} "{v}"',
    'var {n} = @"{v}";',
    'val {n}: String = "{v}"',
    'os.environ["{n}"] = "{v}"',
    "client = Client({n}='{v}', timeout=3)",
    'client.set("{n}", "{v}");',
    'define("{n}", "{v}");',
    "{n} <- '{v}'",
)
BARE = (
    "{n}={v}",
    "{n}: {v}",
    "export {n}={v}",
    "  {n}: {v}  # rotated in May",
    "{n} = {v}",
    "ENV {n}={v}",
    "# {n}={v}",
)
LOOSE = (
    "// was {v} until May",
    "# ask for {v}",
    "<!-- {v} -->",
    'log.info("using {v}")',
    "* {v}",
    '["{v}", 1]',
    "({v})",
)
NAMES = "value result default_thing item first_one x DATA SETTING entry"
KEY_NAMES = (
    "api_key apiKey API_KEY secret_key SECRET_KEY client_secret clientSecret auth_token AUTH_TOKEN access_token accessToken "
    "DATADOG_API_KEY twitter_api_secret private_token app_secret webhook_secret JWT_SECRET encryption_key service_token"
)
PASSWORD_NAMES = "password PASSWORD db_password DB_PASSWORD dbPassword passwd smtp_pass MYSQL_ROOT_PASSWORD pwd adminPassword passphrase"


def _in(r: random.Random, contexts: tuple[str, ...], names: str, value: str) -> str:
    return r.choice(contexts).replace("{n}", r.choice(names.split())).replace("{v}", value)


def _token(kind: str) -> Callable[[random.Random], Sample]:
    def make(r: random.Random) -> Sample:
        value = TOKENS[kind](r)
        return Sample(kind, value, _in(r, (*QUOTED, *BARE, *LOOSE), f"{NAMES} token", value))

    return make


def _named_secret(r: random.Random) -> Sample:
    value = r.choice(
        [some(r, BASE62, r.choice([20, 32, 40])), some(r, HEX, r.choice([32, 40, 64])), some(r, LOWER + DIGITS, 24)]
    )
    return Sample("named-secret", value, _in(r, (*QUOTED, *BARE), KEY_NAMES, value))


def _named_password(r: random.Random) -> Sample:
    value = password(r)
    return Sample("named-password", value, _in(r, (*QUOTED, *BARE), PASSWORD_NAMES, value))


def _url_login(r: random.Random) -> Sample:
    value = r.choice(
        [some(r, BASE62, r.randint(8, 20)) + "7k", f"{r.choice(['Sommer', 'tiger', 'falcon'])}{r.randint(10, 999)}"]
    )
    scheme = r.choice(["postgres", "postgresql", "mysql", "mongodb+srv", "redis", "amqp", "https", "ftp"])
    host = r.choice(["db.internal", "10.0.3.4", "prod.cluster.acme.io", "localhost", "cache-01"])
    url = f"{scheme}://{r.choice(['app', 'svc', 'deploy', ''])}:{value}@{host}:{r.randint(1000, 9999)}/{r.choice(LAST)}"
    return Sample("url-login", value, _in(r, (*QUOTED, *BARE, *LOOSE), "DATABASE_URL url dsn broker", url))


def _aws_secret(r: random.Random) -> Sample:
    value = some(r, BASE64, 38) + "7x"
    return Sample(
        "aws-secret", value, _in(r, (*QUOTED, *BARE), "aws_secret_access_key AWS_SECRET_ACCESS_KEY awsSecretKey", value)
    )


def _private_key(r: random.Random) -> Sample:
    label = r.choice(["RSA PRIVATE KEY", "PRIVATE KEY", "EC PRIVATE KEY", "OPENSSH PRIVATE KEY", "DSA PRIVATE KEY"])
    value = pem(r, label)
    text = r.choice([value, f'key = """{value}"""', '"private_key": "' + value.replace("\n", "\\n") + '\\n"'])
    return Sample("private-key", value.split("\n")[2], text)


def _storage_key(r: random.Random) -> Sample:
    value = some(r, BASE64, 86) + "=="
    text = f"DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={value};EndpointSuffix=core.windows.net"
    return Sample("azure-storage", value, _in(r, (*QUOTED, *BARE), "CONNECTION storage", text))


def _header(r: random.Random) -> Sample:
    basic = base64.b64encode(f"{r.choice(FIRST)}:{some(r, BASE62, 14)}".encode()).decode()
    value, word = r.choice([(some(r, BASE62, 40), "Bearer"), (basic, "Basic")])
    text = r.choice(
        [
            'headers = {{"Authorization": "{} {}"}}',
            'curl -H "Authorization: {} {}" https://api.acme.io',
            "Authorization: {} {}",
        ]
    )
    return Sample("authorization", value, text.format(word, value))


def _connection(r: random.Random) -> Sample:
    value = some(r, BASE62, 12) + "4!"
    text = f"Server=tcp:sql.acme.io,1433;Database=shop;User ID=svc;Password={value};Encrypt=True;"
    return Sample("connection-string", value, _in(r, (*QUOTED, *BARE), "ConnectionString Default dsn", text))


PLANTS: tuple[Callable[[random.Random], Sample], ...] = (
    *(_token(kind) for kind in TOKENS),
    *(_named_secret, _named_password, _url_login, _aws_secret, _private_key, _storage_key, _header, _connection),
)


def _digest(r: random.Random) -> str:
    return hashlib.new(r.choice(["md5", "sha1", "sha256", "sha512"]), some(r, LOWER, 9).encode()).hexdigest()


def _integrity(r: random.Random) -> str:
    return "sha512-" + base64.b64encode(hashlib.sha512(some(r, LOWER, 9).encode()).digest()).decode()


def _private_ip(r: random.Random) -> str:
    rest = f"{r.randint(0, 255)}.{r.randint(1, 254)}"
    return r.choice(
        [
            f"192.168.{rest}",
            f"10.7.{rest}",
            f"172.16.{rest}",
            "127.0.0.1",
            "0.0.0.0",
            "192.0.2.17",
            "203.0.113.9",
            "198.51.100.3",
        ]
    )


STAND_INS = (
    *(
        "YOUR_KEY_HERE",
        "xxxxxxxxxxxxxxxxxxxx",
        "${API_KEY}",
        "<token>",
        "your-api-key-12345",
        "{{ api_key }}",
        "changeme123",
    ),
    *(
        "sk_test_xxxxxxxxxxxxxxxxxxxxxxxx",
        "ghp_XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX",
        "insert-token-here-1",
        "%API_KEY_1%",
    ),
    *(
        "AKIAIOSFODNN7EXAMPLE",
        "process.env.API_KEY2",
        "REPLACE_ME_2024",
        "********",
        "AIzaSyXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX",
    ),
)
SCOPES = ("keyword.$0", "string.escape", "variable.parameter", "constant.language.boolean")
LOGINS = ("user:password@host", "user:pass@localhost", "username:password@example.com", "root:root@127.0.0.1")
CODE = [
    "self.password2",
    "get_password()",
    "settings.SECRET_KEY",
    "hash_password(raw)",
    "None",
    "str",
    "options.token1",
    "new_pass",
]
LABELS = ("Password", "Enter password", "password_field", "current-password", "token_endpoint", "api_key_id")


def _chosen(values: tuple[str, ...] | list[str]) -> Make:
    return lambda r: r.choice(values)


def _version(r: random.Random) -> str:
    return f"{r.randint(0, 9)}.{r.randint(0, 60)}.{r.randint(0, 9)}.{r.randint(0, 40)}"


def _example_email(r: random.Random) -> str:
    hosts = ["example.com", "example.org", "mail.example.net", "host.test", "foo.invalid"]
    return f"{r.choice(FIRST)}@{r.choice(hosts)}"


# kind -> (value, contexts with `{v}`)
LOOK_ALIKES: dict[str, tuple[Make, tuple[str, ...]]] = {
    "digest": (
        _digest,
        ('sha256 = "{v}"', '"hash": "{v}",', "checksum: {v}", "{v}  release.tar.gz", "expected = '{v}'"),
    ),
    "integrity": (_integrity, ('"integrity": "{v}",', 'integrity="{v}"', "integrity {v}")),
    "uuid": (
        lambda r: str(uuid.UUID(int=r.getrandbits(128))),
        ('id = "{v}"', '"request_id": "{v}"', "<Project Id='{v}'>", "# {v}"),
    ),
    "git-sha": (_form((HEX, 40)), ("commit {v}", 'rev = "{v}"', '"gitHead": "{v}",', "ref: {v}", "index {v}..{v}")),
    "version": (
        _version,
        (
            *('version = "{v}"', "foo=={v}", '__version__ = "{v}"', 'AssemblyVersion("{v}")', "libfoo-{v}.tar.gz"),
            *("v{v}", "## {v} (2021-03-04)"),
        ),
    ),
    "cvs-id": (
        lambda r: f"1.{r.randint(1, 90)}.{r.randint(1, 9)}.{r.randint(1, 9)}",
        ("$Id: file.c,v {v} 2004/03/02 jim Exp $", "RCS revision {v}"),
    ),
    "section": (
        lambda r: f"{r.randint(11, 30)}.{r.randint(1, 30)}.{r.randint(1, 9)}.{r.randint(1, 9)}",
        ("// {v} requirements", "see ISO 14882 {v}"),
    ),
    "example-email": (_example_email, ('mail = "{v}"', "# {v}", "<{v}>")),
    "stand-in-email": (
        _chosen(["user@domain.com", "you@company.com", "name@email.com", "your@email.com"]),
        ('mail = "{v}"',),
    ),
    "scope": (
        lambda r: f"@{r.choice(LAST)}/{r.choice(FIRST)}",
        ("import x from '{v}';", '"{v}": "^1.2.3",', "npm i {v}@2.3.4"),
    ),
    "remote": (
        lambda r: f"git@github.com:{r.choice(LAST)}/{r.choice(FIRST)}.git",
        ("url = {v}", "git clone {v}"),
    ),
    "matrix": (lambda r: f"{r.choice(FIRST)}@{r.choice(LAST)}.T", ("y = {v}", "loss = ({v}).sum()")),
    "private-ip": (_private_ip, ('host = "{v}"', "http://{v}:8080/", "bind {v}", "# {v}")),
    "stand-in": (_chosen(STAND_INS), ('api_key = "{v}"', "token: '{v}'", "SECRET={v}", '"password": "{v}",')),
    "image": (
        lambda r: "data:image/png;base64,iVBORw0KGgo" + some(r, BASE64, 200),
        ('<img src="{v}">', "background: url({v});"),
    ),
    "colour": (lambda r: "#" + some(r, HEX, 6), ("color: {v};", 'token = "{v}"', "accentKey: '{v}'")),
    "test-vector": (
        lambda r: hashlib.sha256(b"abc%d" % r.randint(0, 99)).hexdigest(),
        ('assertEqual(h("abc"), "{v}")', "Digest: {v}", 'vector("{v}")', 'secret := fromHex("{v}")'),
    ),
    "grammar": (_chosen(SCOPES), ('token: "{v}"', "token : '{v}',")),
    "documented-login": (_chosen(LOGINS), ("# mysql://{v}/db", 'parse("http://{v}/")', "``https://{v}``")),
    "code": (_chosen(CODE), ("password = {v}", "token = {v}", "secret={v},", "pwd: {v}")),
    "label": (
        _chosen(LABELS),
        ('password: "{v}"', 'label = "{v}"', '<input type="password" name="{v}">', 'token = "{v}"'),
    ),
    "certificate": (lambda r: pem(r, "CERTIFICATE"), ("{v}", 'ca = """{v}"""')),
    "public-key": (
        lambda r: "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQ" + some(r, BASE64, 200),
        ("{v} build", 'key = "{v}"'),
    ),
    "slice": (lambda r: f"[{r.randint(1, 9)}::{r.randint(2, 9)}]", ("x{v}", "a = b{v}")),
    "scope-operator": (lambda r: f"{some(r, 'abcdef', 4)}::{some(r, 'abcdef', 3)}", ("{v}()", "use {v};")),
}


def plants(seed: int, n: int) -> Iterator[Sample]:
    """n plants, each kind in turn."""
    r = random.Random(seed)
    for number in range(n):
        yield PLANTS[number % len(PLANTS)](r)


def decoys(seed: int, n: int) -> Iterator[Sample]:
    r = random.Random(seed)
    kinds = sorted(LOOK_ALIKES)
    for number in range(n):
        make, contexts = LOOK_ALIKES[kinds[number % len(kinds)]]
        value = make(r)
        yield Sample(kinds[number % len(kinds)], value, r.choice(contexts).replace("{v}", value))
