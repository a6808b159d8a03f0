-- The current role and those it is a member of.
SELECT r.rolname AS role_name
FROM pg_catalog.pg_authid AS r
WHERE r.rolname = current_user
   OR r.oid IN (SELECT m.roleid FROM pg_catalog.pg_auth_members AS m
                JOIN pg_catalog.pg_authid AS u ON u.oid = m.member
                WHERE u.rolname = current_user)
