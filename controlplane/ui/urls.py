"""The face's own page: the style guide."""

from django.urls import path

from controlplane.ui import views

app_name = "ui"
urlpatterns = [path("styleguide/", views.styleguide, name="styleguide")]
