"""Django behind the gate: who is asking?

Django drops ``clerk_user_id`` under ASGI, and WSGI servers drop it before Django is asked. So
the gate runs with ``WICKETGATE_IDENTITY_ALIASES=x-clerk-user-id`` and this reads the alias.

Mind ``PersistentRemoteUserMiddleware``: it keeps a user signed in, in a session of Django's own,
when the header is no longer there.

Run: ``gunicorn --bind 127.0.0.1:8081 django_app:wsgi`` or
``uvicorn django_app:asgi --host 127.0.0.1 --port 8081``
"""

import re

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponseServerError, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import re_path

USER_ID = re.compile(r"user_[A-Za-z0-9]+")


def who(request: HttpRequest) -> HttpResponseBase:
    """Say who is asking: a Clerk id, or null when nobody is signed in."""
    user = request.headers.get("x-clerk-user-id")
    # Django joins what came twice with a comma, which is no user id.
    if user is not None and not USER_ID.fullmatch(user):
        return HttpResponseServerError("the gate did not write this identity header")
    return JsonResponse({"user": user})


urlpatterns = [re_path("", who)]

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])  # Envoy's routes say which hosts
wsgi = get_wsgi_application()
asgi = get_asgi_application()
