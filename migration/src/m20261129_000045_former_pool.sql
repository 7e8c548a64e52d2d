-- The pool of a user whose home has left the fleet, until it gets another home: it must not end up in another network.
ALTER TABLE users ADD COLUMN former_pool VARCHAR(255);
