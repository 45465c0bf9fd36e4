"""The default plugins, one module each. ``rules.scheduling.registry`` lists them in order."""
