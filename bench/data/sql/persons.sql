INSERT INTO persons (id, group_id, uid, created_at)
SELECT id, 1, md5('person ' || id)::uuid, bench.before(9.5e7) FROM generate_series($1::bigint, $2::bigint) AS id
