"""What all REST endpoints share: the way in, reading a request, writing once, lists and errors."""
