"""The WSGI application that the web server runs."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stoa_cp.settings")

django = get_wsgi_application()

from apikeys.gateway.fast_path import CachedDecisionMiddleware  # noqa: E402 - models need Django set up
from stoa_cp.caching.listener import start_listening  # noqa: E402 - reads the settings
from stoa_cp.observability.ended_processes import merge_ended_processes  # noqa: E402 - as above
from stoa_cp.observability.logs import check_settings, log_all_output  # noqa: E402 - as above
from stoa_cp.rest.request_body import RequestBodyMiddleware  # noqa: E402 - reads the settings

application = CachedDecisionMiddleware(RequestBodyMiddleware(django))
if settings.IS_PRODUCTION:
    log_all_output()
# A dangerous production configuration ends the process here, before it answers a request. The check of the URLs loads
# the views now. Otherwise the first request would load them, from files that a deployment may have replaced meanwhile.
check_settings("security", "urls")
merge_ended_processes()
# Last: its thread is no daemon, and would keep a process alive that a check refuses.
start_listening()
