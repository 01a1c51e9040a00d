"""Pulling shells, submodels and concept descriptions from other AAS servers (IDTA-01002 repositories, API 3.x).

Not promised: that a pull sees one state of the other server (its pages are no snapshot), that files which documents
name come along (a document's text does, with the values of its Blob elements), nor that what was written between two
pulls and overwritten again is ever seen. Of two servers that pull from each other, a new document's home does not know
the other one's copy until it has seen it once: an edit made before that may give way to the copy. Three or more
servers that pull in a ring may pass two versions around for as long as their pulls go in step.

Promised, within a source's filter:

* **The other server wins.** What differs there is written here; what was created here by a pull and is gone there is
  deleted here. What was here before a pull first met it is never deleted, and a change made to it here stays until the
  other server changes its own. So of two servers that pull from each other each document has one home, and both come to
  rest.
* **What is equal is not written**: no revision, no event.
* **Each document is one write**, verified like a client's. What cannot be taken is counted and named, and stops no
  other.
* **It resumes**: what is known of each document, and the page that comes next, are kept in the store; a pull that was
  cut off goes on there, on whichever instance leads then.
* **The other server is not trusted**: where a connection may go is checked after the name was resolved and holds for
  that connection; no redirects, no proxies; every answer has an end in time and size.
"""
