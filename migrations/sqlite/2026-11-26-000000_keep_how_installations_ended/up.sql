-- What ran when the end of an installation was begun; empty again once it ended without its volumes, which a later one
-- could take over otherwise.
ALTER TABLE installations ADD COLUMN ended_as blob;
