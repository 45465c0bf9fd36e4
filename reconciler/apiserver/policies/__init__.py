"""Admission that users configure: ValidatingAdmissionPolicies, and webhooks that validate or change objects.

``configured`` knows what is configured now, and loads the rest when something is. ``admission`` leads a write through
it; ``matching`` says what is about which write; ``validating`` evaluates policies; ``webhooks`` asks webhooks, over
``calls``; ``checks`` is about these objects themselves; ``controllers`` brings it to what controllers make.
"""
