"""Items about alerts, runbook and recovery: pure functions of the evidence."""

from titan.ha.evidence import Document, Evidence, Unknown, Watcher
from titan.ha.reading import rows, text
from titan.ha.verdict import Answer, cannot_tell, fails, passes

JOB = "titan-aas"
GROUP = "titan-ha"
ALERTS = (
    "TitanInstanceDown",
    "TitanNoLeader",
    "TitanDatabaseConnectionsLow",
    "TitanErrorRateHigh",
    "TitanRedisConnectionsHigh",
    "TitanDependencyDown",
    "TitanLeaderTaskStale",
    "TitanActorRestarts",
)
"""Those of `deploy/prometheus/alerts/ha.yml`, the guide's first; a test compares."""

_GIVE_URL = "give --prometheus URL"
_LOAD = "load deploy/prometheus/alerts/ha.yml and scrape every instance as job titan-aas"


def targets_up(watcher: Watcher) -> list[str]:
    """Return the instances that Prometheus reached last time."""
    return sorted(text(target, "labels", "instance") for target in _targets(watcher) if text(target, "health") == "up")


def _targets(watcher: Watcher) -> list[Document]:
    return [target for target in watcher.targets if text(target, "labels", "job") == JOB]


def _rules(watcher: Watcher) -> list[Document]:
    return [
        rule
        for group in watcher.groups
        if text(group, "name") == GROUP
        for rule in rows(group, "rules")
        if text(rule, "type") == "alerting"
    ]


def alerts(evidence: Evidence) -> Answer:
    """See that the alerts are loaded, can be evaluated, and have something to watch."""
    watcher = evidence.watcher
    if isinstance(watcher, Unknown):
        return cannot_tell(watcher.reason, _GIVE_URL)
    rules = {text(rule, "name"): rule for rule in _rules(watcher)}
    missing = [name for name in ALERTS if name not in rules]
    if missing:
        return fails(f"group {GROUP} lacks {', '.join(missing)}", _LOAD)
    broken = [f"{name}: {text(rule, 'lastError')}" for name, rule in rules.items() if text(rule, "health") == "err"]
    if broken:
        return fails("; ".join(broken), "mend the expressions")
    targets = _targets(watcher)
    if not targets:
        return fails(f"the alerts are loaded, but nothing is scraped as job {JOB}", _LOAD)
    up = targets_up(watcher)
    reason = f"{len(rules)} alerts in group {GROUP}; {len(up)} of {len(targets)} targets up"
    down = sorted(text(one, "labels", "instance") for one in targets if text(one, "health") == "down")
    if down:
        return fails(reason, f"see why {', '.join(down)} cannot be scraped")
    if len(up) < len(targets):
        return cannot_tell(f"{reason}, the others were not asked yet", "ask again in a minute")
    return passes(reason)


def runbook(evidence: Evidence) -> Answer:
    """See that whoever gets an alert is told where its page is."""
    watcher = evidence.watcher
    if isinstance(watcher, Unknown):
        return cannot_tell(watcher.reason, f"{_GIVE_URL}; the pages are in deploy/runbook")
    rules = _rules(watcher)
    if not rules:
        return fails(f"no alert of group {GROUP} is loaded", _LOAD)
    without = [text(rule, "name") for rule in rules if not text(rule, "annotations", "runbook_url")]
    if without:
        return fails(f"without runbook_url: {', '.join(without)}", "give each alert the address of its page")
    return passes(f"each of the {len(rules)} loaded alerts names its page (runbook_url)")


def recovery(_: Evidence) -> Answer:
    """Say that it is not known: nothing records drills yet."""
    return cannot_tell(
        "nothing records a drill; what would count is a dated report of a restore, with what was lost and how long it"
        " took",
        "restore last night's backup on another machine, run `titan db check` there, and write down both figures",
    )
