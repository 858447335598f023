"""Sends with an SDK of Python, as its documentation has it: sdk.py NAME URL KEY."""

import sys

name, url, key = sys.argv[1:]


def failed(error, *_):
    print(f"{name}: {error}", file=sys.stderr)
    sys.exit(1)


if name == "posthog":
    from posthog import Posthog

    client = Posthog(key, host=url, on_error=failed)
    client.capture("purchase", distinct_id="ann", properties={"value": 9.5})
    client.capture("purchase", distinct_id="bob", properties={"value": 1})
    client.capture("click", distinct_id="ann")
    client.shutdown()
else:
    if name == "segment":
        import segment.analytics as analytics

        analytics.write_key = key
    else:
        import rudderstack.analytics as analytics

        analytics.write_key = key
        analytics.dataPlaneUrl = url
    analytics.host = url
    analytics.on_error = failed
    analytics.track("ann", "purchase", {"value": 9.5})
    analytics.track("bob", "purchase", {"revenue": 1})
    analytics.track(anonymous_id="ann", event="click")
    analytics.identify("ann", {"mail": "ann@example.com"})
    analytics.flush()
    analytics.shutdown() if hasattr(analytics, "shutdown") else None
