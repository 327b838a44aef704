ALTER TABLE installations DROP COLUMN ended_as;
