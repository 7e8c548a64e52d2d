-- How far a group has got with what a change of its quota makes of its members: those up to this row id were looked at. NULL: with all.
ALTER TABLE groups ADD COLUMN quota_settled_upto BIGINT CHECK (quota_settled_upto >= 0);
