"""Django settings. Everything that differs between installations comes from the environment."""

import logging
import secrets
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import dj_database_url

from courierweb.console.appearance import UNFOLD  # noqa: F401 - read by django-unfold
from courierweb.environment import ROOT, load

ENVIRONMENT = load()
BASE_DIR = ROOT


def _secret_key(path: Path) -> str:
    """The installation's key, made on first use; readable by its owner only."""
    try:
        return path.read_text()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        key = secrets.token_urlsafe(50)
        path.touch(mode=0o600)
        path.write_text(key)
        return key


SECRET_KEY = _secret_key(ENVIRONMENT.home / "secret_key")
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "courierweb.urls"
WSGI_APPLICATION = "courierweb.wsgi.application"

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_rq",
    "mta.apps.MtaConfig",
    "courierweb.apps.CourierwebConfig",
    "courierweb.console.apps.ConsoleConfig",
    "courierweb.jobs.apps.JobsConfig",
    "courierweb.portal.apps.PortalConfig",
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
    "courierweb.console.csp.ContentSecurityPolicy",
    "courierweb.console.actor.NamedTransaction",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {
    "default": dj_database_url.parse(
        ENVIRONMENT.database_url or "postgresql://courierweb@localhost/courierweb",
        conn_max_age=None,
        conn_health_checks=True,
    )
}
# A database that does not answer must not hold a session or a worker for ever.
DATABASES["default"].setdefault("OPTIONS", {}).update(
    {
        "connect_timeout": 5,
        # Allows what asks for it (mta.queue.prepared) to keep its statements prepared.
        "prepare_threshold": 1000,
        # An acknowledged message is on disk, whatever the server's own default says.
        "options": "-c statement_timeout=30000 -c lock_timeout=5000 -c synchronous_commit=on",
    }
)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 8},
    },
]

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True
FORMAT_MODULE_PATH = "courierweb.console.formats"

STATIC_URL = "static/"
STATICFILES_DIRS = [ROOT / "static"]
STATIC_ROOT = ENVIRONMENT.home / "static"

BROKER_URL = ENVIRONMENT.broker_url or "redis://localhost:6379/0"


def _next_database(broker_url: str) -> str:
    """The database after that of the broker, as redis-py spells it."""
    parts = urlsplit(broker_url.replace("valkey://", "redis://", 1))
    if parts.scheme == "redis+socket":
        query = dict(parse_qsl(parts.query))
        credentials = f":{query['password']}@" if "password" in query else ""
        return f"unix://{credentials}{parts.path}?db={int(query.get('virtual_host', 0)) + 1}"
    return parts._replace(path=f"/{int(parts.path.strip('/') or 0) + 1}").geturl()


RQ_QUEUES = {"default": {"URL": _next_database(BROKER_URL), "DEFAULT_TIMEOUT": 3600}}
RQ = {"WORKER_CLASS": "courierweb.jobs.worker.HeartbeatWorker"}

# Nudges only: results are nobody's business, and a task that is lost or repeated does no harm.
CELERY_BROKER_URL = BROKER_URL.replace("valkey://", "redis://", 1)
CELERY_TASK_IGNORE_RESULT = True
# Without this Celery closes the database connection around every task: a new server process each.
CELERY_DB_REUSE_MAX = 10_000
CELERY_TASK_DEFAULT_QUEUE = "local"
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_CONNECTION_TIMEOUT = 2
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_connect_timeout": 2, "socket_timeout": 5}
CELERY_TASK_PUBLISH_RETRY = False
CELERY_BEAT_SCHEDULE = {
    "tick": {"task": "mta.tick", "schedule": 3.0},
    "sweep": {"task": "mta.sweep", "schedule": 10.0},
}

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "/"

# No line shows a source line or a thread, and the mail log is written for every message; what is
# not shown is not looked up (the logging HOWTO, "Optimization").
logging._srcfile = None
logging.logThreads = False
logging.logMultiprocessing = False

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "%(asctime)s %(name)s[%(process)d] %(levelname)s %(message)s"}
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    # A line per task says nothing that the mail log does not say better.
    "loggers": {
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.worker.request": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
    },
}

# The first makes new passwords; the last reads those that came from another server.
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    "mta.models.crypt_hasher.ShaCryptHasher",
]
