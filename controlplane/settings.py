"""One settings file, all from the environment; what is missing or wrong says so at start.

With nothing set this is a laptop: everything embedded below STATE_DIR, secrets made on first start. With
YARD_PRODUCTION=1 nothing has a default that is a secret, and the security settings of `manage.py check --deploy` hold.
docs/operations.md lists every variable; a test keeps the list whole.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from controlplane.pipeline.services.layout import kept_secret, services_dir, socket_dir
from controlplane.pipeline.services.ports import triton_address

BASE_DIR = Path(__file__).resolve().parent.parent


def env(name: str, default: str = "") -> str:
    return os.environ.get(name, default)


def env_bool(name: str, default: bool = False) -> bool:
    raw = env(name, "1" if default else "0").lower()
    if raw not in {"0", "1", "true", "false"}:
        raise ImproperlyConfigured(f"{name} must be 1 or 0, not {raw!r}")
    return raw in {"1", "true"}


def env_int(name: str, default: int) -> int:
    raw = env(name, str(default))
    if not raw.isdigit():
        raise ImproperlyConfigured(f"{name} must be a whole number, not {raw!r}")
    return int(raw)


def env_list(name: str, default: str = "") -> list[str]:
    return [item.strip() for item in env(name, default).split(",") if item.strip()]


def env_secret(name: str, state_dir: Path, production: bool) -> str:
    """A secret from NAME or NAME_FILE; on a laptop, made once and kept in the state folder for its owner alone."""
    if value := env(name):
        return value
    if path := env(f"{name}_FILE"):
        return Path(path).read_text().strip()
    if production:
        raise ImproperlyConfigured(f"Set {name} or {name}_FILE: in production no secret has a default.")
    return kept_secret(state_dir / "secrets" / name.lower())


def env_earlier_secrets(name: str) -> list[str]:
    """From NAME, separated by commas, or NAME_FILE, one a line."""
    if path := env(f"{name}_FILE"):
        return Path(path).read_text().split()
    return env_list(name)


PRODUCTION = env_bool("YARD_PRODUCTION")
DEBUG = env_bool("YARD_DEBUG")
STATE_DIR = Path(env("YARD_STATE", str(BASE_DIR / "var"))).absolute()
SECRET_KEY = env_secret("SECRET_KEY", STATE_DIR, PRODUCTION)
SECRET_KEY_FALLBACKS = env_earlier_secrets(
    "SECRET_KEY_FALLBACKS"
)  # so that a change of SECRET_KEY loses nothing sealed
ALLOWED_HOSTS = env_list("ALLOWED_HOSTS", "" if PRODUCTION else "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env_list("CSRF_TRUSTED_ORIGINS")
if PRODUCTION and not ALLOWED_HOSTS:
    raise ImproperlyConfigured("Set ALLOWED_HOSTS to the names this site is reached by, separated by commas.")

# ---- where things are ------------------------------------------------------------------------------------------------

DATABASE_URL = env("DATABASE_URL")
DATABASE_POOL_SIZE = env_int("DATABASE_POOL_SIZE", 0)  # connections kept by a process of many threads: see asgi.py
REDIS_URL = env("REDIS_URL")
TRITON_URL = env("TRITON_URL") or triton_address(STATE_DIR)  # host:port of Triton's gRPC endpoint
STORAGE_URL = env("STORAGE_URL") or str(STATE_DIR / "storage")
SOURCE_ROOTS = env_list("SOURCE_ROOTS")  # folders that local sources must lie in; empty: wherever the workers can read
KEPT_SHARDS_DAYS = env_int("KEPT_SHARDS_DAYS", 30)  # cleaned shards that no ingest used for longer are removed
JOBS_DIR = Path(env("YARD_JOBS_DIR", str(STATE_DIR / "jobs")))
WORKER_PYTHON = Path(env("WORKER_PYTHON", str(BASE_DIR / ".venv" / "worker" / "bin" / "python")))
SERVICES_DIR = services_dir(STATE_DIR)
POSTGRES_DIR = SERVICES_DIR / "postgres"
VALKEY_DIR = SERVICES_DIR / "valkey"
TRITON_DIR = STATE_DIR / "triton"
TRITON_MODEL_REPOSITORY = Path(env("TRITON_MODEL_REPOSITORY", str(TRITON_DIR / "models")))


def database(url: str) -> dict[str, Any]:
    """Django's DATABASES entry: from postgres://user:password@host:port/name?options, or the embedded server's."""
    common: dict[str, Any] = {"ENGINE": "django.db.backends.postgresql", "CONN_HEALTH_CHECKS": True, "CONN_MAX_AGE": 60}
    if DATABASE_POOL_SIZE:
        common |= {
            "OPTIONS": {"pool": {"min_size": 1, "max_size": DATABASE_POOL_SIZE, "timeout": 10}},
            "CONN_MAX_AGE": 0,
        }
    if not url:
        return common | {
            "NAME": "modelyard",
            "USER": "modelyard",
            "PASSWORD": kept_secret(POSTGRES_DIR / "password"),
            "HOST": str(socket_dir(POSTGRES_DIR)),
        }
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured(f"DATABASE_URL must begin with postgres://, not {parts.scheme!r}")
    options = dict(parse_qsl(parts.query))
    return common | {
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", parts.hostname or ""),
        "PORT": str(parts.port or ""),
        "OPTIONS": options | common.get("OPTIONS", {}),
    }


DATABASES = {"default": database(DATABASE_URL)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
QUEUE_URL = REDIS_URL or f"unix://{socket_dir(VALKEY_DIR)}/valkey.sock?db=0"
# JSON, never pickle, and a worker that calls kinds of job only (controlplane.jobs.worker). rqworker needs --serializer too.
RQ_QUEUES = {
    name: {"URL": QUEUE_URL, "DEFAULT_TIMEOUT": -1, "SERIALIZER": "rq.serializers.JSONSerializer"}
    for name in ("cpu", "gpu")
}

# ---- the engine room -------------------------------------------------------------------------------------------------

JOB_LEASE_SECONDS = env_int("JOB_LEASE_SECONDS", 8)  # a worker silent for longer is dead; noticed within 10 s
JOB_STOP_GRACE_SECONDS = env_int("JOB_STOP_GRACE_SECONDS", 30)  # from the stop file to SIGTERM; SIGKILL 5 s later
WORKER_COMMAND = [str(WORKER_PYTHON), "-m", "worker"]  # a stage and its directory follow
JOB_CONCURRENCY = {"train_model": env_int("JOB_CONCURRENCY_TRAIN_MODEL", 1)}  # per kind; kinds not named are unbounded

# ---- Django ----------------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "controlplane.access",
    "controlplane.jobs",
    "controlplane.ui",
    "datasets_app",
    "training_app",
    "eval_app",
    "playground_app",
    "controlplane.pipeline",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_htmx",
    "django_rq",
    "django_ace",
    "template_partials",
    "axes",
    "csp",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
    "controlplane.ui.one_thread.one_thread",  # last: it settles how all above it are called
]
AUTH_USER_MODEL = "access.User"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_FAILURE_LIMIT = 8
AXES_VERBOSE = False  # or every command begins with a line of its own
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_TEMPLATE = "access/locked_out.html"
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "access:sign-in"
LOGIN_REDIRECT_URL = "/"
ROOT_URLCONF = "controlplane.urls"
ASGI_APPLICATION = "controlplane.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "controlplane.ui.context.page",
            ],
        },
    }
]
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_I18N = False  # one language; looking it up took a tenth of a list page's time
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = STATE_DIR / "static" if PRODUCTION else None  # elsewhere the apps' own folders are served, see below
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = not PRODUCTION
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
]


def plotly_bundle() -> Path:
    """plotly.js as the pinned wheel ships it; nothing comes from a CDN."""
    spec = importlib.util.find_spec("plotly")
    if spec is None or spec.origin is None:
        raise ImproperlyConfigured("plotly is not installed: run ./yard up")
    return Path(spec.origin).parent / "package_data"


STATICFILES_DIRS = [("plotly", plotly_bundle())]

# ---- security --------------------------------------------------------------------------------------------------------

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PRODUCTION
# Two yards on one machine share the host name, and cookies do not know ports: each clone has names of its own.
CLONE = hashlib.sha256(str(STATE_DIR).encode()).hexdigest()[:12]
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = f"yard_session_{CLONE}", f"yard_csrf_{CLONE}"
SECURE_SSL_REDIRECT = env_bool("SECURE_SSL_REDIRECT", PRODUCTION)
SECURE_HSTS_SECONDS = 31_536_000 if PRODUCTION else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = PRODUCTION
SECURE_REFERRER_POLICY = "same-origin"
if env_bool("BEHIND_PROXY"):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'"],
        # plotly.js and Ace write style attributes; no stylesheet or script is ever inline in our own pages.
        "style-src": ["'self'", "'unsafe-inline'"],
        "img-src": ["'self'", "data:", "blob:"],
        "worker-src": ["'self'", "blob:"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
        "form-action": ["'self'"],
    }
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env("YARD_LOG_LEVEL", "INFO")},
}
