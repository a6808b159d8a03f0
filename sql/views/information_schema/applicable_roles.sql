-- Memberships of roles.
SELECT u.rolname AS grantee, r.rolname AS role_name,
       CASE WHEN m.admin_option THEN 'YES' ELSE 'NO' END AS is_grantable
FROM pg_catalog.pg_auth_members AS m
JOIN pg_catalog.pg_authid AS u ON u.oid = m.member
JOIN pg_catalog.pg_authid AS r ON r.oid = m.roleid
