"""The journal of publications: how a database that was set back is recognised, and set right.

It lies beside the artifacts, outside of the database. Before a publication is committed, a record
of it is on disk: which version, by which run, and which samples it forgets. So the journal has
every publication that anybody can have seen, and a database that does not know one of them is older
than what has been published. Such a registered model is *behind*: nothing of it is served until
the samples of those publications have been forgotten again.

    <model>/<version>-<run>.prepared     its transaction may commit, or may have
    <model>/<version>-<run>.published    it has; here lies the last one, at least
    <model>/earlier/…                    publications with one after them that still lies above
    <model>/replayed/…                   the database had lost them, and has made up for it
    <model>/<id>.retired                 of that one nothing is served, whatever the database says

Of a prepared one it is found out by what the database knows of its run (`preparing`).

Every change is the making or renaming of one file: nothing here needs a lock, or can be torn.
Whether a model is behind shows in the files that lie above: a publication leaves there only for
`earlier`, when the database has it and a later one, which stays; or for `replayed`.
"""

from models.journal.files import Entry, Journal, open_journal
from models.journal.replay import REPLAYING
from models.journal.standing import is_current, require_current
from models.journal.upkeep import keep_journal

__all__ = [
    "REPLAYING",
    "Entry",
    "Journal",
    "is_current",
    "keep_journal",
    "open_journal",
    "require_current",
]
