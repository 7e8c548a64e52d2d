-- A node may have several listeners, each an OpenVPN of its own: where clients reach it, such as 'udp:1194,tcp:443'. public_protocol and
-- public_port are those of the first.
ALTER TABLE servers
    ADD COLUMN listeners TEXT COLLATE "C" NOT NULL DEFAULT 'udp:1194'
               CHECK (listeners ~ '^(udp|tcp):[1-9][0-9]{0,4}(,(udp|tcp):[1-9][0-9]{0,4}){0,3}$');
UPDATE servers SET listeners = public_protocol || ':' || public_port;

-- A replica of the release before writes a transport and a port alone. Listeners that do not begin with these are of before.
CREATE FUNCTION servers_listeners() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF split_part(NEW.listeners, ',', 1) <> NEW.public_protocol || ':' || NEW.public_port THEN
        NEW.listeners := NEW.public_protocol || ':' || NEW.public_port;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER servers_listeners BEFORE INSERT OR UPDATE OF listeners, public_protocol, public_port ON servers
    FOR EACH ROW EXECUTE FUNCTION servers_listeners();

-- The listener that the client of a session came to. NULL: the node has not said. A report about a living session leaves it as it is.
ALTER TABLE sessions ADD COLUMN listener TEXT COLLATE "C";
CREATE INDEX sessions_by_listener ON sessions (listener, since DESC) WHERE listener IS NOT NULL;
