"""The ASGI entry point: one process serves pages, the API and token streams."""

import os
import warnings

from django.core.asgi import get_asgi_application

# WhiteNoise hands its files over as plain iterators. They are small and come from disk; one line of log each helps nobody.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "controlplane.settings")
# Django answers each request in a thread of its own here, which would begin with a new connection: 15 ms. Never pooled in
# a queue worker: it forks, and a pool does not survive that.
os.environ.setdefault("DATABASE_POOL_SIZE", "16")
application = get_asgi_application()
