"""Whether traces are sent, and with webhooks. OpenTelemetry reads its own variables itself."""

from stoa_cp.settings.environment import env

# If not, OpenTelemetry is not even imported.
TRACING_ENABLED = (
    bool(env.text("OTEL_EXPORTER_OTLP_ENDPOINT") or env.text("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))
    and env.text("OTEL_TRACES_EXPORTER", default="otlp") != "none"
    and not env.flag("OTEL_SDK_DISABLED", default=False)
)
TRACING_PROTOCOL = env.text("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or env.text(
    "OTEL_EXPORTER_OTLP_PROTOCOL", default="http/protobuf"
)
STOA_TRACE_WEBHOOKS = env.flag("STOA_TRACE_WEBHOOKS", default=False)
