"""Network addresses: the client's own, those that outbound requests may reach, and the URLs they are sent to."""
