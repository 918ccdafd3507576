"""The ASGI entry point: one process serves pages, the API and token streams."""

import atexit
import gc
import os
import warnings
from importlib import import_module

from django.conf import settings
from django.core.asgi import get_asgi_application

# WhiteNoise hands its files over as plain iterators. They are small and come from disk; one line of log each helps nobody.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "controlplane.settings")
# Django answers each request in a thread of its own here, which would begin with a new connection: 15 ms. Never pooled in
# a queue worker: it forks, and a pool does not survive that.
os.environ.setdefault("DATABASE_POOL_SIZE", "16")
application = get_asgi_application()
import_module(settings.ROOT_URLCONF)  # and with it every view, before the first person waits for it
# What is here now never goes. A full collection walked its 145,000 objects and held up one request in twenty for 130 ms.
gc.collect()
gc.freeze()
atexit.register(gc.unfreeze)  # or DuckDB's binding counts all it has as leaked
