"""The WSGI application that the web server runs."""

import os

from django.core.management import call_command
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stoa_cp.settings")

application = get_wsgi_application()
# A dangerous production configuration ends the process here, before it answers anybody.
call_command("check", "--tag", "security")
