from django.urls import path

from controlplane.access import views

app_name = "access"
urlpatterns = [
    path("sign-in/", views.SignIn.as_view(), name="sign-in"),
    path("sign-in/once/<str:token>", views.sign_in_once, name="sign-in-once"),
    path("sign-out/", views.sign_out, name="sign-out"),
    path("account/", views.account, name="account"),
    path("projects/", views.projects, name="projects"),
    path("projects/new", views.new_project, name="new-project"),
    path("projects/<slug:slug>/people/", views.people, name="people"),
    path("projects/<slug:slug>/people/add", views.add_person, name="add-person"),
    path("projects/<slug:slug>/people/<int:pk>/role", views.change_role, name="change-role"),
    path("projects/<slug:slug>/people/<int:pk>/remove", views.remove_person, name="remove-person"),
    path("projects/<slug:slug>/people/<int:pk>/link", views.make_link, name="make-link"),
    path("projects/<slug:slug>/tokens/", views.tokens, name="tokens"),
    path("projects/<slug:slug>/tokens/create", views.create_token, name="create-token"),
    path("projects/<slug:slug>/tokens/<int:pk>/revoke", views.revoke_token, name="revoke-token"),
    path("projects/<slug:slug>/audit/", views.audit_trail, name="audit"),
]
