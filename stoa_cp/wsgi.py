"""The WSGI application that the web server runs."""

import os

from django.core.management import call_command
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stoa_cp.settings")

django = get_wsgi_application()

from apikeys.gateway.fast_path import CachedDecisionMiddleware  # noqa: E402 - models need Django set up

application = CachedDecisionMiddleware(django)
# A dangerous production configuration ends the process here, before it answers anybody. The check of the URLs loads the
# views: else the first call would, from whatever a deployment has put in their files meanwhile.
call_command("check", "--tag", "security", "--tag", "urls")
