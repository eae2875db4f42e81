"""dramatiq's own tests, run on Tandem's broker and worker: `bin/test conformance`."""
