-- Names are looked up in the system's schema and then in this one, whatever the session says: pg_restore empties the search path, and would
-- leave out the placements. pg_temp is named, or it would be first.
DO $$
DECLARE
    trigger_function TEXT;
BEGIN
    FOREACH trigger_function IN ARRAY ARRAY['placements_inserted', 'placements_deleted', 'placements_updated'] LOOP
        EXECUTE format('ALTER FUNCTION %I() SET search_path = %I, pg_temp', trigger_function, current_schema());
    END LOOP;
END $$;
