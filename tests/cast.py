"""The cast of every test: ada the maintainer, grace the member, and mallory, who is nobody.

Beside them iris the admin, victor the viewer and root the superuser.

A pytest plugin (tests/conftest.py names it). A client is signed in by session, as a browser is; `anonymous` is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import factories

if TYPE_CHECKING:
    from django.test import Client

    from controlplane.access.models import Project, User


@pytest.fixture
def project(db: None) -> Project:
    return factories.project(slug="demo", name="First yard")


@pytest.fixture
def other_project(db: None) -> Project:
    """A project in which mallory is admin, and nobody else anything."""
    return factories.project(slug="elsewhere", name="Elsewhere")


@pytest.fixture
def ada(project: Project) -> User:
    return factories.user("ada", project, "MAINTAINER")


@pytest.fixture
def grace(project: Project) -> User:
    return factories.user("grace", project, "MEMBER")


@pytest.fixture
def victor(project: Project) -> User:
    return factories.user("victor", project, "VIEWER")


@pytest.fixture
def iris(project: Project) -> User:
    """The project's admin."""
    return factories.user("iris", project, "ADMIN")


@pytest.fixture
def root(db: None) -> User:
    return factories.user("root", is_superuser=True, is_staff=True)


@pytest.fixture
def mallory(other_project: Project) -> User:
    """Admin of her own project, so that what she meets is the door of the project and not of the site."""
    return factories.user("mallory", other_project, "ADMIN")


@pytest.fixture
def ada_client(ada: User) -> Client:
    return factories.signed_in_client(ada)


@pytest.fixture
def grace_client(grace: User) -> Client:
    return factories.signed_in_client(grace)


@pytest.fixture
def victor_client(victor: User) -> Client:
    return factories.signed_in_client(victor)


@pytest.fixture
def iris_client(iris: User) -> Client:
    return factories.signed_in_client(iris)


@pytest.fixture
def root_client(root: User) -> Client:
    return factories.signed_in_client(root)


@pytest.fixture
def mallory_client(mallory: User) -> Client:
    return factories.signed_in_client(mallory)


@pytest.fixture
def anonymous(db: None) -> Client:
    from django.test import Client

    return Client()
