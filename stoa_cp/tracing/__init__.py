"""Traces of OpenTelemetry: from a request through the event log and tasks to each attempt to deliver.

- ``spans.span`` is one piece of work; it does nothing of OpenTelemetry unless the environment names a receiver.
- ``spans.current_traceparent`` is what the event log and the messages of tasks carry (W3C Trace Context).
- ``middleware.TracingMiddleware`` takes it from requests.
- Without ``OTEL_EXPORTER_OTLP_ENDPOINT`` no package of OpenTelemetry is imported; a caller's ``traceparent`` is kept.
"""
