"""All the site's addresses. Each app owns its own; what belongs to a project lives under /projects/<project>/."""

from django.contrib import admin
from django.urls import path

urlpatterns = [path("admin/", admin.site.urls)]
