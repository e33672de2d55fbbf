"""blackbox_exporter's question, `/probe?target=…&module=…`, answered by our probers for a Prometheus that asks it."""

from collections.abc import Mapping
from datetime import timedelta

from tillwatch.clock import Clock
from tillwatch.config.bind import did_you_mean
from tillwatch.config.schema import Probe
from tillwatch.errors import UsageError
from tillwatch.metrics import blackbox_text
from tillwatch.probers.base import Prober, Target
from tillwatch.probers.frame import run_one

#: blackbox's usual module names, and our own prober kinds: kind and options.
MODULES: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "http_2xx": ("http", {}),
    "http_post_2xx": ("http", {"method": "POST"}),
    "tcp_connect": ("tcp", {}),
    "tls_connect": ("tls", {}),
    "http": ("http", {}),
    "tcp": ("tcp", {}),
    "tls": ("tls", {}),
    "dns": ("dns", {}),
}
#: blackbox gives up half a second before Prometheus's usual scrape timeout of 10 s.
TIMEOUT = timedelta(seconds=9.5)


async def measure(target: str, module: str, probers: Mapping[str, Prober], *, clock: Clock) -> bytes:
    """One measurement in text format. Raises UsageError for an unknown module or a target that makes no sense."""
    if module not in MODULES:
        raise UsageError(f"there is no module '{module}'{did_you_mean(module, MODULES)}")
    kind, values = MODULES[module]
    if kind == "http" and "://" not in target:
        target = f"http://{target}"
    prober = probers[kind]
    probe = Probe(id=module, prober=kind, target=target, every=timedelta(minutes=1), timeout=TIMEOUT)
    ready = Target(probe=probe, options=prober.Options.model_validate(values))
    if problems := prober.problems(ready):
        raise UsageError("; ".join(problems))
    return blackbox_text(await run_one(ready, prober, clock=clock), kind=kind)
