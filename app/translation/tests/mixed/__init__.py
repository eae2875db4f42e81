"""An application for tests: the translation beside the actors of tests/testapp, and a worker that dies if asked to."""

import os

workloads = ("app.translation", "app.webhooks", "testapp.actors")

if os.environ.get("DIE_AT_FIRST_END"):
    from .dying import die_at_the_first_end

    die_at_the_first_end()
