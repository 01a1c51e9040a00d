"""What a leader does beside serving, one file per task; when and by whom is `supervisors/actors/tasks`.

Not promised: that a task runs once. A run that was broken off is made again by the next leader, so each of them bears
being done twice, in part or in whole, and goes on where that saves work.

Promised: every effect on the store is fenced, in transactions that are short; a term that ends lets no further one
pass. How a run ended is a value (`Done`, `Failed`); what a task does not expect is raised as it is.
"""
