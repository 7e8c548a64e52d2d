-- What degrades a node although its OpenVPN is as it should be: a report of monitoring does not end it.
ALTER TABLE health_status ADD COLUMN fault TEXT;
