"""The checklist of the operator's guide, answered: what is looked at (`gather`) and what follows from it (`items`)."""
