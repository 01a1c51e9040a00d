"""How documents from elsewhere are judged, whatever source they come from."""

from dataclasses import dataclass, field

from titan.sync.addresses import Allowed
from titan.sync.source import Limits


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds for every source."""

    is_lenient: bool = False
    """True: what breaks a constraint of the metamodel is taken as well; malformed documents never are."""
    allowed: Allowed = field(default_factory=Allowed)
    limits: Limits = field(default_factory=Limits)
