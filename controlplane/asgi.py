"""The ASGI entry point: one process serves pages, the API and token streams."""

import os
import warnings

from django.core.asgi import get_asgi_application

# WhiteNoise hands its files over as plain iterators. They are small and come from disk; one line of log each helps nobody.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "controlplane.settings")
application = get_asgi_application()
