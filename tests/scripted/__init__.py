"""An HTTP upstream that does what each request tells it to, in all dialects: the other end of the project's tests."""
