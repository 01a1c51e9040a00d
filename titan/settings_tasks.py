"""Settings of the leader's tasks: how often each runs, and how long is kept what they remove."""

from pydantic import Field

from titan.settings_marks import Section

LONGEST_S = 7 * 86400


class Tasks(Section):
    """What the leader does beside serving, from one start to the next."""

    blob_cleanup_every_s: float = Field(
        default=6 * 3600, ge=1, le=LONGEST_S, description="Removing files that no document names."
    )
    blob_grace_s: float = Field(
        default=86400,
        ge=600,
        le=366 * 86400,
        description="How long a file stays that no document names; an upload may stand still for as long.",
    )
    session_cleanup_every_s: float = Field(
        default=900, ge=1, le=LONGEST_S, description="Forgetting idempotency keys that have expired."
    )
    metrics_aggregation_every_s: float = Field(
        default=300, ge=1, le=LONGEST_S, description="Counting documents and sizes, for the metrics of every instance."
    )
    outbox_trim_every_s: float = Field(
        default=3600, ge=1, le=LONGEST_S, description="Forgetting changes that are older than outbox_keep_s."
    )
    outbox_keep_s: float = Field(
        default=86400,
        ge=60,
        le=366 * 86400,
        description="How long changes are kept for those who follow them; whoever was away longer begins anew.",
    )
