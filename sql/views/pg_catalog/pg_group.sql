-- Roles that may not log in, with their members.
SELECT a.rolname AS groname, a.oid AS grosysid,
       ARRAY(SELECT m.member FROM pg_catalog.pg_auth_members AS m WHERE m.roleid = a.oid) AS grolist
FROM pg_catalog.pg_authid AS a
WHERE NOT a.rolcanlogin
