"""Items about Kubernetes: pure functions of the documents that its API gave."""

from collections.abc import Mapping

from titan.ha.evidence import Cluster, Document, Evidence, Unknown
from titan.ha.reading import rows, share, text, value
from titan.ha.verdict import Answer, cannot_tell, fails, passes

NAME = "titan-aas"
DISRUPTION_BUDGET = "titan-aas-pdb"
HEALTH_ANNOTATION = "nginx.ingress.kubernetes.io/healthcheck-path"
HOST_KEY = "kubernetes.io/hostname"
READY_PATH = "/health/ready"
LEAST_KEPT = 2

_APPLY = "apply deploy/kubernetes/base"
_WITH_KUBECTL = "run this where kubectl reaches the cluster, with --namespace; elsewhere this is for you to answer"


def deployment_of(cluster: Cluster) -> Document | None:
    """Return the Deployment of the guide's name."""
    return _named(cluster, "Deployment", NAME)


def hpa_of(cluster: Cluster) -> Document | None:
    """Return the autoscaler of the Deployment, whatever it is called."""
    for document in cluster.of("HorizontalPodAutoscaler"):
        target = value(document, "spec", "scaleTargetRef")
        if (text(target, "kind"), text(target, "name")) == ("Deployment", NAME):
            return document
    return None


def _named(cluster: Cluster, kind: str, name: str) -> Document | None:
    return next((one for one in cluster.of(kind) if text(one, "metadata", "name") == name), None)


def _pod_labels(deployment: Document) -> Mapping[str, str]:
    labels = value(deployment, "spec", "template", "metadata", "labels")
    return labels if isinstance(labels, Mapping) else {}


def _selects(selector: object, labels: Mapping[str, str]) -> bool:
    """Say whether a label selector fits; one that asks for nothing fits nobody's pods in particular."""
    wanted = value(selector, "matchLabels")
    wishes = list(wanted.items()) if isinstance(wanted, Mapping) else []
    expressions = rows(selector, "matchExpressions")
    if not wishes and not expressions:
        return False
    return all(labels.get(name) == wish for name, wish in wishes) and all(_fits(one, labels) for one in expressions)


def _fits(expression: object, labels: Mapping[str, str]) -> bool:
    name, values = text(expression, "key"), rows(expression, "values")
    match text(expression, "operator"):
        case "In":
            return labels.get(name) in values
        case "NotIn":
            return labels.get(name) not in values
        case "Exists":
            return name in labels
        case "DoesNotExist":
            return name not in labels
    return False


def disruption_budget(evidence: Evidence) -> Answer:
    """See that a budget keeps two of the Deployment's pods."""
    cluster = evidence.cluster
    if isinstance(cluster, Unknown):
        return cannot_tell(cluster.reason, _WITH_KUBECTL)
    deployment = deployment_of(cluster)
    if deployment is None:
        return _no_deployment(cluster)
    budget = _named(cluster, "PodDisruptionBudget", DISRUPTION_BUDGET)
    if budget is None:
        return fails(f"no PodDisruptionBudget {DISRUPTION_BUDGET} in {cluster.namespace}", _APPLY)
    if not _selects(value(budget, "spec", "selector"), _pod_labels(deployment)):
        return fails(f"{DISRUPTION_BUDGET} does not select the pods of {NAME}", f"its selector must be app: {NAME}")
    wanted = share(text(deployment, "spec", "replicas"), 0)
    kept = _kept(budget, wanted)
    allowed = text(budget, "status", "disruptionsAllowed") or "unknown"
    reason = f"{DISRUPTION_BUDGET} keeps {kept} of {wanted} pods, disruptions allowed now: {allowed}"
    return passes(reason) if kept >= LEAST_KEPT else fails(reason, f"set minAvailable to {LEAST_KEPT}, or to 66%")


def _kept(budget: Document, replicas: int) -> int:
    """Return how many pods it keeps; Kubernetes rounds both percentages up."""
    least = text(budget, "spec", "minAvailable")
    if least:
        return share(least, replicas)
    return max(0, replicas - share(text(budget, "spec", "maxUnavailable"), replicas))


def anti_affinity(evidence: Evidence) -> Answer:
    """See that pods keep away from each other's nodes by rule, and that they do."""
    cluster = evidence.cluster
    if isinstance(cluster, Unknown):
        return cannot_tell(cluster.reason, _WITH_KUBECTL)
    deployment = deployment_of(cluster)
    if deployment is None:
        return _no_deployment(cluster)
    if not any(_parts_hosts(term, _pod_labels(deployment)) for term in _terms(deployment)):
        return fails(f"no podAntiAffinity over {HOST_KEY} for the pods of {NAME}", _APPLY)
    pods = [pod for pod in cluster.of("Pod") if text(pod, "status", "phase") == "Running"]
    nodes = {text(pod, "spec", "nodeName") for pod in pods}
    reason = f"the rule is there; {len(pods)} pods run on {len(nodes)} nodes"
    if len(pods) > 1 and len(nodes) == 1:
        return fails(
            reason, "give the cluster more nodes; then restart the rollout, for pods do not move by themselves"
        )
    return passes(reason)


def _terms(deployment: Document) -> list[object]:
    rule = value(deployment, "spec", "template", "spec", "affinity", "podAntiAffinity")
    preferred = rows(rule, "preferredDuringSchedulingIgnoredDuringExecution")
    required = rows(rule, "requiredDuringSchedulingIgnoredDuringExecution")
    return [*(value(term, "podAffinityTerm") for term in preferred), *required]


def _parts_hosts(term: object, labels: Mapping[str, str]) -> bool:
    return text(term, "topologyKey") == HOST_KEY and _selects(value(term, "labelSelector"), labels)


def balancer(evidence: Evidence) -> Answer:
    """See that readiness decides who gets requests, and that it can be asked through the balancer."""
    asked = evidence.balancer
    if asked is not None and not asked.serves:
        return fails(f"{asked.url}{READY_PATH}: {asked.said}", "let the balancer pass /health/ready to the instances")
    through = [] if asked is None else [f"{asked.url}{READY_PATH} says {asked.said}"]
    cluster = evidence.cluster
    if isinstance(cluster, Unknown):
        if through:
            return passes(through[0])
        return cannot_tell(
            cluster.reason, "give --balancer URL; deploy/haproxy and deploy/nginx are ready to be copied"
        )
    deployment = deployment_of(cluster)
    if deployment is None:
        return passes(through[0]) if through else _no_deployment(cluster)
    containers = rows(deployment, "spec", "template", "spec", "containers")
    probed = [text(one, "readinessProbe", "httpGet", "path") for one in containers]
    if READY_PATH not in probed:
        return fails(f"no container of {NAME} is probed at {READY_PATH}", _APPLY)
    return passes("; ".join([f"pods get requests while {READY_PATH} says so", *_annotated(cluster), *through]))


def _annotated(cluster: Cluster) -> list[str]:
    paths = {text(one, "metadata", "annotations", HEALTH_ANNOTATION) for one in cluster.of("Ingress")} - {""}
    return [f"the Ingress names {path}" for path in sorted(paths)]


def _no_deployment(cluster: Cluster) -> Answer:
    return cannot_tell(f"no Deployment {NAME} in namespace {cluster.namespace}", _WITH_KUBECTL)
