"""Pictures that only one lesson draws, one module a lesson, so that its cells stay about its subject."""
