"""What people may type about people, projects and tokens. Forms check shapes; the actions say what is allowed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm, SetPasswordForm, UsernameField
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.utils import timezone

from controlplane.access.models import ApiToken, Role, User

LIFETIMES = ((7, "7 days"), (30, "30 days"), (90, "90 days"), (365, "a year"))


class SignInForm(AuthenticationForm):
    """Name and password; the same words for a wrong one, an unknown one and one switched off."""

    error_messages = dict.fromkeys(("invalid_login", "inactive"), "That name and password do not go together.")


def password_form(user: User, data: Any = None) -> SetPasswordForm[User]:
    """Django's own form: it asks for the old password, unless links are all that the account has had."""
    return PasswordChangeForm(user, data) if user.has_usable_password() else SetPasswordForm(user, data)


class ProjectForm(forms.Form):
    name = forms.CharField(max_length=80)
    slug = forms.SlugField(max_length=50, help_text="The project's part of every address; it does not change later.")

    def clean_slug(self) -> str:
        slug: str = self.cleaned_data["slug"].lower()
        if slug == "new":
            raise forms.ValidationError("This address is taken by the page that makes projects.")
        return slug


class ProjectEditForm(forms.Form):
    name = forms.CharField(max_length=80)
    description = forms.CharField(required=False, max_length=2_000, widget=forms.Textarea(attrs={"rows": 3}))


class PersonForm(forms.Form):
    """Someone to let in: who has an account joins; for who has none it is made."""

    username = UsernameField(max_length=150, validators=[UnicodeUsernameValidator()])
    role = forms.TypedChoiceField(choices=Role.choices, coerce=lambda value: Role(int(value)), initial=Role.MEMBER)
    password = forms.CharField(
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Only for a new account. Left empty, they sign in by a link that you make here.",
    )

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        if password:
            validate_password(password)
        return password


class RoleForm(forms.Form):
    role = forms.TypedChoiceField(choices=Role.choices, coerce=lambda value: Role(int(value)))


class TokenForm(forms.Form):
    name = forms.CharField(max_length=80, help_text="What will use it: the name is shown in the audit trail.")
    scopes = forms.MultipleChoiceField(
        choices=ApiToken.Scope.choices, widget=forms.CheckboxSelectMultiple, label="It may"
    )
    days = forms.TypedChoiceField(choices=LIFETIMES, coerce=int, initial=90, label="It ends after")

    def fields_of_token(self) -> dict[str, Any]:
        """What `create_token` takes of a valid form."""
        ends = timezone.now() + timedelta(days=self.cleaned_data["days"])
        return {"name": self.cleaned_data["name"], "scopes": self.cleaned_data["scopes"], "expires_at": ends}
