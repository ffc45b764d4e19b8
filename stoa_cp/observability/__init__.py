"""What operations staff look at: response headers, health checks, request metrics."""
