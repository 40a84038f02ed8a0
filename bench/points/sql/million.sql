-- a million earns of the ledger's past, one in ten delayed and one in a hundred still waiting or about to expire
INSERT INTO point_transfers (id, group_id, brand_id, account_id, kind, source, points, growth, balance, growth_balance,
                             reason, actor, rule_id, reference, occurred_at, available_at, recorded_at)
SELECT n, 1, 1, 1 + n % 100000, 'EARN', 'old-' || n, 1, 3, 1, 3, 'post', 'bench', 1, 'PointRule:1',
    now() - n * interval '30 seconds', CASE WHEN n % 10 = 0 THEN now() END, now() - n * interval '30 seconds'
FROM generate_series(1, 1000000) AS n;

INSERT INTO point_entries (transfer_id, kind, group_id, brand_id, amount)
SELECT n, kind, 1, 1, amount FROM generate_series(1, 1000000) AS n
CROSS JOIN (VALUES ('SPENDABLE', 1), ('ISSUED', -1), ('GROWTH', 3), ('GROWTH_ISSUED', -3)) AS side (kind, amount);

INSERT INTO point_lots (id, group_id, brand_id, account_id, transfer_id, granted, remaining, granted_at, expires_at)
SELECT n, 1, 1, 1 + n % 100000, n, 1, CASE WHEN n % 3 = 0 THEN 0 ELSE 1 END, now() - n * interval '30 seconds',
    CASE WHEN n % 2 = 0 THEN now() + (n % 100 - 1) * interval '10 days' END
FROM generate_series(1, 1000000) AS n;

INSERT INTO point_draws (transfer_id, lot_id, group_id, brand_id, points)
SELECT n, n, 1, 1, 1 FROM generate_series(3, 1000000, 3) AS n;

INSERT INTO point_pendings (transfer_id, group_id, brand_id, account_id, points, growth, available_at, state)
SELECT n, 1, 1, 1 + n % 100000, 1, 3, now() + (n % 1000 - 5) * interval '1 hour',
    CASE WHEN n % 100 = 0 THEN 'PENDING' ELSE 'RELEASED' END
FROM generate_series(10, 1000000, 10) AS n;

INSERT INTO point_grants (id, group_id, brand_id, fan_id, rule_id, rule_version, source, event, occurred_at, day,
                          desired_points, desired_growth, granted_points, granted_growth, taken_points, taken_growth,
                          created_at)
SELECT n, 1, 1, 1 + n % 100000, 1, 1, 'old-' || n, 'post', now() - n * interval '30 seconds', current_date,
    1, 3, 1, 3, 0, 0, now() FROM generate_series(1, 1000000) AS n;

INSERT INTO point_counters (fan_id, rule_id, period, starts_on, group_id, brand_id, times, points, growth)
SELECT 1 + n % 100000, 1, 'DAY', current_date - n / 100000, 1, 1, 1, 1, 3 FROM generate_series(0, 999999) AS n;

INSERT INTO idempotency (principal, mutation, key, group_id, request_hash, response, created_at)
SELECT 'api_key:1', 'earnPoints', 'old-' || n, 1, sha256(n::text::bytea), '{}', now() FROM generate_series(1, 1000000) AS n;

INSERT INTO audit_log (group_id, brand_id, principal, action, subject, detail, at)
SELECT 1, 1, 'api_key:1', 'points:earn', 'Fan:' || n, '{}', now() FROM generate_series(1, 1000000) AS n;

UPDATE point_accounts SET spendable = held.points, growth = 30
FROM (SELECT account_id, sum(remaining) AS points FROM point_lots GROUP BY account_id) AS held
WHERE held.account_id = point_accounts.id;

UPDATE point_accounts SET pending = waits.points, growth_pending = waits.growth
FROM (
    SELECT account_id, sum(points) AS points, sum(growth) AS growth FROM point_pendings
    WHERE state = 'PENDING' GROUP BY account_id
) AS waits
WHERE waits.account_id = point_accounts.id;

SELECT setval('point_transfers_id_seq', 1000000), setval('point_lots_id_seq', 1000000),
    setval('point_grants_id_seq', 1000000);
